//! `aami alerts list`.

use aami_model::Exit;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::table::Table;
use crate::fleet::Fleet;

/// List the alerts that are wanted, whether Prometheus has loaded them, and which fire
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts list
  aami alerts list --firing -o json

Exit code 3 when a rule that is wanted is not loaded or cannot be evaluated.")]
pub(crate) struct List {
    /// Only alerts that fire, are about to, or cannot be evaluated
    #[arg(long)]
    firing: bool,
}

impl List {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let alerts = fleet.alerts()?;
        let mut rows = alerts.rows;
        if self.firing {
            rows.retain(crate::fleet::alerts::AlertRow::is_active);
        }
        let screen = fleet.screen();
        screen.show(&rows, |_| {
            let mut table = Table::new(&["ALERT", "STATE", "NODES", "FILE"], "no alerts");
            for row in &rows {
                table.row([
                    row.alert.clone(),
                    if row.error.is_empty() {
                        row.state.to_owned()
                    } else {
                        format!("{}, error: {}", row.state, row.error)
                    },
                    row.nodes.join(", "),
                    row.file.clone(),
                ]);
            }
            table
        })?;
        for remark in alerts.remarks {
            screen.note(&format!("aami: {remark}"));
        }
        Ok(if alerts.is_whole {
            Exit::Ok
        } else {
            Exit::NotHealthy
        })
    }
}
