//! `aami nodes resume`.

use aami_api::node::NodeView;
use aami_model::Exit;
use clap::Args;

use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Bring nodes back from maintenance
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Hostnames or ids
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

impl Resume {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.nodes, |session, name| {
            let id = find::node(session, name)?.id;
            let node: NodeView = session
                .client
                .post(&format!("/api/v1/nodes/{id}/resume"), None::<&()>)?;
            Ok(Done::new(
                &id,
                format!("{} is {}", node.hostname, node.status.name()),
            ))
        })
    }
}
