//! One node.

use super::select::{EXPORTERS, GPU_LEGEND, Gpus, NODES};
use super::variable::{CLUSTER, NODE};
use super::{Colour, Dashboard, Panel, Section, Shown, State, Unit};

const HOT: &[(f64, Colour)] = &[(85.0, Colour::Yellow), (90.0, Colour::Red)];
const FULL: &[(f64, Colour)] = &[(0.8, Colour::Yellow), (0.9, Colour::Red)];
const ANY: &[(f64, Colour)] = &[(1.0, Colour::Yellow)];

const UP: &[State] = &[
    State {
        value: 0,
        text: "down",
        colour: Colour::Red,
    },
    State {
        value: 1,
        text: "up",
        colour: Colour::Green,
    },
];

/// What a check found.
const CHECKS: &[State] = &[
    State {
        value: 0,
        text: "ok",
        colour: Colour::Green,
    },
    State {
        value: 1,
        text: "warning",
        colour: Colour::Yellow,
    },
    State {
        value: 2,
        text: "critical",
        colour: Colour::Red,
    },
    State {
        value: 3,
        text: "unknown",
        colour: Colour::Plain,
    },
];

/// The states of a port of InfiniBand (IBTA, PortState).
const PORTS: &[State] = &[
    State {
        value: 1,
        text: "down",
        colour: Colour::Red,
    },
    State {
        value: 2,
        text: "initialising",
        colour: Colour::Yellow,
    },
    State {
        value: 3,
        text: "armed",
        colour: Colour::Yellow,
    },
    State {
        value: 4,
        text: "active",
        colour: Colour::Green,
    },
];

/// Network devices that are no wire.
const VIRTUAL: &str = "lo|veth.*|docker.*|br-.*|virbr.*|cni.*|cali.*|flannel.*";
/// File systems that are no disk.
const NO_DISK: &str = "tmpfs|devtmpfs|ramfs|overlay|squashfs|iso9660|fuse.*";

/// `Node`: whether its exporters answer, its GPUs, and what they live on: processor, memory, disks, network, clock.
pub fn node() -> Dashboard {
    Dashboard {
        uid: "aami-node",
        title: "Node",
        description: "One node: its exporters, GPUs, processor, memory, disks, network, clock and checks.",
        variables: vec![CLUSTER, NODE.one()],
        sections: vec![
            Section::of("Now", now()),
            Section::of("GPUs", gpus()),
            Section::of("Processor and memory", host()),
            Section::of("Disks", disks()),
            Section::of("Network", network()),
            Section::of("InfiniBand", infiniband()),
            Section::of("Clock and checks", rest()),
        ],
    }
}

