//! `aami webhooks test`.

use aami_api::delivery::Delivery;
use aami_model::Exit;
use clap::Args;

use super::deliveries::table;
use super::taken;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Send a test to a destination, and say what it answered
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Name or id
    webhook: String,
}

impl Test {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let webhook = find::webhook(session, &self.webhook)?;
        let path = format!("/api/v1/webhooks/{}/test", webhook.id);
        let delivery: Delivery = session.client.post(&path, None::<&()>)?;
        session
            .screen
            .show(&delivery, |wide| table(std::slice::from_ref(&delivery), wide))?;
        taken(&delivery)
    }
}
