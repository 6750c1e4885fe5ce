//! `aami nodes allow-reenrol`.

use aami_api::node::NodeView;
use aami_model::Exit;
use clap::Args;

use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Let nodes enrol again with a new key, once, within the hour
#[derive(Debug, Args)]
pub(crate) struct AllowReenrol {
    /// Hostnames or ids
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

impl AllowReenrol {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.nodes, |session, name| {
            let id = find::node(session, name)?.id;
            let node: NodeView = session
                .client
                .post(&format!("/api/v1/nodes/{id}/allow-reenrol"), None::<&()>)?;
            Ok(Done::new(
                &id,
                format!("{} may enrol again with a new key within the hour", node.hostname),
            ))
        })
    }
}