fn now() -> Vec<Panel> {
    vec![
        Panel::new(
            Shown::StateTimeline,
            "Exporters",
            "{{job}}",
            format!("max by (job) (up{{{EXPORTERS}}})"),
        )
        .states(UP)
        .says("Whether Prometheus gets an answer, by job.")
        .sized(12, 5),
        Panel::number(
            "Up for",
            Unit::Seconds,
            format!("time() - node_boot_time_seconds{{{NODES}}}"),
        )
        .says("Since the node was started.")
        .sized(4, 5),
        Panel::number(
            "Alerts",
            Unit::Count,
            format!(r#"count(ALERTS{{alertstate="firing", {NODES}}}) or vector(0)"#),
        )
        .coloured(ANY)
        .sized(4, 5),
        Panel::number(
            "GPUs",
            Unit::Count,
            format!("count({}) or vector(0)", Gpus::OfNodes.each()),
        )
        .sized(4, 5),
    ]
}

fn gpus() -> Vec<Panel> {
    let gpus = Gpus::OfNodes;
    let lines = |title, unit, expr: String| Panel::lines(title, unit, GPU_LEGEND, expr);
    vec![
        lines("GPU utilisation", Unit::Percent, gpus.utilisation()),
        lines("GPU temperature", Unit::Celsius, gpus.temperature()).coloured(HOT),
        lines("GPU memory used", Unit::Bytes, gpus.memory_used()),
        lines("GPU power", Unit::Watts, gpus.power()),
    ]
}

fn host() -> Vec<Panel> {
    vec![
        Panel::new(
            Shown::Stacked,
            "Processor",
            "{{mode}}",
            format!(
                r#"sum by (mode) (rate(node_cpu_seconds_total{{mode!="idle", {NODES}}}[$__rate_interval])) / on () group_left () count(node_cpu_seconds_total{{mode="idle", {NODES}}})"#
            ),
        )
        .unit(Unit::Share)
        .says("The share of all cores at work, by what they do."),
        Panel::lines("Load", Unit::Count, "1 minute", format!("node_load1{{{NODES}}}"))
            .and("15 minutes", format!("node_load15{{{NODES}}}"))
            .and("cores", format!(r#"count(node_cpu_seconds_total{{mode="idle", {NODES}}})"#)),
        Panel::lines(
            "Memory",
            Unit::Bytes,
            "used",
            format!("node_memory_MemTotal_bytes{{{NODES}}} - node_memory_MemAvailable_bytes{{{NODES}}}"),
        )
        .and("all", format!("node_memory_MemTotal_bytes{{{NODES}}}")),
        Panel::lines(
            "Waiting",
            Unit::Share,
            "for the processor",
            format!("rate(node_pressure_cpu_waiting_seconds_total{{{NODES}}}[$__rate_interval])"),
        )
        .and(
            "for memory",
            format!("rate(node_pressure_memory_waiting_seconds_total{{{NODES}}}[$__rate_interval])"),
        )
        .and(
            "for disks",
            format!("rate(node_pressure_io_waiting_seconds_total{{{NODES}}}[$__rate_interval])"),
        )
        .says("The share of time in which something waited (pressure stall information)."),
    ]
}

fn disks() -> Vec<Panel> {
    let of_disks = format!(r#"fstype!~"{NO_DISK}", {NODES}"#);
    vec![
        Panel::lines(
            "File systems",
            Unit::Share,
            "{{mountpoint}}",
            format!(
                "1 - max by (mountpoint) (node_filesystem_avail_bytes{{{of_disks}}}) / max by (mountpoint) (node_filesystem_size_bytes{{{of_disks}}} > 0)"
            ),
        )
        .coloured(FULL)
        .says("The share that is used."),
        Panel::lines(
            "Read and written",
            Unit::BytesPerSecond,
            "{{device}} read",
            format!("sum by (device) (rate(node_disk_read_bytes_total{{{NODES}}}[$__rate_interval]))"),
        )
        .and(
            "{{device}} written",
            format!("sum by (device) (rate(node_disk_written_bytes_total{{{NODES}}}[$__rate_interval]))"),
        ),
    ]
}

fn network() -> Vec<Panel> {
    let of_wires = format!(r#"device!~"{VIRTUAL}", {NODES}"#);
    let rate = |metric: &str| format!("sum by (device) (rate({metric}{{{of_wires}}}[$__rate_interval]))");
    vec![
        Panel::lines(
            "Network",
            Unit::BytesPerSecond,
            "{{device}} received",
            rate("node_network_receive_bytes_total"),
        )
        .and("{{device}} sent", rate("node_network_transmit_bytes_total")),
        Panel::lines(
            "Network errors",
            Unit::PerSecond,
            "{{device}} received",
            rate("node_network_receive_errs_total"),
        )
        .and("{{device}} sent", rate("node_network_transmit_errs_total")),
    ]
}

fn infiniband() -> Vec<Panel> {
    let rate = |metric: &str| {
        format!("sum by (device, port) (rate(node_infiniband_{metric}{{{NODES}}}[$__rate_interval]))")
    };
    vec![
        Panel::new(
            Shown::StateTimeline,
            "Ports",
            "{{device}} {{port}}",
            format!("max by (device, port) (node_infiniband_state_id{{{NODES}}})"),
        )
        .states(PORTS),
        Panel::lines(
            "InfiniBand",
            Unit::BytesPerSecond,
            "{{device}} {{port}} received",
            rate("port_data_received_bytes_total"),
        )
        .and(
            "{{device}} {{port}} sent",
            rate("port_data_transmitted_bytes_total"),
        ),
        Panel::lines(
            "Links lost",
            Unit::Count,
            "{{device}} {{port}}",
            format!(
                "sum by (device, port) (increase(node_infiniband_link_downed_total{{{NODES}}}[$__range]))"
            ),
        )
        .coloured(ANY)
        .says("How often a link went down within the shown time."),
        Panel::lines(
            "Errors",
            Unit::PerSecond,
            "{{device}} {{port}} symbols",
            rate("symbol_error_total"),
        )
        .and("{{device}} {{port}} received", rate("port_errors_received_total")),
    ]
}

fn rest() -> Vec<Panel> {
    vec![
        Panel::lines(
            "Clock",
            Unit::Seconds,
            "off by",
            format!("abs(node_timex_offset_seconds{{{NODES}}})"),
        )
        .says("By how much the kernel believes the clock to be off."),
        Panel::new(
            Shown::StateTimeline,
            "Checks",
            "{{check}}",
            format!("max by (check) (aami_check_status{{{NODES}}})"),
        )
        .states(CHECKS)
        .says("What the checks of this node found."),
        Panel::lines(
            "Checks last done",
            Unit::Seconds,
            "{{check}}",
            format!("time() - max by (check) (aami_check_last_run_timestamp_seconds{{{NODES}}})"),
        )
        .says("How long ago each check was done. One that is no longer done looks well for ever."),
    ]
}
