//! Nodes and exporters that do not answer.
//!
//! A node is down when none of its exporters answers; one that does not answer beside others that do is an exporter that
//! is down. A node that left the list of targets has no `up` at all and is missed by name, where names are declared. Work
//! on a node that is declared to be in maintenance alerts nobody; a control plane silences its nodes in Alertmanager.

use aami_model::finding::Severity;

use super::NODE;
use crate::rules::Rule;

/// The jobs nodes are scraped under.
const JOBS: &str = "job=~\"node|dcgm|all_smi|aami|custom\"";

const AT_WORK: &str = "aami_declared_node{state=\"maintenance\"}";

const DO: &str = "`aami diagnose {{ $labels.node }}` looks at name, route, port and exporter in turn and names the first that \
                  fails. When the machine is off, its console or BMC says why.";

pub(super) fn down() -> Vec<Rule> {
    vec![
        Rule::new(
            "NodeDown",
            Severity::Critical,
            "2m",
            format!(
                "max without (instance, job) (up{{{JOBS},node!=\"\"}}) == 0 unless on ({NODE}) up{{{JOBS}}} == 1 \
                 unless on ({NODE}) {AT_WORK}"
            ),
        )
        .labelled("basis", "node")
        .saying("{{ $labels.node }} does not answer", DO),
        // In very large fleets targets carry no name of their own; it stands beside, in aami_node_info.
        Rule::new(
            "NodeDown",
            Severity::Critical,
            "2m",
            "(up{job=\"node\",node=\"\"} == 0) * on (cluster, instance, job) group_left (node) \
             max by (cluster, instance, job, node) (aami_node_info) \
             or (up{job=\"node\",node=\"\"} == 0 unless on (cluster, instance, job) aami_node_info)",
        )
        .labelled("basis", "address")
        .saying(
            "{{ with $labels.node }}{{ . }}{{ else }}{{ $labels.instance }}{{ end }} does not answer",
            "`aami diagnose {{ with $labels.node }}{{ . }}{{ else }}NODE{{ end }}` looks at name, route, port and exporter \
             in turn and names the first that fails.",
        ),
        Rule::new(
            "NodeMissing",
            Severity::Critical,
            "5m",
            format!("aami_declared_node{{state=\"active\"}} unless on ({NODE}) up"),
        )
        .saying(
            "{{ $labels.node }} is declared, and nobody looks at it",
            "Prometheus has no target of this name. `aami diff` shows what is declared and not applied; `aami diagnose \
             {{ $labels.node }}` names the hop.",
        ),
        Rule::new(
            "ExporterDown",
            Severity::Warning,
            "5m",
            format!(
                "up{{{JOBS},node!=\"\"}} == 0 and on ({NODE}) up{{{JOBS}}} == 1 unless on ({NODE}) {AT_WORK}"
            ),
        )
        .saying(
            "The exporter {{ $labels.job }} of {{ $labels.node }} does not answer",
            "Others on the node do. `aami diagnose {{ $labels.node }}` says whether it runs and whether its port is open.",
        ),
    ]
}
