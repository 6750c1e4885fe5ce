//! `aami nodes resume`.

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

/// Bring nodes back from maintenance
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes resume gpu-01 gpu-02
  aami nodes resume --group row-3 --no-wait")]
pub(crate) struct Resume {
    /// Hostnames or ids
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    dry: Dry,
    #[command(flatten)]
    selector: Selector,
}

impl Resume {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let bulk = BatchAction::Resume;
        self.selector
            .act(session, self.dry, &self.nodes, bulk, |session, name| {
                let found = find::node(session, name)?;
                let id = &found.id;
                let change = Change::bare(Method::POST, format!("/api/v1/nodes/{id}/resume"));
                if self.dry.dry_run {
                    // A control plane from before it said so tells of the connection alone.
                    let reachable = found.reachable || found.connected;
                    return told(&found, Trigger::MaintenanceEnded { reachable }, &change);
                }
                let node: NodeView = change.send(session)?;
                Ok(Done::new(
                    id,
                    format!("{} is {}", node.hostname, node.status.name()),
                ))
            })
    }
}
