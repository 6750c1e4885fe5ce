//! `aami agents stop`.

use aami_model::Exit;
use clap::Args;

use super::show::path;
use crate::cli::dry::{Change, Dry, there};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// End the update of groups' agents: what was updated stays, nobody else is told
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami agents stop racks
  aami agents stop row-3 row-4 --dry-run")]
pub(crate) struct Stop {
    /// Names or ids
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Stop {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.groups, |session, name| {
            let change = Change::delete(path(name));
            if self.dry.dry_run {
                there(session, &path(name))?;
                return change.would(name, format!("the update of {name} would be over"));
            }
            let _: serde_json::Value = change.send(session)?;
            Ok(Done::new(name, format!("the update of {name} is over")))
        })
    }
}
