//! Every query of every dashboard, asked of a real Prometheus that has scraped what exporters export.
//!
//! The dashboard about installations is asked where a real run told its numbers, in `aami-plans`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use aami_monitor::dashboard::{Dashboard, all};
use aami_monitor::prometheus::Configuration;
use anyhow::ensure;
use rig::engines::Prometheus;
use rig::{Place, wait_until};

use crate::exporters::{configuration, fleet, list};

const PATIENCE: Duration = Duration::from_secs(90);

/// Alerts of the scraped fleet: dashboards show what fires.
const RULES: &str = r#"
groups:
  - name: some
    rules:
      - alert: GPUTemperatureCritical
        expr: DCGM_FI_DEV_GPU_TEMP_LIMIT <= 0
        labels: { severity: critical }
      - alert: ExporterDown
        expr: up == 0
        labels: { severity: warning }
      - record: aami_declared_node
        expr: vector(1)
        labels: { cluster: prod, node: gpu-099, state: active }
"#;

/// A query as Grafana asks it, with these nodes chosen.
fn asked(query: &str, node: &str) -> String {
    // The longer names first.
    query
        .replace("$__rate_interval", "1m")
        .replace("$__range_s", "300")
        .replace("$__range", "5m")
        .replace("$cluster", ".*")
        .replace("$node", node)
        .replace("$gpu", ".*")
}

fn started(folder: &Path) -> Prometheus<'static> {
    std::fs::create_dir(folder.join("rules")).unwrap();
    std::fs::write(folder.join("rules/some.yaml"), RULES).unwrap();
    let configuration = Configuration {
        rule_files: vec![folder.join("rules/*.yaml").to_string_lossy().into_owned()],
        ..configuration(folder)
    };
    std::fs::write(folder.join("prometheus.yml"), configuration.render().unwrap()).unwrap();
    Prometheus::start_in(Place::Loopback, folder).unwrap()
}

/// The queries of a dashboard, each with whose it is.
fn queries(dashboard: &Dashboard) -> Vec<(String, String)> {
    dashboard
        .panels()
        .flat_map(|panel| {
            let whose = |legend: &str| format!("{}: {} {legend}", dashboard.uid, panel.title);
            panel
                .queries
                .iter()
                .map(move |query| (whose(query.legend), query.expr.clone()))
        })
        .collect()
}

#[test]
fn every_query_answers_on_what_exporters_export() {
    // Given a fleet: nodes that tell everything there is to tell, and one that is down
    let folder = tempfile::tempdir().unwrap();
    let fleet = fleet();
    list(
        folder.path(),
        &fleet.iter().map(|serving| &serving.node).collect::<Vec<_>>(),
    );
    let prometheus = started(folder.path());

    // when each panel asks, then each has something to show;
    let mut waiting: Vec<(String, String)> = all()
        .iter()
        .filter(|dashboard| dashboard.uid != "aami-installation")
        .flat_map(queries)
        .collect();
    assert!(waiting.len() > 80, "{}", waiting.len());
    let answered = wait_until(PATIENCE, "every query has answered", || {
        let mut refused = Vec::new();
        waiting.retain(|(whose, query)| match prometheus.query(&asked(query, ".*")) {
            Ok(series) => series.is_empty(),
            Err(error) => {
                refused.push(format!("{whose}: {error:#}"));
                true
            }
        });
        let left: Vec<&str> = waiting.iter().map(|(whose, _)| whose.as_str()).collect();
        ensure!(waiting.is_empty(), "nothing for {left:#?}\n{refused:#?}");
        Ok(())
    });
    answered.unwrap();

    // each variable has values,
    for dashboard in all()
        .iter()
        .filter(|dashboard| dashboard.uid != "aami-installation")
    {
        for variable in &dashboard.variables {
            let inside = variable
                .query
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')'));
            let (metric, label) = inside.and_then(|inside| inside.rsplit_once(", ")).unwrap();
            let query = format!("group by ({label}) ({})", asked(metric, ".*"));
            let values: BTreeSet<String> = prometheus
                .query(&query)
                .unwrap()
                .iter()
                .filter_map(|(labels, _)| Some(labels[label].as_str()?.to_owned()))
                .collect();
            let wanted: &[&str] = match variable.name {
                "cluster" => &["prod"],
                "node" => &["gpu-007", "gpu-008", "gpu-009", "gpu-010"],
                "gpu" => &["0", "1"],
                other => panic!("nobody has looked at the variable {other}"),
            };
            assert_eq!(
                values.iter().map(String::as_str).collect::<Vec<_>>(),
                wanted,
                "{}",
                dashboard.uid
            );
        }
    }

    // and the numbers are right.
    let of = |whose: &str, node: &str| {
        let found = all()
            .iter()
            .flat_map(queries)
            .find(|(name, _)| name.trim_end() == whose);
        let (_, query) = found.unwrap_or_else(|| panic!("no panel {whose}"));
        let series = prometheus.query(&asked(&query, node)).unwrap();
        series.iter().map(|(_, value)| *value).collect::<Vec<f64>>()
    };
    for (whose, node, wanted) in [
        ("aami-fleet: Nodes up", ".*", 3.0),
        ("aami-fleet: Nodes up", "gpu-010", 0.0),
        ("aami-fleet: Nodes down", ".*", 1.0),
        ("aami-fleet: Nodes missing", ".*", 1.0),
        ("aami-fleet: In maintenance", ".*", 0.0),
        ("aami-fleet: Exporters down", ".*", 1.0),
        // Two of each node, one of them told by two exporters; the MIG instance of a third tells no temperature.
        ("aami-fleet: GPUs", ".*", 4.0),
        ("aami-fleet: Critical alerts", ".*", 1.0),
        ("aami-fleet: Warnings", ".*", 1.0),
        ("aami-fleet: Hottest GPU", ".*", 88.0),
        ("aami-fleet: Hottest GPU", "gpu-007", 88.0),
        ("aami-fleet: GPU power", "gpu-008", 1310.56),
        // dcgm-exporter tells no power here, all-smi does.
        ("aami-fleet: GPU power", "gpu-007", 612.44),
        ("aami-xid: Critical codes", ".*", 1.0),
        ("aami-xid: Lost GPUs", ".*", 1.0),
    ] {
        let values = of(whose, node);
        assert!(
            values.len() == 1 && (values[0] - wanted).abs() < 0.001,
            "{whose} of {node}: {values:?}, not {wanted}"
        );
    }
    assert_eq!(of("aami-xid: Silent GPUs Exporter up", ".*").len(), 1);
    // What is chosen is shown and nothing else: a node without GPUs has none.
    assert_eq!(
        of(
            "aami-gpu: Temperature {{node}} GPU {{gpu}} {{GPU_I_ID}}",
            "gpu-009"
        ),
        Vec::<f64>::new()
    );
}
