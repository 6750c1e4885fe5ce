//! The fleet at one look.

use super::select::{EXPORTERS, Gpus, NODES};
use super::variable::{CLUSTER, NODE};
use super::{Colour, Dashboard, Panel, Query, Section, Shown, Unit};

const BAD: &[(f64, Colour)] = &[(1.0, Colour::Red)];
const WORTH_A_LOOK: &[(f64, Colour)] = &[(1.0, Colour::Yellow)];
const HOT: &[(f64, Colour)] = &[(85.0, Colour::Yellow), (90.0, Colour::Red)];
const FULL: &[(f64, Colour)] = &[(0.98, Colour::Yellow)];

/// `Fleet`: which nodes are there, what alerts, how busy, hot and full the GPUs are, and what each node tells.
pub fn fleet() -> Dashboard {
    Dashboard {
        uid: "aami-fleet",
        title: "Fleet",
        description: "Which nodes are there, what alerts, and how busy, hot and full the GPUs are.",
        variables: vec![CLUSTER, NODE],
        sections: vec![
            Section::of("Now", now()),
            Section::of("Nodes", nodes()),
            Section::of("Over time", over_time()),
            Section::of("Trouble", trouble()),
        ],
    }
}

/// A node is up while one of its exporters is.
fn is_up() -> String {
    format!("max by (cluster, node) (up{{{EXPORTERS}}})")
}

fn alerts(severity: &str) -> String {
    format!(r#"count(ALERTS{{alertstate="firing", severity="{severity}", {NODES}}}) or vector(0)"#)
}

/// A count among others in one line.
fn small(title: &'static str, expr: String) -> Panel {
    Panel::number(title, Unit::Count, expr).sized(3, 4)
}

fn now() -> Vec<Panel> {
    let gpus = Gpus::OfNodes;
    let each = gpus.each();
    let up = is_up();
    vec![
        small("Nodes up", format!("count({up} == 1) or vector(0)"))
            .says("Nodes of which at least one exporter answers."),
        small("Nodes down", format!("count({up} == 0) or vector(0)"))
            .says("Nodes of which no exporter answers.")
            .coloured(BAD),
        small(
            "Nodes missing",
            format!(
                r#"count(aami_declared_node{{state="active", {NODES}}} unless on (cluster, node) up) or vector(0)"#
            ),
        )
        .says("Nodes that are declared and in no list of targets. Declared are those the alert presets were made for.")
        .coloured(BAD),
        small(
            "In maintenance",
            format!(r#"count(aami_declared_node{{state="maintenance", {NODES}}}) or vector(0)"#),
        ),
        small("Exporters down", format!("count(up{{{EXPORTERS}}} == 0) or vector(0)")).coloured(WORTH_A_LOOK),
        small("GPUs", format!("count({each}) or vector(0)"))
            .says("GPUs that an exporter tells of. One that is lost is not among them."),
        small("Critical alerts", alerts("critical")).coloured(BAD),
        small("Warnings", alerts("warning")).coloured(WORTH_A_LOOK),
        Panel::number(
            "GPU utilisation",
            Unit::Percent,
            format!("avg({})", gpus.utilisation()),
        )
        .says("The mean over all GPUs.")
        .sized(6, 4),
        Panel::number("GPU memory", Unit::Share, format!("avg({})", gpus.memory_share()))
            .says("The mean over all GPUs.")
            .sized(6, 4),
        Panel::number(
            "Hottest GPU",
            Unit::Celsius,
            format!("max({})", gpus.temperature()),
        )
        .coloured(HOT)
        .sized(6, 4),
        Panel::number("GPU power", Unit::Watts, format!("sum({})", gpus.power()))
            .says("All GPUs together.")
            .sized(6, 4),
    ]
}

/// A number of each node, made of those of its GPUs.
fn of_nodes(how: &str, gpus: &str) -> String {
    format!("{how} by (cluster, node) ({gpus})")
}

fn nodes() -> Vec<Panel> {
    let gpus = Gpus::OfNodes;
    let columns = vec![
        Query::of(
            "Exporters up",
            Unit::Count,
            format!("sum by (cluster, node) (up{{{EXPORTERS}}})"),
        ),
        Query::of(
            "Exporters down",
            Unit::Count,
            format!(
                "count by (cluster, node) (up{{{EXPORTERS}}}) - sum by (cluster, node) (up{{{EXPORTERS}}})"
            ),
        )
        .coloured(BAD),
        Query::of("GPUs", Unit::Count, of_nodes("count", &gpus.each())),
        Query::of("Utilisation", Unit::Percent, of_nodes("avg", &gpus.utilisation())),
        Query::of("GPU memory", Unit::Share, of_nodes("avg", &gpus.memory_share())).coloured(FULL),
        Query::of("Hottest", Unit::Celsius, of_nodes("max", &gpus.temperature())).coloured(HOT),
        Query::of("GPU power", Unit::Watts, of_nodes("sum", &gpus.power())),
        Query::of(
            "Alerts",
            Unit::Count,
            format!(r#"count by (cluster, node) (ALERTS{{alertstate="firing", node!="", {NODES}}})"#),
        )
        .coloured(WORTH_A_LOOK),
    ];
    vec![
        Panel::table("Nodes", &[], columns)
            .says("A row for each node; its name leads to its own dashboard.")
            .sized(24, 12),
    ]
}

fn over_time() -> Vec<Panel> {
    let gpus = Gpus::OfNodes;
    let utilisation = of_nodes("avg", &gpus.utilisation());
    vec![
        Panel::lines(
            "GPU utilisation",
            Unit::Percent,
            "{{cluster}}",
            format!("avg by (cluster) ({})", gpus.utilisation()),
        )
        .says("The mean over the GPUs of a cluster."),
        Panel::lines(
            "Least busy nodes",
            Unit::Percent,
            "{{node}}",
            format!("bottomk(10, {utilisation})"),
        )
        .says("The mean over the GPUs of a node, of the ten lowest."),
        Panel::lines(
            "Hottest nodes",
            Unit::Celsius,
            "{{node}}",
            format!("topk(10, {})", of_nodes("max", &gpus.temperature())),
        )
        .says("The hottest GPU of a node, of the ten highest.")
        .coloured(HOT),
        Panel::lines(
            "GPU power",
            Unit::Watts,
            "{{cluster}}",
            format!("sum by (cluster) ({})", gpus.power()),
        ),
        Panel::lines(
            "Nodes",
            Unit::Count,
            "up",
            format!("count({} == 1) or vector(0)", is_up()),
        )
        .and("down", format!("count({} == 0) or vector(0)", is_up())),
        Panel::new(
            Shown::Stacked,
            "Alerts firing",
            "{{alertname}}",
            format!(r#"count by (alertname) (ALERTS{{alertstate="firing", {NODES}}})"#),
        ),
    ]
}

fn trouble() -> Vec<Panel> {
    vec![
        Panel::table(
            "Alerts",
            &["__name__", "alertstate", "instance"],
            vec![Query::of(
                "Firing",
                Unit::Count,
                format!(r#"ALERTS{{alertstate="firing", {NODES}}}"#),
            )],
        )
        .says("What fires now.")
        .sized(14, 9),
        Panel::table(
            "Exporters down",
            &["__name__"],
            vec![Query::of("Up", Unit::Count, format!("up{{{EXPORTERS}}} == 0"))],
        )
        .says("Whom Prometheus asks without an answer. `aami diagnose NODE` says why.")
        .sized(10, 9),
    ]
}
