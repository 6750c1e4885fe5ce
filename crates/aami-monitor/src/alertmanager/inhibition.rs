//! Which alert makes another one superfluous.

use serde::Serialize;

/// Alertmanager takes a label that is absent for an empty one, and two empty ones for equal. Without this, an alert
/// about the whole cluster would hold back every other one that names no node.
const ABOUT_A_NODE: &str = "node=~\".+\"";

/// What tells one part of a node from another, in the words of the exporters: GPUs as dcgm-exporter and all-smi name
/// them, PCI addresses as dcgm-exporter and the agent write them, ports of InfiniBand, file systems, sensors, checks.
const PARTS: [&str; 12] = [
    "gpu",
    "UUID",
    "gpu_uuid",
    "pci_bus_id",
    "pci",
    "GPU_I_ID",
    "device",
    "port",
    "mountpoint",
    "chip",
    "sensor",
    "check",
];

/// One entry of `inhibit_rules`.
#[derive(Debug, Serialize)]
pub(super) struct Inhibition {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    equal: Vec<&'static str>,
}

/// A node that is down explains whatever else is said of it; what is critical says more than the warning about the
/// same part of the same node.
pub(super) fn all() -> Vec<Inhibition> {
    vec![
        of("alertname=\"NodeDown\"", "alertname!=\"NodeDown\"", &[]),
        of("severity=\"critical\"", "severity=~\"warning|info\"", &PARTS),
    ]
}

/// Alerts that fit `source` hold back those that fit `target`, of the same node and the same parts.
fn of(source: &str, target: &str, parts: &[&'static str]) -> Inhibition {
    let mut equal = vec!["cluster", "node"];
    equal.extend_from_slice(parts);
    Inhibition {
        source_matchers: vec![source.to_owned(), ABOUT_A_NODE.to_owned()],
        target_matchers: vec![target.to_owned(), ABOUT_A_NODE.to_owned()],
        equal,
    }
}
