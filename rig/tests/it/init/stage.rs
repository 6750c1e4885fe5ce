//! The machine of an operator without a server, and what they look at after `aami init`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Picture, Release, wait_until};
use serde_json::Value;

use crate::server_install::stage::Stage;
use crate::site::Typing as _;

/// What is typed, with the place everything comes from.
pub(crate) const INIT: &str = "/root/aami init --components-dir /root/components";

/// What runs afterwards, and the users they are.
const UNITS: [(&str, &str); 4] = [
    ("aami-prometheus", "aami-prometheus"),
    ("aami-alertmanager", "aami-alertmanager"),
    ("aami-grafana", "aami-grafana"),
    ("aami-node-exporter", "node_exporter"),
];

/// An operator's machine with this build's programs and a folder of components in `/root`.
pub(crate) struct Operator {
    pub(crate) stage: Stage,
}

impl Operator {
    /// Boots one.
    pub(crate) fn boot(net: &Net) -> Result<Self> {
        let stage = Stage::boot(net, Release::Bookworm, "operator")?;
        Ok(Self { stage })
    }

    /// One that has only what is on this node.
    pub(crate) const fn of(node: Node) -> Self {
        Self {
            stage: Stage { node },
        }
    }

    pub(crate) const fn node(&self) -> &Node {
        &self.stage.node
    }

    /// Fails unless everything runs as its own user, answers, watches this machine itself, and has the rules of the
    /// configuration.
    pub(crate) fn all_well(&self) -> Result<()> {
        for (unit, user) in UNITS {
            let own = self
                .node()
                .sh(&format!("stat -c %U /proc/$(systemctl show -P MainPID {unit})"))?
                .ok()
                .with_context(|| format!("{unit}\n{}", self.stage.journal()))?;
            ensure!(own.trim() == user, "{unit} runs as {own}");
        }
        for url in ["9090/-/ready", "9093/-/ready", "3000/api/health"] {
            self.node()
                .sh(&format!("curl -sf http://127.0.0.1:{url}"))?
                .ok()
                .with_context(|| url.to_owned())?;
        }
        self.node().types_well("/root/aami server status")?;
        self.node().types_well("/root/aami alerts list")?;
        wait_until(Duration::from_secs(40), "this machine is scraped", || {
            let up = self.stage.query("up{job=\"node\",node=\"operator\"}")?;
            ensure!(up == ["1"], "{up:?}");
            Ok(())
        })?;
        self.node().types_well("/root/aami status").map(drop)
    }

    /// The main process of each, in the order of their names here; 0 where none runs.
    pub(crate) fn pids(&self) -> Result<Vec<String>> {
        let names = UNITS.map(|(unit, _)| unit).join(" ");
        let said = self
            .node()
            .sh(&format!("systemctl show -P MainPID {names}"))?
            .ok()?;
        Ok(said.split_whitespace().map(str::to_owned).collect())
    }

    /// Which of them have another process than in `before`.
    pub(crate) fn begun_anew(&self, before: &[String]) -> Result<Vec<&'static str>> {
        let now = self.pids()?;
        let pairs = before.iter().zip(&now).zip(UNITS);
        Ok(pairs
            .filter(|((before, now), _)| before != now)
            .map(|(_, (unit, _))| unit)
            .collect())
    }

    /// When Prometheus last read its configuration.
    pub(crate) fn read_at(&self) -> Result<String> {
        let metrics = self.node().sh("curl -sf http://127.0.0.1:9090/metrics")?.ok()?;
        let name = "prometheus_config_last_reload_success_timestamp_seconds ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned).context("Prometheus does not say")
    }

    /// What changed since, beside the programs' own data and who held a lock last.
    pub(crate) fn changes_since(&self, picture: &Picture) -> Result<Vec<String>> {
        let mut changes = self.stage.changes_since(picture)?;
        changes.retain(|change| !change.contains("/.aami.lock: "));
        Ok(changes)
    }

    /// The alerts that Alertmanager has, by name and node.
    pub(crate) fn told(&self) -> Result<Vec<(String, String)>> {
        let answer = self
            .node()
            .sh("curl -sf http://127.0.0.1:9093/api/v2/alerts")?
            .ok()?;
        let alerts: Value = serde_json::from_str(&answer)?;
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or("").to_owned();
        let all = alerts.as_array().cloned().unwrap_or_default();
        Ok(all
            .iter()
            .map(|alert| (label(alert, "alertname"), label(alert, "node")))
            .collect())
    }
}
