//! `aami webhooks test`.

use aami_api::delivery::Delivery;
use aami_model::Exit;
use clap::Args;
use http::Method;

use super::deliveries::table;
use super::show::whereto;
use super::taken;
use crate::cli::dry::{Change, Dry};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Send a test to a destination, and say what it answered
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami webhooks test pager
  aami webhooks test pager --dry-run")]
pub(crate) struct Test {
    /// Name or id
    webhook: String,
    #[command(flatten)]
    dry: Dry,
}

impl Test {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let webhook = find::webhook(session, &self.webhook)?;
        let path = format!("/api/v1/webhooks/{}/test", webhook.id);
        let change = Change::bare(Method::POST, path);
        if self.dry.dry_run {
            let line = format!("a test would be sent to {} ({})", webhook.name, whereto(&webhook));
            return change.tell(session, &webhook.id, line);
        }
        let delivery: Delivery = change.send(session)?;
        session
            .screen
            .show(&delivery, |wide| table(std::slice::from_ref(&delivery), wide))?;
        taken(&delivery)
    }
}
