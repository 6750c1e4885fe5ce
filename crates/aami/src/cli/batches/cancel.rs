//! `aami batches cancel`.

use aami_api::batch::BatchView;
use aami_model::Exit;
use clap::Args;

use super::show::path;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Call a batch off: no further node is changed; what was done stays
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Id
    batch: String,
}

impl Cancel {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let batch: BatchView = session
            .client
            .post(&format!("{}/cancel", path(&self.batch)), None::<&()>)?;
        let line = format!("{} is {}", batch.id, batch.status.name());
        session.screen.show_one(&batch, &line)?;
        Ok(Exit::Ok)
    }
}
