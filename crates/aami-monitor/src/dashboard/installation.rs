//! How installations go.

use super::{Colour, Dashboard, Panel, Section, Shown, State, Unit, Variable};

/// What can be chosen: a host that installs may have no name yet, and its numbers may come from anywhere.
const CLUSTER: Variable = Variable {
    name: "cluster",
    label: "Cluster",
    query: "label_values(aami_install_step_status, cluster)",
    many: true,
};
const HOST: Variable = Variable {
    name: "host",
    label: "Host",
    query: r#"label_values(aami_install_step_status{cluster=~"$cluster"}, host)"#,
    many: true,
};

/// How a step stands.
const STEPS: &[State] = &[
    State {
        value: 0,
        text: "pending",
        colour: Colour::Plain,
    },
    State {
        value: 1,
        text: "in progress",
        colour: Colour::Blue,
    },
    State {
        value: 2,
        text: "completed",
        colour: Colour::Green,
    },
    State {
        value: 3,
        text: "failed",
        colour: Colour::Red,
    },
];

/// `Installation status`: how far each host's installation is, what it is at, how long it has taken and what
/// failed.
///
/// A step may be told by several (the node's textfile, remote write, the control plane), so each query first
/// makes one series of them with `max by`.
pub fn installation() -> Dashboard {
    Dashboard {
        uid: "aami-installation",
        title: "Installation status",
        description: "How far each host's installation is, what it is at, how long it has taken and what failed.",
        variables: vec![CLUSTER, HOST],
        sections: vec![Section::of(
            "",
            vec![
                // The largest status of all steps names none; a step in progress or failed does.
                Panel::new(
                    Shown::Names,
                    "Current Step",
                    "{{host}}: {{step}}",
                    r#"max by (cluster, host, plan, step) ((aami_install_step_status{cluster=~"$cluster", host=~"$host"} == 1) or (aami_install_step_status{cluster=~"$cluster", host=~"$host"} == 3))"#,
                )
                .says("The steps at work now, and those that failed.")
                .states(STEPS)
                .sized(8, 5),
                // Time since the start goes on for ever after the end; then it is what the steps took.
                Panel::new(
                    Shown::Number,
                    "Installation Duration",
                    "{{host}} {{plan}}",
                    r#"((time() - max by (cluster, host, plan) (aami_install_started_timestamp_seconds{cluster=~"$cluster", host=~"$host"})) and on (cluster, host, plan) (max by (cluster, host, plan) (aami_install_step_status{cluster=~"$cluster", host=~"$host"} == 1))) or sum by (cluster, host, plan) (max by (cluster, host, plan, step) (aami_install_step_duration_seconds{cluster=~"$cluster", host=~"$host"}))"#,
                )
                .says("How long the run has been at work; once it has ended, how long its steps took together.")
                .unit(Unit::Seconds)
                .sized(6, 5),
                // Counting nothing gives no number; none failed is 0.
                Panel::new(
                    Shown::Number,
                    "Failure Count",
                    "failed steps",
                    r#"count(max by (cluster, host, plan, step) (aami_install_step_status{cluster=~"$cluster", host=~"$host"}) == 3) or vector(0)"#,
                )
                .says("How many steps stand as failed.")
                .coloured(&[(1.0, Colour::Red)])
                .sized(4, 5),
                Panel::new(
                    Shown::Share,
                    "Progress",
                    "{{host}} {{plan}}",
                    r#"max by (cluster, host, plan) (aami_install_progress_ratio{cluster=~"$cluster", host=~"$host"})"#,
                )
                .says("The share of the last run's steps that hold.")
                .unit(Unit::Share)
                .sized(6, 5),
                Panel::new(
                    Shown::StateTimeline,
                    "Step Progress",
                    "{{host}} {{plan}}: {{step}}",
                    r#"max by (cluster, host, plan, step) (aami_install_step_status{cluster=~"$cluster", host=~"$host"})"#,
                )
                .says("Each step of each host's last run, over time.")
                .states(STEPS)
                .sized(24, 14),
            ],
        )],
    }
}
