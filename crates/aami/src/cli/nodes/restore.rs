//! `aami nodes restore`.

use aami_api::node::NodeView;
use aami_model::Exit;
use aami_model::batch::BatchAction;
use clap::Args;

use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::selected::Selector;
use crate::cli::session::Session;

/// Take retired nodes back; they have to enrol again
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Hostnames or ids
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    selector: Selector,
}

impl Restore {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let bulk = BatchAction::Restore;
        self.selector.act(session, &self.nodes, bulk, |session, name| {
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
