//! `aami status`: the whole in a few numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use aami_api::health;
use aami_api::node::NodeView;
use aami_model::Exit;
use aami_model::node_status::NodeStatus;
use aami_model::nodeset::fold;
use clap::Args;
use serde::Serialize;

use super::age::short;
use super::failure::Failure;
use super::paging;
use super::paint::Paint;
use super::query::Query;
use super::screen::Format;
use super::session::{Common, Session};
use super::surroundings::Surroundings;
use super::table::Table;
use crate::fleet::alerts::AlertRow;
use crate::fleet::health::Health;
use crate::fleet::rule_sets;

/// After so long without a question from Prometheus something is wrong, in seconds.
const LONGEST_UNASKED: u64 = 120;

/// Show how the fleet and what watches it are; exit code 3 when something is not well
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami status
  aami status -o wide
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
            fleet
                .screen()
                .show(&told.data, |wide| if wide { told.wide } else { told.table })?;
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
        table: table(&report, None),
        wide: if session.screen.format() == Format::Wide {
            table(&report, Some(&Named::of(session)?))
        } else {
            Table::of_one()
        },
        is_well: report.problems.is_empty(),
        data: serde_json::to_value(&report)
            .map_err(|error| Failure::Runtime(std::io::Error::other(error)))?,
    })
}

/// What is only counted otherwise, by name.
#[derive(Debug)]
pub(crate) struct Named {
    /// Nodes by their status.
    nodes: BTreeMap<&'static str, Vec<String>>,
    /// Each Prometheus, and how it stands.
    prometheuses: Vec<(String, String)>,
    /// What fires, or why that is not known.
    firing: Result<Vec<String>, String>,
}

impl Named {
    fn of(session: &Session) -> Result<Self, Failure> {
        let mut nodes: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let all: Vec<NodeView> = paging::all(session, "/api/v1/nodes", &Query::default(), None)?;
        for node in all {
            nodes.entry(node.status.name()).or_default().push(node.hostname);
        }
        let prometheuses = rule_sets::prometheuses(session)?.into_iter().map(|view| {
            let stands = format!("{}, rules {}", view.prometheus.url, view.state.name());
            (view.prometheus.name, stands)
        });
        let firing = rule_sets::listed(session).map(|alerts| {
            let firing = alerts.rows.into_iter().filter(|row| row.state == "firing");
            let sentence = |row: AlertRow| match row.nodes.as_slice() {
                [] => row.alert,
                nodes => format!("{} on {}", row.alert, fold(nodes.iter().map(String::as_str))),
            };
            firing.map(sentence).collect()
        });
        Ok(Self {
            nodes,
            prometheuses: prometheuses.collect(),
            // How the nodes are is known all the same.
            firing: firing.map_err(|failure| failure.to_string()),
        })
    }
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

pub(crate) fn table(report: &Report, named: Option<&Named>) -> Table {
    let status = &report.status;
    let mut table = Table::of_one();
    let is_ok = report.health.status == "ok";
    table.painted_line(
        "Control plane",
        format!(
            "{} ({}), version {}, up {}",
            report.server,
            report.health.status,
            status.version,
            short(Duration::from_secs(status.uptime_seconds))
        ),
        Some(if is_ok { Paint::Green } else { Paint::Red }),
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
    for known in NodeStatus::ALL {
        let names = named.and_then(|named| named.nodes.get(known.name()));
        if let Some(names) = names {
            table.line(known.name(), fold(names.iter().map(String::as_str)));
        }
    }
    table.line("Scrape targets", status.targets);
    table.line(
        "Discovery",
        match status.discovery_asked_seconds {
            Some(ago) => format!("Prometheus asked {} ago", short(Duration::from_secs(ago))),
            None => "Prometheus has not asked yet".to_owned(),
        },
    );
    if let Some(named) = named {
        for (name, stands) in &named.prometheuses {
            table.line("Prometheus", format!("{name}, {stands}"));
        }
        match &named.firing {
            Ok(firing) if firing.is_empty() => table.line("Firing", "none"),
            Ok(firing) => {
                for alert in firing {
                    table.painted_line("Firing", alert, Some(Paint::Red));
                }
            }
            Err(why) => table.painted_line("Firing", format!("not known: {why}"), Some(Paint::Yellow)),
        }
    }
    for problem in &report.problems {
        table.painted_line("Not well", problem, Some(Paint::Red));
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
        insta::assert_snapshot!(table(&report, None));
    }

    #[test]
    fn what_is_not_well_is_named() {
        let report = report(
            Some("the disk is full"),
            &[("online", 1), ("offline", 2), ("error", 1)],
            Some(500),
        );
        insta::assert_snapshot!(table(&report, None));
    }

    #[test]
    fn who_wants_every_name_is_told_every_name() {
        let report = report(None, &[("online", 3), ("offline", 1)], Some(4));
        let named = Named {
            nodes: BTreeMap::from([
                ("online", vec!["gpu-01".into(), "gpu-02".into(), "gpu-03".into()]),
                ("offline", vec!["gpu-09".into()]),
            ]),
            prometheuses: vec![("main".into(), "http://127.0.0.1:9090, rules loaded".into())],
            firing: Ok(vec!["NodeMissing on gpu-09".into()]),
        };
        insta::assert_snapshot!(table(&report, Some(&named)));
        let unknown = Named {
            firing: Err("nobody answers".into()),
            ..named
        };
        let table = table(&report, Some(&unknown)).to_string();
        assert!(table.contains("not known: nobody answers"), "{table}");
    }

    #[test]
    fn an_empty_fleet_is_well_without_prometheus() {
        assert!(report(None, &[], None).problems.is_empty());
        assert_eq!(report(None, &[("online", 1)], None).problems.len(), 1);
    }
}
