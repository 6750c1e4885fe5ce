//! `aami-agent daemon`: stay connected with the control plane.

use std::net::SocketAddr;

use aami_model::{Exit, code};
use clap::Args;

use super::bootstrap::signals;
use super::failure::Failure;
use super::node::Which;
use super::screen;
use super::surroundings::Surroundings;
use crate::daemon::{self, Notify, Options, Unusable};

/// Stay connected with the control plane: tell what happens on this node, do what it is asked to
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    #[command(flatten)]
    which: Which,
    /// Where its own metrics are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9105")]
    metrics: SocketAddr,
}

impl Daemon {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        self.which.need_root()?;
        let cancel = signals::cancel_on_signals()?;
        let options = Options {
            root: self.which.root().to_owned(),
            form: self.which.form(),
            cluster: self.which.cluster.clone(),
            metrics: self.metrics,
            proxies: surroundings.proxies.clone(),
            notify: Notify::to(surroundings.notify_socket.clone()),
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
