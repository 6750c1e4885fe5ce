//! `aami nodes retire`.

use aami_api::node::{NodeView, Reason};
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

/// Take nodes out for good: no longer scraped, their credentials refused
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes retire gpu-01 --reason 'sold'
  aami nodes retire --group row-3 --dry-run")]
pub(crate) struct Retire {
    /// Hostnames or ids
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    dry: Dry,
    #[command(flatten)]
    selector: Selector,
    /// Why
    #[arg(long)]
    reason: Option<String>,
}

impl Retire {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let reason = Reason {
            reason: self.reason,
            ..Reason::default()
        };
        let bulk = BatchAction::Retire {
            reason: reason.reason.clone(),
        };
        self.selector
            .act(session, self.dry, &self.nodes, bulk, |session, name| {
                let found = find::node(session, name)?;
                let id = &found.id;
                let change = Change::new(Method::POST, format!("/api/v1/nodes/{id}/decommission"), &reason);
                if self.dry.dry_run {
                    return told(&found, Trigger::Retired, &change);
                }
                let node: NodeView = change.send(session)?;
                Ok(Done::new(id, format!("{} is retired", node.hostname)))
            })
    }
}
