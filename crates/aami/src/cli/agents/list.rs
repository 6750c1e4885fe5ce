//! `aami agents list`.

use aami_api::rollout::{RolloutView, Rollouts};
use aami_model::Exit;
use clap::Args;

use super::show::standing;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List the groups whose agents are to be a version, and how far that is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami agents list
  aami agents list -o wide")]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let all: Rollouts = session.client.get("/api/v1/rollouts")?;
        session.screen.show(&all.rollouts, |_| table(&all.rollouts))?;
        Ok(Exit::Ok)
    }
}

fn table(rollouts: &[RolloutView]) -> Table {
    let mut table = Table::new(
        &["GROUP", "VERSION", "STATUS", "NODES", "BECAUSE"],
        "no updates; `aami agents update GROUP --version V` begins one",
    );
    for view in rollouts {
        let pinned = if view.plan.pinned { " (pinned)" } else { "" };
        table.row([
            view.group_name.clone(),
            format!("{}{pinned}", view.plan.version),
            view.status.name().to_owned(),
            standing(view),
            view.reason.clone(),
        ]);
    }
    table
}
