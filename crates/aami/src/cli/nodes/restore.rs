//! `aami nodes restore`.

use aami_api::node::NodeView;
use aami_model::Exit;
use aami_model::batch::BatchAction;
use aami_model::node_status::Trigger;
use clap::Args;
use http::Method;

use crate::cli::dry::{Change, Dry};
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::selected::{Selector, told};
use crate::cli::session::Session;

/// Take retired nodes back; they have to enrol again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes restore gpu-01
  aami nodes restore --group row-3 --dry-run")]
pub(crate) struct Restore {
    /// Hostnames or ids
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    dry: Dry,
    #[command(flatten)]
    selector: Selector,
}

impl Restore {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let bulk = BatchAction::Restore;
        self.selector
            .act(session, self.dry, &self.nodes, bulk, |session, name| {
                let found = find::node(session, name)?;
                let id = &found.id;
                let change = Change::bare(Method::POST, format!("/api/v1/nodes/{id}/restore"));
                if self.dry.dry_run {
                    return told(&found, Trigger::Restored, &change);
                }
                let node: NodeView = change.send(session)?;
                Ok(Done::new(
                    id,
                    format!("{} is {}", node.hostname, node.status.name()),
                ))
            })
    }
}
