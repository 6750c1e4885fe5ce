//! `aami-agent daemon`: stay connected with the control plane; without one, serve what happens on this node.

use std::net::SocketAddr;

use aami_model::{Exit, code};
use aami_plans::node::metrics_address;
use clap::Args;

use super::bootstrap::signals;
use super::failure::Failure;
use super::node::Which;
use super::screen;
use super::surroundings::Surroundings;
use crate::daemon::{self, Notify, Options, Unusable};

/// Stay connected with the control plane: tell what happens on this node, do what it is asked to. A node without a
/// control plane is watched all the same, and its metrics tell of it
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    #[command(flatten)]
    which: Which,
    /// Where its own metrics are served [default: 127.0.0.1:9105, or where the install said]
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
}

impl Daemon {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        self.which.need_root()?;
        let cancel = signals::cancel_on_signals()?;
        let (root, form, cluster) = (self.which.root(), self.which.form(), &self.which.cluster);
        let options = Options {
            root: root.to_owned(),
            form,
            cluster: cluster.clone(),
            metrics: self
                .metrics
                .unwrap_or_else(|| metrics_address(root, form, cluster)),
            proxies: surroundings.proxies.clone(),
            notify: Notify::to(surroundings.notify_socket.clone(), surroundings.watchdog),
            say: screen::aside,
        };
        daemon::run(options, &cancel)?;
        Ok(Exit::Ok)
    }
}

impl From<Unusable> for Failure {
    fn from(error: Unusable) -> Self {
        let code = match &error {
            Unusable::NotEnrolled | Unusable::Credential { .. } => code::NODE_NOT_ENROLLED,
            Unusable::Locked => code::LOCKED,
            Unusable::Host(_) => code::DAEMON_NOT_STARTED,
        };
        Self::new(code, error.to_string())
    }
}
