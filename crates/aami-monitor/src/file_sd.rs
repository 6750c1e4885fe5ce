//! The lists of a declared fleet, one file for each kind of exporter, as Prometheus' `file_sd` reads them.
//!
//! [`render`] makes all of them at once. A kind that no node has gets an empty list, so that writing them all also takes
//! away what is gone. Each target stands on a line of its own, in the order of the nodes' names, under the labels
//! `cluster` and `node` like everything a control plane lists ([`crate::listed`]), and the node's own.
//!
//! Which file belongs to which job of `prometheus.yml` is said here once, by [`file_name`].

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use aami_model::exporter::{Exporter, ExporterError, ExporterKind, check_set};
use aami_model::hostname::Hostname;
use aami_model::label::{LabelError, Labels};

use crate::listed::{scrape_labels, target};

/// Every kind of exporter a list is written for.
pub const KINDS: [ExporterKind; 5] = [
    ExporterKind::NodeExporter,
    ExporterKind::DcgmExporter,
    ExporterKind::AllSmi,
    ExporterKind::Aami,
    ExporterKind::Custom,
];

/// The name of the file that lists exporters of a kind.
pub const fn file_name(kind: ExporterKind) -> &'static str {
    match kind {
        ExporterKind::NodeExporter => "nodes.json",
        ExporterKind::DcgmExporter => "dcgm.json",
        ExporterKind::AllSmi => "all_smi.json",
        ExporterKind::Aami => "aami.json",
        ExporterKind::Custom => "custom.json",
    }
}

/// A node, and what on it is scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name; the label `node`.
    pub name: Hostname,
    /// Where its exporters answer.
    pub address: IpAddr,
    /// Its exporters; those that are not enabled are left out.
    pub exporters: Vec<Exporter>,
    /// Labels on everything that is measured on it.
    pub labels: TargetLabels,
}

/// Labels that can stand on a target: none rewrites an address, a job or an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetLabels(Labels);

impl TryFrom<Labels> for TargetLabels {
    type Error = LabelError;

    fn try_from(labels: Labels) -> Result<Self, LabelError> {
        labels.check()?;
        Ok(Self(labels))
    }
}

/// One list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetFile {
    /// What is listed.
    pub kind: ExporterKind,
    /// What the file is called in the folder of targets.
    pub name: &'static str,
    /// What stands in it.
    pub text: String,
}

/// Why no lists can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileSdError {
    /// Two of one name.
    #[error("two nodes are called {0}")]
    Name(Hostname),
    /// Two in one place: each would be scraped under the name of the other.
    #[error("{0} and {1} are to be scraped at the same address, {2}")]
    Address(Hostname, Hostname, SocketAddr),
    /// An exporter that cannot be scraped.
    #[error("the exporters of {node}")]
    Exporter {
        /// Whose it is.
        node: Hostname,
        /// What is wrong with it.
        #[source]
        source: ExporterError,
    },
}

/// The lists of all [`KINDS`], in that order.
///
/// Fails when two nodes share a name or an address with its port, or an exporter cannot be scraped.
pub fn render(cluster: &str, nodes: &[Node]) -> Result<Vec<TargetFile>, FileSdError> {
    let mut sorted: Vec<&Node> = nodes.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    if let Some(two) = sorted.windows(2).find(|two| two[0].name == two[1].name) {
        return Err(FileSdError::Name(two[0].name.clone()));
    }
    let mut taken: BTreeMap<SocketAddr, &Hostname> = BTreeMap::new();
    for node in &sorted {
        check_set(&node.exporters).map_err(|source| FileSdError::Exporter {
            node: node.name.clone(),
            source,
        })?;
        for exporter in enabled(node) {
            let address = address(node, exporter);
            if let Some(other) = taken.insert(address, &node.name) {
                return Err(FileSdError::Address(other.clone(), node.name.clone(), address));
            }
        }
    }
    Ok(KINDS
        .into_iter()
        .map(|kind| TargetFile {
            kind,
            name: file_name(kind),
            text: list(cluster, &sorted, kind),
        })
        .collect())
}

fn enabled(node: &Node) -> impl Iterator<Item = &Exporter> {
    node.exporters.iter().filter(|exporter| exporter.enabled)
}

fn address(node: &Node, exporter: &Exporter) -> SocketAddr {
    SocketAddr::new(node.address.to_canonical(), exporter.port)
}

