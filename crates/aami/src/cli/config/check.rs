//! `aami config check`.

use aami_model::Exit;
use clap::Args;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::table::Table;
use crate::fleet::{FileFleet, Fleet as _};

/// Read the configuration and name every problem it has
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config check
  aami config check --config ./config.yaml -o json

Ends with 0 where the configuration is sound and with 2 where it is not. A secret whose variable is not set
is told and does not hinder: only the command that needs it stops.")]
pub(crate) struct Check {}

/// What was found.
#[derive(Serialize)]
struct Sound {
    file: String,
    nodes: usize,
    warnings: Vec<String>,
}

impl Check {
    pub(super) fn run(self, fleet: &mut FileFleet) -> Result<Exit, Failure> {
        let settings = fleet.read()?;
        let sound = Sound {
            file: fleet.place().config.display().to_string(),
            nodes: settings.config().nodes.len(),
            warnings: settings.read.warnings.iter().map(ToString::to_string).collect(),
        };
        for warning in &sound.warnings {
            fleet.screen().note(&format!("aami: {warning}"));
        }
        if fleet.screen().format().is_for_programs() {
            fleet.screen().show(&sound, |_| Table::of_one())?;
        } else {
            let nodes = match sound.nodes {
                1 => "1 node".to_owned(),
                count => format!("{count} nodes"),
            };
            fleet
                .screen()
                .write(&format!("✅ {} is sound: {nodes}\n", sound.file))?;
        }
        Ok(Exit::Ok)
    }
}
