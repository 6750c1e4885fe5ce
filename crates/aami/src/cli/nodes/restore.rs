//! `aami nodes restore`.

use aami_api::node::NodeView;
use aami_model::Exit;
use clap::Args;

use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Take retired nodes back; they have to enrol again
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Hostnames or ids
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
}

impl Restore {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.nodes, |session, name| {
            let id = find::node(session, name)?.id;
            let node: NodeView = session
                .client
                .post(&format!("/api/v1/nodes/{id}/restore"), None::<&()>)?;
            Ok(Done::new(
                &id,
                format!("{} is {}", node.hostname, node.status.name()),
            ))
        })
    }
}
