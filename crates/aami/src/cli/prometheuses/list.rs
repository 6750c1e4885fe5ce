//! `aami prometheuses list`.

use aami_api::prometheus::PrometheusView;
use aami_model::Exit;
use aami_model::prometheus::RuleState;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::fleet::rule_sets;

/// List them, with the rules each should have against those it has
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami prometheuses list
  aami prometheuses list -o wide

Exit code 3 when one has not loaded what it should have.")]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let all = rule_sets::prometheuses(session)?;
        session.screen.show(&all, |wide| table(&all, wide))?;
        let is_whole = all.iter().all(|view| view.state == RuleState::Loaded);
        Ok(if is_whole { Exit::Ok } else { Exit::NotHealthy })
    }
}

/// A hash as people tell it from others.
fn short(sha256: &str) -> String {
    sha256.chars().take(12).collect()
}

/// One line for each.
pub(super) fn table(all: &[PrometheusView], wide: bool) -> Table {
    let mut headings = vec!["NAME", "RULES", "WANTED", "LOADED", "DELIVERED BY", "URL"];
    if wide {
        headings.extend(["ALERTMANAGER", "GROUPS", "ID", "WHAT IS WRONG"]);
    }
    let mut table = Table::new(&headings, "no Prometheuses");
    for view in all {
        let last = view.last.as_ref();
        let loaded = last.and_then(|last| last.loaded.as_deref());
        let mut cells = vec![
            view.prometheus.name.clone(),
            view.state.name().to_owned(),
            short(&view.wanted),
            loaded.map_or_else(|| "-".to_owned(), short),
            view.delivered_by.clone(),
            view.prometheus.url.clone(),
        ];
        if wide {
            let groups = if view.group_names.is_empty() {
                "all".to_owned()
            } else {
                view.group_names.join(", ")
            };
            cells.extend([
                view.prometheus.alertmanager_url.clone().unwrap_or_default(),
                groups,
                view.prometheus.id.to_string(),
                last.and_then(|last| last.sentence.clone()).unwrap_or_default(),
            ]);
        }
        table.row(cells);
    }
    table
}
