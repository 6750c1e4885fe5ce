//! `aami nodes maintenance`.

use aami_api::node::{NodeView, Reason};
use aami_model::Exit;
use clap::Args;

use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Take nodes out for a while: still scraped, but silent
#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    /// Hostnames or ids
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
}

impl Maintenance {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let reason = Reason { reason: self.reason };
        each(session, &self.nodes, |session, name| {
            let id = find::node(session, name)?.id;
            let node: NodeView = session
                .client
                .post(&format!("/api/v1/nodes/{id}/maintenance"), Some(&reason))?;
            Ok(Done::new(
                &id,
                format!("{} is in {}", node.hostname, node.status.name()),
            ))
        })
    }
}
