//! How a declared fleet is, as far as Prometheus beside it knows.

use std::collections::HashMap;

use aami_config::Config;
use aami_model::finding::Severity;
use aami_model::nodeset::fold;
use serde::Serialize;

use super::FileFleet;
use crate::cli::failure::Failure;
use crate::cli::paint::Paint;
use crate::cli::table::Table;
use crate::fleet::engines::{Engine, EngineError, Value};
use crate::fleet::health::{Health, some_of};

/// What is shown, to programs.
#[derive(Debug, Serialize)]
struct Report {
    cluster: String,
    config: String,
    components: Vec<Component>,
    nodes: Nodes,
    /// Alerts that fire now, none of them in maintenance or silenced by this.
    firing: Vec<Firing>,
    problems: Vec<String>,
}

/// One program of the stack on this machine.
#[derive(Debug, Serialize)]
struct Component {
    name: &'static str,
    url: String,
    /// What it says that it is; none where it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// `running`, `not running` or `unhealthy`.
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

/// The declared nodes by what Prometheus sees of them.
#[derive(Debug, Default, Serialize)]
struct Nodes {
    declared: usize,
    /// At least one exporter answers.
    up: Vec<String>,
    /// None of the exporters answers.
    down: Vec<String>,
    /// Those of `up` with an exporter that does not answer, and which.
    exporters_down: Vec<ExportersDown>,
    /// Declared, and Prometheus knows nothing of them.
    unknown: Vec<String>,
}

/// A node of which only a part answers.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct ExportersDown {
    node: String,
    /// The jobs of Prometheus under which they are asked.
    jobs: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Firing {
    alert: String,
    severity: String,
    node: String,
}

pub(super) fn status(fleet: &FileFleet) -> Result<Health, Failure> {
    let settings = fleet.read()?;
    let config = settings.config();
    let prometheus = Engine::here(config.prometheus.port);
    let components = vec![
        component("Prometheus", &prometheus, "/-/ready", &BUILD),
        component(
            "Alertmanager",
            &Engine::here(config.alertmanager.port),
            "/-/ready",
            &STATUS,
        ),
        component(
            "Grafana",
            &Engine::here(config.grafana.port),
            "/api/health",
            &HEALTH,
        ),
    ];
    let mut problems: Vec<String> = components
        .iter()
        .filter(|component| component.status != RUNNING)
        .map(|component| format!("{} is {}", component.name, component.status))
        .collect();
    // A Prometheus that does not answer is one problem, not one for each question.
    let answers = components[0].status == RUNNING;
    let nodes = if answers {
        asked(&mut problems, nodes(config, &prometheus))
    } else {
        Nodes::default()
    };
    let firing = if answers {
        asked(&mut problems, firing(&prometheus))
    } else {
        Vec::new()
    };
    for (names, what) in [
        (&nodes.down, "not answering"),
        (&nodes.unknown, "unknown to Prometheus"),
    ] {
        if !names.is_empty() {
            let some = some_of(names.iter().map(String::as_str));
            problems.push(format!("{} {what}: {some}", counted(names.len())));
        }
    }
    if !nodes.exporters_down.is_empty() {
        let named: Vec<String> = (nodes.exporters_down.iter())
            .map(|part| format!("{} ({})", part.node, part.jobs.join(", ")))
            .collect();
        let some = some_of(named.iter().map(String::as_str));
        problems.push(format!(
            "{} without an exporter that answers: {some}",
            counted(named.len())
        ));
    }
    let grave = firing.iter().filter(|alert| alert.severity == "critical").count();
    if grave > 0 {
        problems.push(format!(
            "{grave} critical alert{} firing",
            if grave == 1 { " is" } else { "s are" }
        ));
    }
    let report = Report {
        cluster: config.cluster.name.clone(),
        config: fleet.place.config.display().to_string(),
        components,
        nodes: Nodes {
            declared: config.nodes.len(),
            ..nodes
        },
        firing,
        problems,
    };
    Ok(Health {
        table: table(&report, answers, false),
        wide: table(&report, answers, true),
        is_well: report.problems.is_empty(),
        data: serde_json::to_value(&report)
            .map_err(|error| Failure::Runtime(std::io::Error::other(error)))?,
    })
}

const RUNNING: &str = "running";

/// Where a program says its version: a path, and where in the JSON there.
struct Says {
    path: &'static str,
    at: &'static str,
}

/// <https://prometheus.io/docs/prometheus/latest/querying/api/#build-information>
const BUILD: Says = Says {
    path: "/api/v1/status/buildinfo",
    at: "/data/version",
};
/// <https://github.com/prometheus/alertmanager/blob/v0.25.0/api/v2/openapi.yaml>
const STATUS: Says = Says {
    path: "/api/v2/status",
    at: "/versionInfo/version",
};
/// <https://grafana.com/docs/grafana/latest/developers/http_api/other/#health-api>
const HEALTH: Says = Says {
    path: "/api/health",
    at: "/version",
};

fn counted(count: usize) -> String {
    match count {
        1 => "1 node is".to_owned(),
        count => format!("{count} nodes are"),
    }
}

/// An answer, or a problem more.
fn asked<T: Default>(problems: &mut Vec<String>, answer: Result<T, EngineError>) -> T {
    answer.unwrap_or_else(|error| {
        problems.push(error.to_string());
        T::default()
    })
}

fn component(name: &'static str, engine: &Engine, path: &str, says: &Says) -> Component {
    let (status, detail) = match engine.text(path) {
        Ok(_) => (RUNNING, String::new()),
        Err(EngineError::Silent { why, .. }) => ("not running", why),
        Err(error) => ("unhealthy", error.to_string()),
    };
    Component {
        name,
        url: engine.url().to_owned(),
        version: (status == RUNNING).then(|| version(engine, says)).flatten(),
        status,
        detail,
    }
}

/// What a program says that it is. That it does not say so is no fault of it.
fn version(engine: &Engine, says: &Says) -> Option<String> {
    let text = engine.text(says.path).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(json.pointer(says.at)?.as_str()?.to_owned())
}

fn nodes(config: &Config, prometheus: &Engine) -> Result<Nodes, EngineError> {
    let samples = prometheus.query("min by (node, job) (up{node!=\"\"})")?;
    let names = config.nodes.iter().map(|node| node.name.as_str());
    Ok(sorted(names, &samples))
}

/// Which nodes are up by what Prometheus says of each of their jobs.
fn sorted<'name>(names: impl Iterator<Item = &'name str>, samples: &[Value]) -> Nodes {
    let mut jobs: HashMap<&str, Vec<(&str, bool)>> = HashMap::new();
    for (labels, up) in samples {
        if let (Some(node), Some(job)) = (labels.get("node"), labels.get("job")) {
            jobs.entry(node).or_default().push((job, *up > 0.5));
        }
    }
    let mut nodes = Nodes::default();
    for name in names {
        let Some(jobs) = jobs.get(name) else {
            nodes.unknown.push(name.to_owned());
            continue;
        };
        let mut dead: Vec<String> = (jobs.iter().filter(|(_, is_up)| !is_up))
            .map(|(job, _)| (*job).to_owned())
            .collect();
        if dead.len() == jobs.len() {
            nodes.down.push(name.to_owned());
            continue;
        }
        nodes.up.push(name.to_owned());
        if !dead.is_empty() {
            dead.sort();
            nodes.exporters_down.push(ExportersDown {
                node: name.to_owned(),
                jobs: dead,
            });
        }
    }
    nodes
}

