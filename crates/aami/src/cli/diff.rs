//! `aami diff`: what is declared against what is applied.

use aami_model::Exit;
use clap::Args;

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;
use super::table::Table;
use crate::fleet::diff::Differences;

/// Show what is declared and not applied, and what is applied and no longer declared
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami diff
  sudo aami diff --full
  aami diff -o json

A file fleet is compared with what is installed where, Prometheus' lists, the files that Prometheus, Alertmanager and Grafana
read, and the rules that Prometheus has loaded; a control plane's wishes with its nodes, their agents, and the rules of each
Prometheus. Nothing is changed, and no secret is shown. Ends with 0 where nothing differs, else with 3.")]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Show what differs in each file, as a unified diff
    #[arg(long)]
    full: bool,
}

impl Diff {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut fleet = self.common.fleet(surroundings)?;
        let found = fleet.diff(self.full)?;
        let screen = fleet.screen();
        screen.show(&found, |_| table(&found))?;
        if !screen.format().is_for_programs() {
            for text in found.differences.iter().filter_map(|one| one.diff.as_ref()) {
                screen.write(&format!("\n{text}"))?;
            }
            let counted = match found.differences.len() {
                0 => format!("aami: {} things compared, nothing differs", found.compared),
                1 => format!("aami: {} things compared, 1 difference", found.compared),
                more => format!("aami: {} things compared, {more} differences", found.compared),
            };
            screen.note(&counted);
        }
        Ok(found.exit())
    }
}

fn table(found: &Differences) -> Table {
    let mut table = Table::new(
        &["PART", "DIFFERS", "WHICH", "WHAT", "NEXT"],
        "nothing differs: what is declared is applied",
    );
    for one in &found.differences {
        table.row([
            one.part.name().to_owned(),
            one.kind.words().to_owned(),
            one.what.clone(),
            one.sentence.clone(),
            one.next.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}
