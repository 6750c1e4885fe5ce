//! `aami status`: the whole in a few numbers.

use std::time::Duration;

use aami_api::health;
use aami_model::Exit;
use aami_model::node_status::NodeStatus;
use clap::Args;
use serde::Serialize;

use super::age::short;
use super::failure::Failure;
use super::session::{Common, Session};
use super::surroundings::Surroundings;
use super::table::Table;
use crate::fleet::health::Health;

/// After so long without a question from Prometheus something is wrong, in seconds.
const LONGEST_UNASKED: u64 = 120;

/// Show how the fleet and what watches it are; exit code 3 when something is not well
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami status
  aami status -o json
  aami status --watch 5")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Show it again every so many seconds, until interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

/// What is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) server: String,
    pub(crate) health: health::Health,
    #[serde(flatten)]
    pub(crate) status: health::Status,
    /// What is not well, a sentence each.
    pub(crate) problems: Vec<String>,
}

impl Status {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut fleet = self.common.fleet(surroundings)?;
        loop {
            let told = fleet.status()?;
            fleet.screen().show(&told.data, |_| told.table)?;
            let Some(seconds) = self.watch else {
                return Ok(if told.is_well { Exit::Ok } else { Exit::NotHealthy });
            };
            // Ctrl-C ends it: nothing is under way that would have to be finished.
            std::thread::sleep(Duration::from_secs(seconds));
            fleet.screen().write("\n")?;
        }
    }
}

/// How a control plane and its nodes are.
pub(crate) fn of(session: &Session) -> Result<Health, Failure> {
    let health = session.client.health()?.body;
    let status = session.client.status()?;
    let report = Report {
        server: session.client.server().to_owned(),
        problems: problems(&health, &status),
        health,
        status,
    };
    Ok(Health {
        table: table(&report),
        is_well: report.problems.is_empty(),
        data: serde_json::to_value(&report)
            .map_err(|error| Failure::Runtime(std::io::Error::other(error)))?,
    })
}

/// What is not well.
pub(crate) fn problems(health: &health::Health, status: &health::Status) -> Vec<String> {
    let mut problems = Vec::new();
    if health.status != "ok" {
        problems.push(format!(
            "the control plane is {}: {}",
            health.status,
            health.detail.as_deref().unwrap_or("it does not say why")
        ));
    }
    for bad in [NodeStatus::Offline, NodeStatus::Error] {
        match status.nodes.get(bad.name()) {
            None | Some(0) => {}
            Some(1) => problems.push(format!("1 node is in status {}", bad.name())),
            Some(count) => problems.push(format!("{count} nodes are in status {}", bad.name())),
        }
    }
    match status.discovery_asked_seconds {
        _ if status.targets == 0 => {}
        None => problems
            .push("Prometheus has not asked what to scrape since the control plane started".to_owned()),
        Some(ago) if ago > LONGEST_UNASKED => problems.push(format!(
            "Prometheus has not asked what to scrape for {}",
            short(Duration::from_secs(ago))
        )),
        Some(_) => {}
    }
    problems
}

pub(crate) fn table(report: &Report) -> Table {
    let status = &report.status;
    let mut table = Table::of_one();
    table.line(
        "Control plane",
        format!(
            "{} ({}), version {}, up {}",
            report.server,
            report.health.status,
            status.version,
            short(Duration::from_secs(status.uptime_seconds))
        ),
    );
    table.line("Cluster", &status.cluster);
    table.line("Store", &status.store);
    let counts: Vec<String> = NodeStatus::ALL
        .iter()
        .filter_map(|known| {
            let count = status.nodes.get(known.name()).filter(|count| **count > 0)?;
            Some(format!("{count} {}", known.name()))
        })
        .collect();
    table.line(
        "Nodes",
        if counts.is_empty() {
            "none".to_owned()
        } else {
            counts.join(", ")
        },
    );
    table.line("Scrape targets", status.targets);
    table.line(
        "Discovery",
        match status.discovery_asked_seconds {
            Some(ago) => format!("Prometheus asked {} ago", short(Duration::from_secs(ago))),
            None => "Prometheus has not asked yet".to_owned(),
        },
    );
    for problem in &report.problems {
        table.line("Not well", problem);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(detail: Option<&str>, nodes: &[(&str, u64)], asked: Option<u64>) -> Report {
        let health = health::Health {
            status: if detail.is_some() { "degraded" } else { "ok" }.into(),
            service: "aami".into(),
            version: "0.1.0".into(),
            detail: detail.map(str::to_owned),
        };
        let status = health::Status {
            version: "0.1.0".into(),
            cluster: "prod".into(),
            store: "sqlite".into(),
            uptime_seconds: 7_300,
            nodes: nodes
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            targets: nodes.iter().map(|(_, count)| count).sum(),
            rules: std::collections::BTreeMap::new(),
            discovery_asked_seconds: asked,
        };
        Report {
            server: "http://127.0.0.1:8080".into(),
            problems: problems(&health, &status),
            health,
            status,
        }
    }

    #[test]
    fn all_is_well() {
        let report = report(None, &[("online", 3), ("maintenance", 1), ("error", 0)], Some(4));
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        insta::assert_snapshot!(table(&report));
    }

    #[test]
    fn what_is_not_well_is_named() {
        let report = report(
            Some("the disk is full"),
            &[("online", 1), ("offline", 2), ("error", 1)],
            Some(500),
        );
        insta::assert_snapshot!(table(&report));
    }

    #[test]
    fn an_empty_fleet_is_well_without_prometheus() {
        assert!(report(None, &[], None).problems.is_empty());
        assert_eq!(report(None, &[("online", 1)], None).problems.len(), 1);
    }
}
