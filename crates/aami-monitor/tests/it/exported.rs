//! Each metric that a rule looks at is exported by somebody: it stands in recorded output of an exporter, in the list of
//! counters that AAMI gives to dcgm-exporter, or here with a reason.

use std::collections::BTreeSet;

use aami_monitor::presets;
use aami_monitor::promql::Expression;

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
    include_str!("fixtures/checks.prom"),
];

/// The names of all samples.
fn recorded() -> BTreeSet<&'static str> {
    let lines = RECORDED.iter().flat_map(|text| text.lines());
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .filter(|name| !name.is_empty())
        .collect()
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
