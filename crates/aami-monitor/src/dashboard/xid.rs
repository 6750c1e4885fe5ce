//! What the NVIDIA driver wrote into the kernel's log.

use super::select::NODES;
use super::variable::{CLUSTER, NODE};
use super::{Colour, Dashboard, Panel, Query, Section, Shown, Unit};

const BAD: &[(f64, Colour)] = &[(1.0, Colour::Red)];

/// `Xid errors`: which codes each GPU and switch reported, when, and what may have been missed.
///
/// The agent reads the kernel's log itself and counts every line. What dcgm-exporter tells is the last code alone, so
/// it stands below, for nodes without an agent.
pub fn xid() -> Dashboard {
    Dashboard {
        uid: "aami-xid",
        title: "Xid errors",
        description: "Which Xid and SXid codes each GPU and switch reported, and when. `aami explain xid CODE` says what to do.",
        variables: vec![CLUSTER, NODE],
        sections: vec![
            Section::of("From the kernel's log", from_the_log()),
            Section::of("Switches", switches()),
            Section::of("From dcgm-exporter", from_dcgm()),
            Section::of("What may be missing", missing()),
        ],
    }
}

/// How often codes were written within the shown time.
fn written(kind: &str, by: &str) -> String {
    format!("sum by ({by}) (increase(aami_{kind}_total{{{NODES}}}[$__range]))")
}

/// When codes were written last, in milliseconds, the latest first.
fn last(kind: &str) -> String {
    format!(
        "sort_desc(max by (cluster, node, pci, code, severity) (aami_{kind}_last_seen_timestamp_seconds{{{NODES}}}) * 1000)"
    )
}

fn over_time(kind: &str) -> String {
    format!("sum by (code) (increase(aami_{kind}_total{{{NODES}}}[$__rate_interval])) > 0")
}

fn from_the_log() -> Vec<Panel> {
    vec![
        Panel::number(
            "Critical codes",
            Unit::Count,
            format!(
                r#"count(aami_xid_last_seen_timestamp_seconds{{severity="critical", {NODES}}} > time() - $__range_s) or vector(0)"#
            ),
        )
        .says("Codes of GPUs that were written as critical within the shown time.")
        .coloured(BAD)
        .sized(6, 8),
        Panel::new(Shown::Bars, "Xids", "{{code}}", over_time("xid"))
            .says("Lines of the kernel's log, by code. One event can write thousands.")
            .sized(18, 8),
        Panel::table(
            "Last written",
            &[],
            vec![Query::of("When", Unit::Moment, last("xid"))],
        )
        .says("For each GPU and code, when it was written last. `aami explain xid CODE` says what it means.")
        .sized(14, 10),
        Panel::table(
            "By node",
            &[],
            vec![Query::of(
                "Lines",
                Unit::Count,
                format!("topk(20, {} > 0)", written("xid", "cluster, node, code")),
            )],
        )
        .says("The most written codes within the shown time.")
        .sized(10, 10),
    ]
}

fn switches() -> Vec<Panel> {
    vec![
        Panel::new(Shown::Bars, "SXids", "{{code}}", over_time("sxid"))
            .says("Lines about NVSwitches, by code.")
            .sized(12, 8),
        Panel::table(
            "Last written",
            &[],
            vec![Query::of("When", Unit::Moment, last("sxid"))],
        )
        .says("For each switch and code, when it was written last. `aami explain sxid CODE` says what it means.")
        .sized(12, 8),
    ]
}

fn from_dcgm() -> Vec<Panel> {
    vec![
        Panel::table(
            "Last code",
            &[],
            vec![Query::of(
                "Xid",
                Unit::Count,
                format!(
                    "max by (cluster, node, gpu, UUID, err_code, err_msg) (DCGM_FI_DEV_XID_ERRORS{{{NODES}}} < 9e18) > 0"
                ),
            )],
        )
        .says("The last code of each GPU since its exporter started, however long ago. A burst shows its last alone.")
        .sized(24, 7),
    ]
}

fn missing() -> Vec<Panel> {
    vec![
        Panel::number(
            "Lost GPUs",
            Unit::Count,
            format!("sum(aami_agent_gpus_expected{{{NODES}}} - aami_agent_gpus_usable{{{NODES}}}) or vector(0)"),
        )
        .says("GPUs that nodes enrolled with and cannot use now.")
        .coloured(BAD)
        .sized(6, 6),
        Panel::table(
            "Silent GPUs",
            &["__name__", "job"],
            vec![Query::of(
                "Exporter up",
                Unit::Count,
                format!(r#"up{{job="dcgm", {NODES}}} == 1 unless on (cluster, node) DCGM_FI_DEV_GPU_TEMP{{{NODES}}}"#),
            )],
        )
        .says("Nodes whose dcgm-exporter answers and tells of no GPU: after some Xids DCGM asks the driver nothing more.")
        .sized(10, 6),
        Panel::lines(
            "Kernel records lost",
            Unit::Count,
            "{{node}}",
            format!("increase(aami_agent_kernel_records_lost_total{{{NODES}}}[$__rate_interval])"),
        )
        .says("Records of the kernel's log that were overwritten before the agent could read them.")
        .sized(8, 6),
    ]
}
