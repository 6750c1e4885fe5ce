//! Monitoring that somebody else installed: node_exporter, Prometheus, Grafana and such, as packages,
//! units, plain processes or containers.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;
use crate::listener::container_in;
use crate::{init, package};

/// How something was installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "by", content = "name")]
pub enum Installed {
    /// By this package of the distribution.
    Package(String),
    /// By hand, with this unit.
    Unit(String),
    /// It runs in this container.
    Container(String),
    /// It runs, and nothing says who started it.
    Process(u32),
}

/// A program somebody else installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// What it is: `node_exporter`, `prometheus`, ...
    pub what: &'static str,
    /// How it was installed.
    pub installed: Installed,
}

/// What is looked for: the name, packages, units, and the names its process has.
type Known = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const KNOWN: [Known; 5] = [
    (
        "node_exporter",
        &[
            "prometheus-node-exporter",
            "node_exporter",
            "golang-github-prometheus-node-exporter",
        ],
        &[
            "node_exporter.service",
            "node-exporter.service",
            "prometheus-node-exporter.service",
        ],
        // The kernel keeps 15 characters of a name.
        &["node_exporter", "prometheus-node"],
    ),
    (
        "prometheus",
        &["prometheus"],
        &["prometheus.service"],
        &["prometheus"],
    ),
    (
        "alertmanager",
        &["prometheus-alertmanager"],
        &["alertmanager.service", "prometheus-alertmanager.service"],
        &["alertmanager", "prometheus-aler"],
    ),
    (
        "grafana",
        &["grafana", "grafana-enterprise"],
        &["grafana-server.service"],
        &["grafana", "grafana-server"],
    ),
    (
        "dcgm_exporter",
        &["datacenter-gpu-manager-exporter"],
        &["dcgm-exporter.service", "nvidia-dcgm-exporter.service"],
        &["dcgm-exporter"],
    ),
];

/// What somebody else installed; each thing once, by the most telling of the ways it shows.
pub fn foreign(host: &Host<'_>) -> Vec<Foreign> {
    let names: Vec<&str> = KNOWN.iter().flat_map(|known| known.1).copied().collect();
    let packages = package::installed(host, &names);
    let units: Vec<&str> = KNOWN.iter().flat_map(|known| known.2).copied().collect();
    let units = init::stand(host, &units);
    let processes = processes(host);
    let mut found = Vec::new();
    for (what, its_packages, its_units, its_names) in KNOWN {
        let package = packages.iter().find(|name| its_packages.contains(name));
        let unit = units
            .iter()
            .find(|unit| unit.load == "loaded" && its_units.contains(&unit.name.as_str()));
        let process = processes
            .iter()
            .find(|(_, name, _)| its_names.contains(&name.as_str()));
        let installed = match (package, unit, process) {
            (Some(name), ..) => Installed::Package((*name).to_owned()),
            (None, Some(unit), _) => Installed::Unit(unit.name.clone()),
            (None, None, Some((_, _, Some(container)))) => Installed::Container(container.clone()),
            (None, None, Some((pid, ..))) => Installed::Process(*pid),
            (None, None, None) => continue,
        };
        found.push(Foreign { what, installed });
    }
    found
}

/// Processes that may be meant: number, name, container; without ours, which run from our folders or in
/// units of ours.
fn processes(host: &Host<'_>) -> Vec<(u32, String, Option<String>)> {
    let numbers = host
        .list("/proc")
        .into_iter()
        .filter_map(|name| name.parse::<u32>().ok());
    numbers
        .filter_map(|pid| {
            let name = one_line(&host.read(&format!("/proc/{pid}/comm"))?);
            if !KNOWN.iter().any(|known| known.3.contains(&name.as_str())) {
                return None;
            }
            let cgroup = host.read(&format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let program = std::fs::read_link(host.path(&format!("/proc/{pid}/exe"))).unwrap_or_default();
            let is_ours = cgroup.contains("/aami-") || program.starts_with("/opt/aami");
            (!is_ours).then(|| (pid, name, container_in(&cgroup)))
        })
        .collect()
}
