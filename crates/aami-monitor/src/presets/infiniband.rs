//! InfiniBand and RoCE ports, by node_exporter's collector `infiniband`.
//!
//! A port that was never up and has no light is one without a cable, and alerts nobody; one that was up within a week, or
//! has light and no subnet manager, does.

use aami_model::finding::Severity;

use crate::rules::Rule;

const PORT: &str = "cluster, node, device, port";

const SAID: &str = "port {{ $labels.port }} of {{ $labels.device }} of {{ $labels.node }}";

/// States of a port: 4 is active. Physical states: 3 is disabled by the operator, 5 is a link that is up.
pub(super) fn down() -> Vec<Rule> {
    vec![
        Rule::new(
            "IBPortDown",
            Severity::Critical,
            "2m",
            format!(
                "node_infiniband_state_id != 4 unless on ({PORT}) node_infiniband_physical_state_id == 3 \
                 and on ({PORT}) (node_infiniband_physical_state_id == 5 or max_over_time(node_infiniband_state_id[7d]) >= 4)"
            ),
        )
        .saying(
            &format!("The link at {SAID} is down"),
            "Jobs over several nodes fail or crawl. Look at the cable, the switch port and the subnet manager; `ibstat \
             {{ $labels.device }}` on the node says what it sees.",
        ),
    ]
}

pub(super) fn flap() -> Vec<Rule> {
    vec![
        Rule::new(
            "IBLinkFlap",
            Severity::Warning,
            "0m",
            "increase(node_infiniband_link_downed_total[1h]) >= 1",
        )
        .saying(
            &format!("The link at {SAID} went down and came back"),
            "{{ $value | humanize }} times within an hour. A job that ran over it has failed. Clean or change cable and \
             transceiver when it happens again.",
        ),
    ]
}

/// Slower than it was: another card of the same node may be slower by design.
pub(super) fn rate() -> Vec<Rule> {
    vec![
        Rule::new(
            "IBRateDegraded",
            Severity::Warning,
            "10m",
            format!(
                "node_infiniband_rate_bytes_per_second < max_over_time(node_infiniband_rate_bytes_per_second[7d]) \
                 and on ({PORT}) node_infiniband_state_id == 4"
            ),
        )
        .saying(
            &format!("The link at {SAID} is slower than it was"),
            "It has agreed on {{ $value | humanize }} bytes a second, less than within the last week: lanes are lost. Clean \
             or change cable and transceiver.",
        ),
    ]
}

pub(super) fn errors() -> Vec<Rule> {
    let rule = |alert, lasting, expr: &str, what: &str| {
        Rule::new(alert, Severity::Warning, lasting, expr).saying(
            &format!("The link at {SAID} {what}"),
            "{{ $value | humanize }} is more than a sound link has. Clean or change cable and transceiver; `ibdiagnet` names \
             the other end.",
        )
    };
    vec![
        // About what a link with one wrong bit in 10^12 has.
        rule(
            "IBSymbolErrors",
            "0m",
            "increase(node_infiniband_symbol_error_total[1h]) > 120",
            "has many symbol errors an hour",
        ),
        rule(
            "IBLinkRecovering",
            "0m",
            "increase(node_infiniband_link_error_recovery_total[5m]) > 25",
            "recovers again and again",
        ),
        rule(
            "IBReceiveErrors",
            "5m",
            "rate(node_infiniband_port_errors_received_total[5m]) > 10",
            "receives broken packets",
        ),
        rule(
            "IBDiscards",
            "5m",
            "rate(node_infiniband_port_discards_transmitted_total[5m]) > 100",
            "throws packets away",
        ),
    ]
}
