//! A small fleet of exporters that serve what real ones export, and a Prometheus that scrapes it by lists on disk.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aami_model::exporter::{Exporter, ExporterKind};
use aami_monitor::file_sd::{self, Node};
use aami_monitor::prometheus::Configuration;

use crate::web::Web;

const NODE_EXPORTER: &str = include_str!("fixtures/node_exporter_metrics.txt");
const CHECKS: &str = include_str!("fixtures/checks.prom");
const DCGM: &str = include_str!("fixtures/dcgm_exporter_metrics.txt");
const MORE_COUNTERS: &str = include_str!("fixtures/dcgm_exporter_more_counters.txt");
const ALL_SMI: &str = include_str!("fixtures/all_smi_metrics.txt");
const AGENT: &str = include_str!("fixtures/agent_metrics.txt");

/// A node whose exporters answer at an address of loopback.
pub(crate) struct Serving {
    pub(crate) node: Node,
    /// They serve as long as the process runs.
    _webs: Vec<Web>,
}

/// A node that serves these.
pub(crate) fn node(name: &str, address: &str, served: &[(ExporterKind, &'static str)]) -> Serving {
    let webs: Vec<Web> = served
        .iter()
        .map(|(_, text)| {
            let text = *text;
            let scrapes = AtomicU64::new(0);
            Web::at(address, move |_| {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
                let count = scrapes.fetch_add(1, Ordering::SeqCst);
                text.replace("@NOW@", &now.to_string())
                    .replace("@COUNT@", &count.to_string())
            })
        })
        .collect();
    let exporters = served
        .iter()
        .zip(&webs)
        .map(|((kind, _), web)| Exporter::new(*kind, web.port));
    Serving {
        node: Node {
            name: name.parse().unwrap(),
            address: address.parse().unwrap(),
            exporters: exporters.collect(),
            labels: Default::default(),
        },
        _webs: webs,
    }
}

/// A node with everything, one with every counter, one with a GPU exporter that is silent about GPUs, and one that is
/// down.
pub(crate) fn fleet() -> Vec<Serving> {
    let node_exporter: &'static str = format!("{NODE_EXPORTER}{CHECKS}").leak();
    let mut down = node("gpu-010", "127.0.0.10", &[]);
    // Somebody listens on that port, but not at this address.
    let port = Web::at("127.0.0.11", |_| String::new()).port;
    down.node.exporters = vec![Exporter::new(ExporterKind::NodeExporter, port)];
    vec![
        node(
            "gpu-007",
            "127.0.0.7",
            &[
                (ExporterKind::NodeExporter, node_exporter),
                (ExporterKind::DcgmExporter, DCGM),
                (ExporterKind::AllSmi, ALL_SMI),
                (ExporterKind::Aami, AGENT),
            ],
        ),
        node(
            "gpu-008",
            "127.0.0.8",
            &[(ExporterKind::DcgmExporter, MORE_COUNTERS)],
        ),
        node(
            "gpu-009",
            "127.0.0.9",
            &[(ExporterKind::DcgmExporter, "# TYPE x gauge\n")],
        ),
        down,
    ]
}

/// Writes the lists of these nodes, each file at once.
pub(crate) fn list(folder: &Path, nodes: &[&Node]) {
    let nodes: Vec<Node> = nodes.iter().map(|node| (*node).clone()).collect();
    for file in file_sd::render("prod", &nodes).unwrap() {
        let aside = folder.join(format!(".{}.new", file.name));
        std::fs::write(&aside, file.text).unwrap();
        std::fs::rename(aside, folder.join(file.name)).unwrap();
    }
}

/// The configuration of a fleet whose lists lie in a folder, scraped each second.
pub(crate) fn configuration(targets: &Path) -> Configuration {
    Configuration {
        scrape_interval: Duration::from_secs(1),
        evaluation_interval: Duration::from_secs(1),
        ..Configuration::of_lists("prod", &targets.to_string_lossy())
    }
}