fn firing(prometheus: &Engine) -> Result<Vec<Firing>, EngineError> {
    let samples = prometheus.query("ALERTS{alertstate=\"firing\"}")?;
    let of = |labels: &std::collections::BTreeMap<String, String>, name: &str| {
        labels.get(name).cloned().unwrap_or_default()
    };
    let mut firing: Vec<Firing> = samples
        .iter()
        .map(|(labels, _)| Firing {
            alert: of(labels, "alertname"),
            severity: of(labels, "severity"),
            node: of(labels, "node"),
        })
        .collect();
    firing.sort_by(|a, b| (&a.severity, &a.alert, &a.node).cmp(&(&b.severity, &b.alert, &b.node)));
    Ok(firing)
}

fn table(report: &Report, answers: bool, wide: bool) -> Table {
    let mut table = Table::of_one();
    table.line("Cluster", &report.cluster);
    table.line("Configuration", &report.config);
    for component in &report.components {
        let (mut stands, paint) = match component.status {
            RUNNING => ("✅ running".to_owned(), Paint::Green),
            "unhealthy" => (format!("⚠️ unhealthy ({})", component.detail), Paint::Yellow),
            _ => ("❌ not running".to_owned(), Paint::Red),
        };
        if wide {
            let version = component.version.as_ref();
            stands.push_str(&version.map_or_else(String::new, |version| format!(", version {version}")));
            stands.push_str(&format!(", {}", component.url));
        }
        table.painted_line(component.name, stands, Some(paint));
    }
    let nodes = &report.nodes;
    table.line(
        "Nodes",
        if answers {
            format!(
                "{} declared, {} up, {} down, {} unknown to Prometheus",
                nodes.declared,
                nodes.up.len(),
                nodes.down.len(),
                nodes.unknown.len()
            )
        } else {
            format!("{} declared", nodes.declared)
        },
    );
    if wide {
        for (status, names) in [
            ("Up", &nodes.up),
            ("Down", &nodes.down),
            ("Unknown", &nodes.unknown),
        ] {
            table.line(status, fold(names.iter().map(String::as_str)));
        }
        for part in &nodes.exporters_down {
            table.line("Without", format!("{} on {}", part.jobs.join(", "), part.node));
        }
    }
    if answers {
        table.line(
            "Alerts firing",
            if report.firing.is_empty() {
                "none".to_owned()
            } else {
                let names = report.firing.iter().map(|alert| alert.alert.as_str());
                format!("{}: {}", report.firing.len(), some_of(names))
            },
        );
    }
    if wide {
        for alert in &report.firing {
            let on = Some(&alert.node).filter(|node| !node.is_empty());
            let on = on.map_or_else(String::new, |node| format!(" on {node}"));
            let paint = match alert.severity.as_str() {
                "critical" => Paint::of(Severity::Critical),
                "warning" => Paint::of(Severity::Warning),
                _ => None,
            };
            table.painted_line(
                "Firing",
                format!("{} ({}){on}", alert.alert, alert.severity),
                paint,
            );
        }
    }
    for problem in &report.problems {
        table.painted_line("Not well", problem, Some(Paint::Red));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_node_of_which_a_part_answers_is_up_and_named_with_what_is_dead() {
        let sample = |node: &str, job: &str, up: f64| {
            let labels =
                [("node", node), ("job", job)].map(|(name, text)| (name.to_owned(), text.to_owned()));
            (BTreeMap::from(labels), up)
        };
        let samples = [
            sample("gpu1", "node", 1.0),
            sample("gpu1", "dcgm", 1.0),
            sample("gpu2", "node", 1.0),
            sample("gpu2", "dcgm", 0.0),
            sample("gpu3", "node", 0.0),
            sample("gpu3", "dcgm", 0.0),
        ];
        let nodes = sorted(["gpu1", "gpu2", "gpu3", "gpu4"].into_iter(), &samples);
        assert_eq!(nodes.up, ["gpu1", "gpu2"]);
        assert_eq!(nodes.down, ["gpu3"]);
        assert_eq!(nodes.unknown, ["gpu4"]);
        let part = ExportersDown {
            node: "gpu2".to_owned(),
            jobs: vec!["dcgm".to_owned()],
        };
        assert_eq!(nodes.exporters_down, [part]);
    }
}
