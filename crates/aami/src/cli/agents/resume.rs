//! `aami agents resume`.

use aami_api::rollout::RolloutView;
use aami_model::Exit;
use clap::Args;

use super::show::{self, path};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Let the update of a group's agents go on; what failed is tried again
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The group, by name or id
    group: String,
}

impl Resume {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let path = format!("{}/resume", path(&self.group));
        let view: RolloutView = session.client.post(&path, None::<&()>)?;
        session.screen.show(&view, |_| show::table(&view))?;
        Ok(Exit::Ok)
    }
}
