//! `aami webhooks delete`.

use aami_model::Exit;
use clap::Args;

use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Remove destinations; what they were not told yet is not delivered
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami webhooks delete pager
  aami webhooks delete pager ops --dry-run")]
pub(crate) struct Delete {
    /// Names or ids
    #[arg(required = true, value_name = "WEBHOOK")]
    webhooks: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Delete {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.webhooks, |session, name| {
            let webhook = find::webhook(session, name)?;
            let (id, name) = (&webhook.id, &webhook.name);
            let change = Change::delete(format!("/api/v1/webhooks/{id}"));
            if self.dry.dry_run {
                return change.would(id, format!("{name} ({id}) would be removed"));
            }
            let _: serde_json::Value = change.send(session)?;
            Ok(Done::new(id, format!("{name} ({id}) is removed")))
        })
    }
}
