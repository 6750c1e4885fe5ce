//! `aami agents pause`.

use aami_api::rollout::RolloutView;
use aami_model::Exit;
use aami_model::rollout::RolloutTrigger;
use clap::Args;
use http::Method;

use super::show::{self, moves, path};
use crate::cli::dry::{Change, Dry};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Hold the update of a group's agents; those at work finish
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami agents pause racks
  aami agents pause racks --dry-run")]
pub(crate) struct Pause {
    /// The group, by name or id
    group: String,
    #[command(flatten)]
    dry: Dry,
}

impl Pause {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let path = format!("{}/pause", path(&self.group));
        let change = Change::bare(Method::POST, path);
        if self.dry.dry_run {
            let line = match moves(session, &self.group, RolloutTrigger::Paused)? {
                true => format!("the update of {} would be held", self.group),
                false => format!("the update of {} would stay as it is", self.group),
            };
            return change.tell(session, &self.group, line);
        }
        let view: RolloutView = change.send(session)?;
        session.screen.show(&view, |_| show::table(&view))?;
        Ok(Exit::Ok)
    }
}
