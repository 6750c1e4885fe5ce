//! `aami alerts list`.

use std::collections::BTreeMap;

use aami_model::Exit;
use clap::Args;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::table::Table;
use crate::fleet::engines::{Engine, LoadedGroup};
use crate::fleet::{Fleet, monitor};

/// List the alerts that are wanted, whether Prometheus has loaded them, and which fire
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts list
  aami alerts list --firing -o json

Exit code 3 when a rule that is wanted is not loaded.")]
pub(crate) struct List {
    /// Only alerts that fire or are about to
    #[arg(long)]
    firing: bool,
}

/// One alert.
#[derive(Debug, Serialize)]
struct Row {
    alert: String,
    file: String,
    /// `not loaded`, `inactive`, `pending` or `firing`.
    state: String,
    /// The nodes it is about now.
    nodes: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

impl List {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let file = fleet.file(
            "aami alerts list",
            "Ask that Prometheus itself: its page /alerts shows what is loaded and what fires.",
        )?;
        let settings = file.read()?;
        let wanted = monitor::rules(settings.config())?;
        let prometheus = Engine::here(settings.config().prometheus.port);
        let loaded = prometheus.rules().unwrap_or_else(|error| {
            file.screen().note(&format!("aami: {error}"));
            Vec::new()
        });
        let mut rows = Vec::new();
        for rules in &wanted {
            for alert in &rules.alerts {
                rows.push(row(alert, &rules.name, &loaded));
            }
        }
        let is_whole = rows.iter().all(|row| row.state != NOT_LOADED);
        if self.firing {
            rows.retain(|row| matches!(row.state.as_str(), "firing" | "pending"));
        }
        file.screen().show(&rows, |_| {
            let mut table = Table::new(&["ALERT", "STATE", "NODES", "FILE"], "no alerts");
            for row in &rows {
                table.row([
                    row.alert.clone(),
                    row.state.clone(),
                    row.nodes.join(", "),
                    row.file.clone(),
                ]);
            }
            table
        })?;
        Ok(if is_whole { Exit::Ok } else { Exit::NotHealthy })
    }
}

const NOT_LOADED: &str = "not loaded";

/// How an alert stands: several rules may have its name, and the gravest state counts.
fn row(alert: &str, file: &str, loaded: &[LoadedGroup]) -> Row {
    let gravity = |state: &str| {
        ["inactive", "pending", "firing"]
            .iter()
            .position(|known| *known == state)
    };
    let mut state = NOT_LOADED.to_owned();
    let mut nodes = BTreeMap::new();
    let mut error = String::new();
    for rule in loaded
        .iter()
        .flat_map(|group| &group.rules)
        .filter(|rule| rule.name == alert)
    {
        if gravity(&rule.state) > gravity(&state) {
            state.clone_from(&rule.state);
        }
        if error.is_empty() {
            error.clone_from(&rule.last_error);
        }
        for alert in &rule.alerts {
            if let Some(node) = alert.labels.get("node") {
                nodes.insert(node.clone(), alert.state.clone());
            }
        }
    }
    Row {
        alert: alert.to_owned(),
        file: file.to_owned(),
        state,
        nodes: nodes.into_keys().collect(),
        error,
    }
}
