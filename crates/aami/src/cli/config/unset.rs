//! `aami config unset`.

use aami_model::Exit;
use clap::Args;

use super::field;
use crate::cli::dry::Dry;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::fleet::{FileFleet, Fleet as _};

/// Remove one field from the configuration, so that its default holds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config unset ssh.max_parallel
  aami config unset 'nodes[0].labels.rack' --dry-run")]
pub(crate) struct Unset {
    /// The field, such as ssh.max_parallel
    field: String,
    #[command(flatten)]
    dry: Dry,
}

impl Unset {
    pub(super) fn run(self, fleet: &mut FileFleet) -> Result<Exit, Failure> {
        let path = field::named(&self.field)?;
        if self.dry.dry_run {
            let settings = fleet.read()?;
            fleet.edited(&settings, |document, _| document.unset(&path))?;
            return Done::would(&path, format!("{path} would be removed")).tell(fleet.screen());
        }
        fleet.change(|document, _| document.unset(&path))?;
        fleet.screen().write(&format!("✅ Removed {path}\n"))?;
        Ok(Exit::Ok)
    }
}
