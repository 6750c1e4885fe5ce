//! `aami agents pause`.

use aami_api::rollout::RolloutView;
use aami_model::Exit;
use clap::Args;

use super::show::{self, path};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Hold the update of a group's agents; those at work finish
#[derive(Debug, Args)]
pub(crate) struct Pause {
    /// The group, by name or id
    group: String,
}

impl Pause {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let path = format!("{}/pause", path(&self.group));
        let view: RolloutView = session.client.post(&path, None::<&()>)?;
        session.screen.show(&view, |_| show::table(&view))?;
        Ok(Exit::Ok)
    }
}
