//! `aami alerts rules list`.

use aami_api::rules::RuleSetView;
use aami_model::Exit;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List the rule sets there are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts rules list
  aami alerts rules list -o yaml")]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let sets: Vec<RuleSetView> = paging::all(session, "/api/v1/alerts/rules", &Query::default(), None)?;
        session.screen.show(&sets, |wide| table(&sets, wide))?;
        Ok(Exit::Ok)
    }
}

/// One line for each set.
pub(super) fn table(sets: &[RuleSetView], wide: bool) -> Table {
    let mut headings = vec!["SCOPE", "PRESETS", "OWN RULES", "OVERRIDES", "ALERTS", "ENABLED"];
    if wide {
        headings.extend(["PRIORITY", "ID", "DESCRIPTION"]);
    }
    let mut table = Table::new(&headings, "no rule sets");
    for view in sets {
        let set = &view.set;
        let mut cells = vec![
            view.scope.clone(),
            set.presets.join(", "),
            set.custom.len().to_string(),
            set.overrides.len().to_string(),
            view.alerts.len().to_string(),
            if set.enabled { "yes" } else { "no" }.to_owned(),
        ];
        if wide {
            cells.extend([
                set.priority.to_string(),
                set.id.to_string(),
                set.description.clone(),
            ]);
        }
        table.row(cells);
    }
    table
}
