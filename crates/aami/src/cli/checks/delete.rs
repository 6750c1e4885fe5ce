//! `aami checks delete`.

use aami_model::Exit;
use aami_model::check::Check;
use clap::Args;

use super::show::path;
use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Delete checks; nodes stop running them within a minute
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami checks delete disk-full
  aami checks delete disk-full nvlink --dry-run")]
pub(crate) struct Delete {
    /// Names or ids
    #[arg(required = true, value_name = "CHECK")]
    checks: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Delete {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.checks, |session, name| {
            let change = Change::delete(path(name));
            if self.dry.dry_run {
                let check: Check = session.client.get(&path(name))?;
                let name = &check.definition.name;
                return change.would(&check.id, format!("check {name} would be deleted"));
            }
            let _: serde_json::Value = change.send(session)?;
            Ok(Done::new(name, format!("check {name} is deleted")))
        })
    }
}
