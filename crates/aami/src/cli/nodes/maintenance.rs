//! `aami nodes maintenance`.

use aami_api::node::{NodeView, Reason};
use aami_model::batch::BatchAction;
use aami_model::node_status::Trigger;
use aami_model::{Exit, Timestamp};
use clap::Args;
use http::Method;

use crate::cli::dry::{Change, Dry};
use crate::cli::duration::Seconds;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::selected::{Selector, told};
use crate::cli::session::Session;

/// Take nodes out for a while: still scraped, but silent
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes maintenance gpu-01 --reason 'fans' --for 2h
  aami nodes maintenance gpu-01 gpu-02 --until 2026-11-20T18:00:00Z
  aami nodes maintenance --group row-3 --selector rack=A1 --for 8h --reason 'power works'
  aami nodes maintenance --group row-3 --dry-run")]
pub(crate) struct Maintenance {
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
    /// Until when, RFC 3339; then they come back by themselves
    #[arg(long, value_name = "TIME", conflicts_with = "lasting")]
    until: Option<Timestamp>,
    /// For how long, e.g. 2h; then they come back by themselves
    #[arg(long = "for", id = "lasting", value_name = "DURATION")]
    lasting: Option<Seconds>,
}

impl Maintenance {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let now = session.screen.now();
        let lasting = self
            .lasting
            .map(|Seconds(seconds)| now.plus(std::time::Duration::from_secs(seconds)));
        let reason = Reason {
            reason: self.reason,
            until: self.until.or(lasting),
        };
        let bulk = BatchAction::Maintenance {
            reason: reason.reason.clone(),
            until: reason.until,
        };
        self.selector
            .act(session, self.dry, &self.nodes, bulk, |session, name| {
                let found = find::node(session, name)?;
                let id = &found.id;
                let change = Change::new(Method::POST, format!("/api/v1/nodes/{id}/maintenance"), &reason);
                if self.dry.dry_run {
                    return told(&found, Trigger::MaintenanceStarted, &change);
                }
                let node: NodeView = change.send(session)?;
                let end = node
                    .maintenance_until
                    .map(|until| format!(" until {until}"))
                    .unwrap_or_default();
                Ok(Done::new(
                    id,
                    format!("{} is in {}{end}", node.hostname, node.status.name()),
                ))
            })
    }
}
