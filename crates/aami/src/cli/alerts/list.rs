//! `aami alerts list`.

use std::collections::BTreeMap;
use std::path::Path;

use aami_model::{Exit, code};
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

Exit code 3 when a rule that is wanted is not loaded or cannot be evaluated.")]
pub(crate) struct List {
    /// Only alerts that fire, are about to, or cannot be evaluated
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
        let loaded = prometheus.rules().map_err(|error| {
            Failure::found_with(
                code::PROMETHEUS_UNREACHABLE,
                error.to_string(),
                "See whether it runs and on which port; `prometheus.port` in the configuration names the one that is asked.",
            )
        })?;
        let mut rows = Vec::new();
        for rules in &wanted {
            for alert in &rules.alerts {
                rows.push(row(alert, &rules.name, &loaded));
            }
        }
        let is_whole = (rows.iter()).all(|row| row.state != NOT_LOADED && row.error.is_empty());
        if self.firing {
            rows.retain(|row| matches!(row.state.as_str(), "firing" | "pending") || !row.error.is_empty());
        }
        file.screen().show(&rows, |_| {
            let mut table = Table::new(&["ALERT", "STATE", "NODES", "FILE"], "no alerts");
            for row in &rows {
                table.row([
                    row.alert.clone(),
                    if row.error.is_empty() {
                        row.state.clone()
                    } else {
                        format!("{}, error: {}", row.state, row.error)
                    },
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
        .filter(|group| Path::new(&group.file).ends_with(file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_of_another_file_does_not_count_and_an_error_is_kept() {
        let group = |file: &str, error: &str| -> LoadedGroup {
            let rule = serde_json::json!({"name": "GPULost", "state": "inactive", "lastError": error});
            serde_json::from_value(serde_json::json!({"name": "g", "file": file, "rules": [rule]})).unwrap()
        };
        let foreign = [group("/etc/aami/rules/foreign.yaml", "")];
        assert_eq!(row("GPULost", "aami-a.yaml", &foreign).state, NOT_LOADED);
        let ours = row(
            "GPULost",
            "aami-a.yaml",
            &[group("/etc/aami/rules/aami-a.yaml", "many")],
        );
        assert_eq!((ours.state.as_str(), ours.error.as_str()), ("inactive", "many"));
    }
}
