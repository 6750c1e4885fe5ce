//! The alerts a configuration wants, and how each stands in its Prometheus.

use std::collections::BTreeSet;
use std::path::Path;

use aami_config::Config;
use aami_model::code;

use super::super::FileFleet;
use crate::cli::failure::Failure;
use crate::fleet::alerts::{AlertRow, Alertmanager, Alerts, STATES};
use crate::fleet::engines::{Engine, LoadedGroup};
use crate::fleet::monitor;

impl FileFleet {
    /// Every alert that is wanted, by what its Prometheus says.
    pub(in crate::fleet::file) fn listed(&self) -> Result<Alerts, Failure> {
        let settings = self.read()?;
        let wanted = monitor::rules(settings.config())?;
        let prometheus = Engine::here(settings.config().prometheus.port);
        let loaded = prometheus.rules().map_err(|error| {
            Failure::found_with(
                code::PROMETHEUS_UNREACHABLE,
                error.to_string(),
                "See whether it runs and on which port; `prometheus.port` in the configuration names the one that is asked.",
            )
        })?;
        let rows: Vec<AlertRow> = (wanted.iter())
            .flat_map(|rules| rules.alerts.iter().map(|alert| row(alert, &rules.name, &loaded)))
            .collect();
        Ok(Alerts {
            is_whole: (rows.iter()).all(|row| row.state != STATES[0] && row.error.is_empty()),
            rows,
            remarks: Vec::new(),
        })
    }

    /// The Alertmanager beside it.
    pub(in crate::fleet::file) fn alertmanager(&self) -> Result<Alertmanager, Failure> {
        let settings = self.read()?;
        let config = settings.config();
        Ok(Alertmanager {
            engine: Engine::here(config.alertmanager.port),
            cluster: config.cluster.name.clone(),
            ways: enabled(config),
        })
    }
}

/// How an alert stands: several rules may have its name.
fn row(alert: &str, file: &str, loaded: &[LoadedGroup]) -> AlertRow {
    let mut row = AlertRow::not_loaded(alert, file);
    let mut nodes = BTreeSet::new();
    for rule in loaded
        .iter()
        .filter(|group| Path::new(&group.file).ends_with(file))
        .flat_map(|group| &group.rules)
        .filter(|rule| rule.name == alert)
    {
        row.is_at_least(&rule.state);
        if row.error.is_empty() {
            row.error.clone_from(&rule.last_error);
        }
        nodes.extend(
            rule.alerts
                .iter()
                .filter_map(|alert| alert.labels.get("node").cloned()),
        );
    }
    row.nodes = nodes.into_iter().collect();
    row
}

/// The ways that the configuration enables, by the names Alertmanager gives them.
fn enabled(config: &Config) -> Vec<&'static str> {
    let told = &config.notifications;
    [
        ("slack", told.slack.enabled),
        ("email", told.email.enabled),
        ("webhook", told.webhook.enabled),
    ]
    .into_iter()
    .filter_map(|(way, is_enabled)| is_enabled.then_some(way))
    .collect()
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
        assert_eq!(row("GPULost", "aami-a.yaml", &foreign).state, "not loaded");
        let ours = row(
            "GPULost",
            "aami-a.yaml",
            &[group("/etc/aami/rules/aami-a.yaml", "many")],
        );
        assert_eq!((ours.state, ours.error.as_str()), ("inactive", "many"));
    }
}
