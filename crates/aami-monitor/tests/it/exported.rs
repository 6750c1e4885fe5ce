//! Each metric that a rule looks at is exported by somebody: it stands in recorded output of an exporter, in the list of
//! counters that AAMI gives to dcgm-exporter, or here with a reason.

use std::collections::BTreeSet;

use aami_monitor::promql::Expression;
use aami_monitor::{presets, rules};
use serde::Deserialize;

/// What no exporter's output here holds, and who makes it all the same.
const OTHERS: &[(&str, &str)] = &[
    ("up", "Prometheus itself, for each target"),
    ("aami:gpu_fb_used:ratio", "recorded beside the rules"),
    ("aami_declared_node", "recorded from the nodes that are declared"),
    ("aami_declared_gpus", "recorded from the nodes that are declared"),
    ("aami_node_info", "the control plane's own metrics"),
    (
        "aami_check_value",
        "checks, by AAMI's own textfile (aami-plans, node/check/render.rs)",
    ),
    (
        "all_smi_gpu_temperature_threshold_slowdown_celsius",
        "all-smi 0.28, for GPUs whose driver tells it; not in its shorter output here",
    ),
];

const RECORDED: &[&str] = &[
    include_str!("fixtures/dcgm_exporter_metrics.txt"),
    include_str!("fixtures/dcgm_exporter_more_counters.txt"),
    include_str!("fixtures/all_smi_metrics.txt"),
    include_str!("fixtures/node_exporter_metrics.txt"),
    include_str!("fixtures/node_exporter_storage_metrics.txt"),
    include_str!("fixtures/agent_metrics.txt"),
    include_str!("fixtures/control_plane_metrics.txt"),
    include_str!("fixtures/checks.prom"),
];

/// What a rule file says, as far as it is looked at here.
#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    alert: String,
    expr: String,
}

/// The names of all samples.
fn recorded() -> BTreeSet<&'static str> {
    RECORDED.iter().flat_map(|text| samples(text)).collect()
}

fn samples(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .filter(|name| !name.is_empty())
}

/// The names in the list of counters.
fn counters() -> BTreeSet<&'static str> {
    include_str!("../../../aami-plans/src/node/dcgm-counters.csv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(',').next())
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_metric_of_every_rule_is_exported() {
    let (recorded, counters) = (recorded(), counters());
    let mut used = BTreeSet::new();
    for rule in presets::ids().flat_map(presets::rules_of) {
        for metric in Expression::parse(&rule.expr).unwrap().metrics() {
            let is_known = recorded.contains(metric)
                || counters.contains(metric)
                || OTHERS.iter().any(|(name, _)| *name == metric);
            assert!(is_known, "{} looks at {metric}, which nobody exports", rule.alert);
            used.insert(metric.to_owned());
        }
    }
    for (name, reason) in OTHERS {
        assert!(
            used.contains(*name),
            "no rule looks at {name} ({reason}) any more"
        );
    }
}

#[test]
fn every_metric_of_the_rules_about_aami_itself_is_exported_by_the_control_plane() {
    // What is recorded here is compared with a control plane at work in aami-server's tests (exported.rs).
    let recorded: BTreeSet<&str> = samples(include_str!("fixtures/control_plane_metrics.txt")).collect();
    let agent = include_str!("../../../aami-agent/src/daemon/metrics.rs");
    let mut used = BTreeSet::new();
    for text in rules::texts().unwrap() {
        let file: File = serde_saphyr::from_str(&text).unwrap();
        for rule in file.groups.into_iter().flat_map(|group| group.rules) {
            for metric in Expression::parse(&rule.expr).unwrap().metrics() {
                let alert = &rule.alert;
                assert!(
                    recorded.contains(metric),
                    "{alert} looks at {metric}, which no control plane exports"
                );
                // Where an agent is scraped as well, a sum over both would count twice.
                assert!(
                    !agent.contains(&format!("\"{metric}\"")),
                    "{alert} sums {metric}, which agents export as well"
                );
                used.insert(metric.to_owned());
            }
        }
    }
    assert_eq!(
        used.len(),
        recorded.len(),
        "only what a rule looks at is recorded"
    );
}

#[test]
fn the_agents_metrics_are_those_of_its_source() {
    let source = include_str!("../../../aami-agent/src/daemon/metrics.rs");
    for name in include_str!("fixtures/agent_metrics.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
    {
        let general = name
            .replacen("aami_sxid_", "aami_{name}_", 1)
            .replacen("aami_xid_", "aami_{name}_", 1);
        assert!(source.contains(name) || source.contains(&general), "{name}");
    }
}
