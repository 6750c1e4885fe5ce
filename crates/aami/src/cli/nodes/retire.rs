//! `aami nodes retire`.

use aami_api::node::{NodeView, Reason};
use aami_model::Exit;
use aami_model::batch::BatchAction;
use clap::Args;

use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::selected::Selector;
use crate::cli::session::Session;

/// Take nodes out for good: no longer scraped, their credentials refused
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// Hostnames or ids
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
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
        self.selector.act(session, &self.nodes, bulk, |session, name| {
            let id = find::node(session, name)?.id;
            let node: NodeView = session
                .client
                .post(&format!("/api/v1/nodes/{id}/decommission"), Some(&reason))?;
            Ok(Done::new(&id, format!("{} is retired", node.hostname)))
        })
    }
}
