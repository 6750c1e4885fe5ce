//! `aami batches cancel`.

use aami_api::batch::BatchView;
use aami_model::batch::BatchStatus;
use aami_model::{Exit, code};
use clap::Args;
use http::Method;

use super::show::path;
use crate::cli::dry::{Change, Dry};
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Call a batch off: no further node is changed; what was done stays
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami batches cancel 0698qk3v7d8e6m2c
  aami batches cancel 0698qk3v7d8e6m2c --dry-run")]
pub(crate) struct Cancel {
    /// Id
    batch: String,
    #[command(flatten)]
    dry: Dry,
}

impl Cancel {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let change = Change::bare(Method::POST, format!("{}/cancel", path(&self.batch)));
        if self.dry.dry_run {
            let batch: BatchView = session.client.get(&path(&self.batch))?;
            let id = &batch.id;
            return match batch.status {
                BatchStatus::Running => change.tell(session, id, format!("{id} would be called off")),
                BatchStatus::Cancelled => {
                    Done::would(id, format!("{id} is called off already")).tell(&mut session.screen)
                }
                BatchStatus::Completed => Err(Failure::found(
                    code::TRANSITION_REFUSED,
                    "a batch that is completed cannot be called off; what it did stays",
                )),
            };
        }
        let batch: BatchView = change.send(session)?;
        let line = format!("{} is {}", batch.id, batch.status.name());
        session.screen.show_one(&batch, &line)?;
        Ok(Exit::Ok)
    }
}
