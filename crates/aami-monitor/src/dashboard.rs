//! Dashboards, in Grafana's JSON model.
//! <https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/>
//!
//! A dashboard is a list of [`Panel`]s, each with one query; [`Dashboard::render`] writes the JSON. Every query
//! is run against a real Prometheus by the tests, after a real run told it its numbers.

use serde_json::{Value, json};

/// The schema of the JSON that is written: what Grafana 11 writes itself; later versions migrate it.
const SCHEMA: u32 = 39;

/// How a panel shows what its query gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// How each series' state changed over time.
    StateTimeline,
    /// The names of what there is now.
    Names,
    /// A number now.
    Number {
        /// Grafana's name of its unit.
        unit: &'static str,
        /// From which value on it is shown as bad.
        bad_from: Option<u32>,
    },
    /// A share from 0 to 1, now.
    Share,
}

/// One panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panel {
    /// Its title.
    pub title: &'static str,
    /// What it answers, for whoever hovers over it.
    pub description: &'static str,
    /// PromQL. `$cluster` and `$host` are the dashboard's variables, regular expressions.
    pub query: &'static str,
    /// What a series is called, e.g. `{{step}}`.
    pub legend: &'static str,
    /// How it is shown.
    pub shown: Shown,
    /// Where: column, row, width, height, in Grafana's grid of 24 columns.
    at: [u32; 4],
}

/// A dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    /// Its stable id, and the name of its file without `.json`.
    pub uid: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its panels.
    pub panels: Vec<Panel>,
}

/// `Installation status`: how far each host's installation is, what it is at, how long it has taken and what
/// failed.
///
/// A step may be told by several (the node's textfile, remote write, the control plane), so each query first
/// makes one series of them with `max by`.
pub fn installation() -> Dashboard {
    Dashboard {
        uid: "aami-installation",
        title: "Installation status",
        panels: vec![
            Panel {
                title: "Step Progress",
                description: "Each step of each host's last run, over time.",
                query: r#"max by (cluster, host, plan, step) (aami_install_step_status{cluster=~"$cluster", host=~"$host"})"#,
                legend: "{{host}} {{plan}}: {{step}}",
                shown: Shown::StateTimeline,
                at: [0, 5, 24, 14],
            },
            Panel {
                title: "Current Step",
                // The largest status of all steps names none; a step in progress or failed does.
                description: "The steps at work now, and those that failed.",
                query: r#"max by (cluster, host, plan, step) ((aami_install_step_status{cluster=~"$cluster", host=~"$host"} == 1) or (aami_install_step_status{cluster=~"$cluster", host=~"$host"} == 3))"#,
                legend: "{{host}}: {{step}}",
                shown: Shown::Names,
                at: [0, 0, 8, 5],
            },
            Panel {
                title: "Installation Duration",
                // Time since the start goes on for ever after the end; then it is what the steps took.
                description: "How long the run has been at work; once it has ended, how long its steps took together.",
                query: r#"((time() - max by (cluster, host, plan) (aami_install_started_timestamp_seconds{cluster=~"$cluster", host=~"$host"})) and on (cluster, host, plan) (max by (cluster, host, plan) (aami_install_step_status{cluster=~"$cluster", host=~"$host"} == 1))) or sum by (cluster, host, plan) (max by (cluster, host, plan, step) (aami_install_step_duration_seconds{cluster=~"$cluster", host=~"$host"}))"#,
                legend: "{{host}} {{plan}}",
                shown: Shown::Number {
                    unit: "s",
                    bad_from: None,
                },
                at: [8, 0, 6, 5],
            },
            Panel {
                title: "Failure Count",
                // Counting nothing gives no number; none failed is 0.
                description: "How many steps stand as failed.",
                query: r#"count(max by (cluster, host, plan, step) (aami_install_step_status{cluster=~"$cluster", host=~"$host"}) == 3) or vector(0)"#,
                legend: "failed steps",
                shown: Shown::Number {
                    unit: "none",
                    bad_from: Some(1),
                },
                at: [14, 0, 4, 5],
            },
            Panel {
                title: "Progress",
                description: "The share of the last run's steps that hold.",
                query: r#"max by (cluster, host, plan) (aami_install_progress_ratio{cluster=~"$cluster", host=~"$host"})"#,
                legend: "{{host}} {{plan}}",
                shown: Shown::Share,
                at: [18, 0, 6, 5],
            },
        ],
    }
}

