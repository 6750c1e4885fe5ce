//! `aami webhooks delete`.

use aami_model::Exit;
use clap::Args;

use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Remove destinations; what they were not told yet is not delivered
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Names or ids
    #[arg(required = true, value_name = "WEBHOOK")]
    webhooks: Vec<String>,
}

impl Delete {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.webhooks, |session, name| {
            let webhook = find::webhook(session, name)?;
            session
                .client
                .delete(&format!("/api/v1/webhooks/{}", webhook.id))?;
            Ok(Done::new(
                &webhook.id,
                format!("{} ({}) is removed", webhook.name, webhook.id),
            ))
        })
    }
}