fn list(cluster: &str, nodes: &[&Node], kind: ExporterKind) -> String {
    let mut text = String::from("[");
    let mut separator = "\n";
    for node in nodes {
        for exporter in enabled(node).filter(|exporter| exporter.kind == kind) {
            let scrape = scrape_labels(exporter);
            let mut labels: Vec<(&str, &str)> = (node.labels.0.0.iter())
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .chain(scrape.iter().map(|(name, value)| (name.as_str(), value.as_str())))
                .chain([("cluster", cluster), ("node", node.name.as_str())])
                .collect();
            labels.sort_unstable();
            text.push_str(separator);
            target(&address(node, exporter).to_string(), &labels, &mut text);
            separator = ",\n";
        }
    }
    text.push_str("\n]\n");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, address: &str, kinds: &[ExporterKind]) -> Node {
        Node {
            name: name.parse().unwrap(),
            address: address.parse().unwrap(),
            exporters: kinds
                .iter()
                .map(|kind| Exporter::new(*kind, kind.default_port().unwrap_or(9999)))
                .collect(),
            labels: TargetLabels::default(),
        }
    }

    fn labelled(labels: &[(&str, &str)]) -> TargetLabels {
        Labels::from_iter(labels.iter().copied()).try_into().unwrap()
    }

    fn read(file: &TargetFile) -> Value {
        serde_json::from_str(&file.text).unwrap()
    }

    #[test]
    fn each_kind_has_its_file_and_the_order_is_that_of_names() {
        // Given nodes in no order, one with GPUs and an IPv6 address
        let nodes = [
            Node {
                labels: labelled(&[("rack", "A\"1\\"), ("zone", "é")]),
                ..node(
                    "gpu-2",
                    "2001:db8::2",
                    &[ExporterKind::NodeExporter, ExporterKind::DcgmExporter],
                )
            },
            node("gpu-1", "::ffff:10.0.0.1", &[ExporterKind::NodeExporter]),
        ];
        // when they are written, then there is a file for each kind, also for those nobody has,
        let files = render("prod", &nodes).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.name).collect();
        assert_eq!(
            names,
            [
                "nodes.json",
                "dcgm.json",
                "all_smi.json",
                "aami.json",
                "custom.json"
            ]
        );
        assert_eq!(
            read(&files[0]),
            json!([
                { "targets": ["10.0.0.1:9100"], "labels": { "cluster": "prod", "node": "gpu-1" } },
                { "targets": ["[2001:db8::2]:9100"],
                  "labels": { "cluster": "prod", "node": "gpu-2", "rack": "A\"1\\", "zone": "é" } },
            ])
        );
        assert_eq!(read(&files[1])[0]["targets"][0], "[2001:db8::2]:9400");
        assert_eq!(read(&files[2]), json!([]));
        // a target stands on a line of its own,
        assert_eq!(files[0].text.lines().count(), 4, "{}", files[0].text);
        // and the same nodes in another order give the same bytes.
        let turned = [nodes[1].clone(), nodes[0].clone()];
        assert_eq!(render("prod", &turned).unwrap(), files);
    }

    #[test]
    fn an_exporter_is_scraped_as_it_says() {
        let mut one = node("gpu-1", "10.0.0.1", &[]);
        one.exporters = vec![
            Exporter {
                metrics_path: "/probe?module=x%2Fy".into(),
                scrape_interval: Some("5s".into()),
                ..Exporter::new(ExporterKind::Custom, 9115)
            },
            Exporter {
                enabled: false,
                ..Exporter::new(ExporterKind::NodeExporter, 9100)
            },
        ];
        let files = render("prod", &[one]).unwrap();
        assert_eq!(read(&files[0]), json!([]));
        assert_eq!(
            read(&files[4])[0]["labels"],
            json!({ "cluster": "prod", "node": "gpu-1", "__metrics_path__": "/probe", "__param_module": "x/y",
                    "__scrape_interval__": "5s", "__scrape_timeout__": "5s" })
        );
    }

    #[test]
    fn two_in_one_place_or_of_one_name_are_refused() {
        let one = || node("gpu-1", "10.0.0.1", &[ExporterKind::NodeExporter]);
        let wrong = render("prod", &[one(), node("GPU-1", "10.0.0.2", &[])]).unwrap_err();
        assert_eq!(wrong.to_string(), "two nodes are called gpu-1");
        let there = node("gpu-2", "::ffff:10.0.0.1", &[ExporterKind::NodeExporter]);
        assert_eq!(
            render("prod", &[there, one()]).unwrap_err().to_string(),
            "gpu-1 and gpu-2 are to be scraped at the same address, 10.0.0.1:9100"
        );
        let mut hostile = one();
        hostile.exporters[0].metrics_path = "//evil.example/x".into();
        assert!(matches!(
            render("prod", &[hostile]),
            Err(FileSdError::Exporter { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_label_of_anybody_changes_who_or_where_a_target_is(name in "\\PC{0,12}", value in "\\PC{0,12}") {
            let labels = Labels::from_iter([(name.clone(), value)]);
            let Ok(labels) = TargetLabels::try_from(labels) else { return Ok(()) };
            let one = Node { labels, ..node("gpu-1", "10.0.0.1", &[ExporterKind::NodeExporter]) };
            let files = render("prod", &[one]).unwrap();
            let listed = read(&files[0]);
            prop_assert_eq!(&listed[0]["targets"], &json!(["10.0.0.1:9100"]));
            prop_assert_eq!(&listed[0]["labels"]["node"], &json!("gpu-1"));
            prop_assert_eq!(&listed[0]["labels"]["cluster"], &json!("prod"));
            prop_assert!(!name.starts_with("__"));
        }
    }
}