fn data_source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// The names of the four states, as colours and words.
fn states() -> Value {
    let state =
        |text: &str, colour: &str, index: u32| json!({ "text": text, "color": colour, "index": index });
    json!([{ "type": "value", "options": {
        "0": state("pending", "text", 0),
        "1": state("in progress", "blue", 1),
        "2": state("completed", "green", 2),
        "3": state("failed", "red", 3),
    }}])
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query", "datasource": data_source(),
        "definition": query, "query": { "query": query, "refId": name },
        "refresh": 2, "sort": 1, "multi": true, "includeAll": true,
        // A run that has not registered yet has no host: `.*` finds it, a list of names would not.
        "allValue": ".*", "current": { "text": ["All"], "value": ["$__all"] },
    })
}

impl Panel {
    /// Whether its query is asked over the shown time; else as of its end.
    pub const fn is_over_time(&self) -> bool {
        matches!(self.shown, Shown::StateTimeline)
    }

    fn render(&self, id: usize) -> Value {
        let (kind, options, defaults) = match self.shown {
            Shown::StateTimeline => (
                "state-timeline",
                json!({ "mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.8,
                        "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
                        "tooltip": { "mode": "single" } }),
                json!({ "mappings": states(), "color": { "mode": "thresholds" },
                        "custom": { "fillOpacity": 80, "lineWidth": 0 } }),
            ),
            Shown::Names => (
                "stat",
                stat("name"),
                json!({ "mappings": states(), "color": { "mode": "thresholds" }, "noValue": "none",
                        "thresholds": thresholds(&[(None, "blue"), (Some(3), "red")]) }),
            ),
            Shown::Number { unit, bad_from } => {
                let mut steps = vec![(None, "green")];
                steps.extend(bad_from.map(|from| (Some(from), "red")));
                (
                    "stat",
                    stat("auto"),
                    json!({ "unit": unit, "noValue": "none", "color": { "mode": "thresholds" },
                            "thresholds": thresholds(&steps) }),
                )
            }
            Shown::Share => (
                "bargauge",
                json!({ "orientation": "horizontal", "displayMode": "basic", "showUnfilled": true,
                        "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false } }),
                json!({ "unit": "percentunit", "min": 0, "max": 1, "noValue": "none",
                        "color": { "mode": "thresholds" }, "thresholds": thresholds(&[(None, "green")]) }),
            ),
        };
        let [x, y, w, h] = self.at;
        json!({
            "id": id, "title": self.title, "description": self.description, "type": kind,
            "datasource": data_source(),
            "gridPos": { "x": x, "y": y, "w": w, "h": h },
            "targets": [{
                "refId": "A", "datasource": data_source(), "editorMode": "code",
                "expr": self.query, "legendFormat": self.legend,
                "instant": !self.is_over_time(), "range": self.is_over_time(),
            }],
            "options": options,
            "fieldConfig": { "defaults": defaults, "overrides": [] },
        })
    }
}

fn stat(text: &str) -> Value {
    json!({ "textMode": text, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false } })
}

fn thresholds(steps: &[(Option<u32>, &str)]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .map(|(value, colour)| json!({ "value": value, "color": colour }))
        .collect();
    json!({ "mode": "absolute", "steps": steps })
}

impl Dashboard {
    /// The JSON that Grafana reads from a provisioning folder, and that its import page takes.
    pub fn render(&self) -> String {
        let panels: Vec<Value> = self
            .panels
            .iter()
            .enumerate()
            .map(|(at, panel)| panel.render(at + 1))
            .collect();
        let dashboard = json!({
            "uid": self.uid, "title": self.title, "tags": ["aami"],
            "schemaVersion": SCHEMA, "version": 1, "editable": true, "graphTooltip": 1,
            "refresh": "10s", "time": { "from": "now-1h", "to": "now" }, "timezone": "browser",
            "templating": { "list": [
                { "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" },
                variable("cluster", "Cluster", "label_values(aami_install_step_status, cluster)"),
                variable("host", "Host", r#"label_values(aami_install_step_status{cluster=~"$cluster"}, host)"#),
            ]},
            "annotations": { "list": [] }, "links": [],
            "panels": panels,
        });
        format!("{dashboard:#}\n")
    }
}
