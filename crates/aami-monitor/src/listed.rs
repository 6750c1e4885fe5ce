//! One node as Prometheus is told of it.
//!
//! Labels, from weakest to strongest: those of the node's groups, the node's own, then what AAMI itself
//! says: `job`, `node`, `node_id`, `cluster`, the groups it is in, and, for any tenant but the default one, `org`. What a
//! node says of itself can therefore never change who it is or where it is scraped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use aami_model::exporter::{Exporter, parse_duration};
use aami_model::label::{Labels, RESERVED};
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::{GroupId, NodeId, OrgId};

use crate::node_info;
use crate::scope::{GROUPS, groups_label};
use crate::scrape_path;

/// How long a scrape may take unless said otherwise; Prometheus' own default. It drops a target whose
/// interval is shorter than its timeout, so short intervals bring a timeout of their own.
const USUAL_TIMEOUT_MILLIS: u64 = 10_000;

/// Own labels that say where a node stands. Many nodes share their values, so the grouped shape keeps
/// them; other own labels are told by `aami_node_info`.
const PLACEMENT: [&str; 8] = [
    "availability_zone",
    "datacenter",
    "rack",
    "region",
    "room",
    "row",
    "site",
    "zone",
];

/// A node in rendered form, ready for a [`crate::Catalogue`].
#[derive(Debug)]
pub struct Listed {
    pub(crate) id: NodeId,
    pub(crate) org: OrgId,
    pub(crate) groups: Box<[GroupId]>,
    pub(crate) in_maintenance: bool,
    /// `,{"targets":[...],"labels":{...}}` for each exporter.
    pub(crate) flat: String,
    /// Its exporters by the labels they share with those of other nodes.
    pub(crate) sets: Vec<SharedSet>,
    /// A line of `aami_node_info` for each exporter.
    pub(crate) info: String,
    /// How many exporters.
    pub(crate) targets: u16,
}

/// Exporters of one node that stand under one set of shared labels.
#[derive(Debug)]
pub(crate) struct SharedSet {
    /// The labels, as a JSON object.
    pub(crate) labels: String,
    /// `,"host:port"` for each exporter.
    pub(crate) addresses: String,
    /// How many.
    pub(crate) targets: u16,
}

/// Labels in ascending order of their names, each name once.
type Sorted<'a> = Vec<(&'a str, &'a str)>;

impl Listed {
    /// Renders `node` of `cluster`, whose groups carry `group_labels` (later groups over earlier ones:
    /// [`Labels::overlaid`]).
    ///
    /// `None` when Prometheus is not to know of it: its status says so, or none of its exporters is
    /// enabled.
    pub fn of(cluster: &str, node: &Node, group_labels: &Labels) -> Option<Self> {
        if !node.status.is_discovered() || !node.exporters.iter().any(|exporter| exporter.enabled) {
            return None;
        }
        let groups = groups_label(&node.groups);
        let all = labels_of(cluster, node, group_labels, groups.as_deref());
        let shared: Sorted<'_> = all
            .iter()
            .filter(|(name, _)| is_shared(name, group_labels))
            .copied()
            .collect();

        // What most nodes need, so that hardly one grows while it is written.
        let enabled = node.exporters.iter().filter(|exporter| exporter.enabled).count();
        let mut flat = String::with_capacity(enabled * 192);
        let mut info = String::with_capacity(enabled * 160);
        let mut sets: BTreeMap<String, (String, u16)> = BTreeMap::new();
        let mut targets = 0;
        for exporter in node.exporters.iter().filter(|exporter| exporter.enabled) {
            let address = SocketAddr::new(node.ip_address.to_canonical(), exporter.port).to_string();
            let job = exporter.kind.job();
            let scrape = scrape_labels(exporter);
            let scrape = || scrape.iter().map(|(name, value)| (name.as_str(), value.as_str()));

            info.push_str(&node_info::line(&with(
                &all,
                [("instance", &*address), ("job", job)],
            )));

            flat.push(',');
            target(&address, &with(&all, scrape().chain([("job", job)])), &mut flat);

            let mut labels = String::with_capacity(128);
            json(&with(&shared, scrape().chain([("job", job)])), &mut labels);
            let (addresses, count) = sets.entry(labels).or_default();
            addresses.push_str(",\"");
            addresses.push_str(&address);
            addresses.push('"');
            *count += 1;
            targets += 1;
        }
        Some(Self {
            id: node.id.clone(),
            org: node.org.clone(),
            groups: node.groups.as_slice().into(),
            in_maintenance: node.status == NodeStatus::Maintenance,
            flat,
            sets: sets
                .into_iter()
                .map(|(labels, (addresses, targets))| SharedSet {
                    labels,
                    addresses,
                    targets,
                })
                .collect(),
            info,
            targets,
        })
    }

    /// The node.
    pub const fn id(&self) -> &NodeId {
        &self.id
    }
}

/// All labels of a node; `instance`, `job` and those that begin with `__` come with the exporter.
///
/// The node's and its groups' labels were judged when they came in; what could change identity or
/// address is left out here all the same.
fn labels_of<'a>(
    cluster: &'a str,
    node: &'a Node,
    group_labels: &'a Labels,
    groups: Option<&'a str>,
) -> Sorted<'a> {
    let mut all: BTreeMap<&str, &str> = group_labels
        .0
        .iter()
        .chain(&node.labels.0)
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| !name.starts_with("__") && !RESERVED.contains(name))
        .collect();
    all.insert("cluster", cluster);
    all.insert("node", node.hostname.as_str());
    all.insert("node_id", node.id.as_str());
    if let Some(groups) = groups {
        all.insert(GROUPS, groups);
    }
    if node.org != OrgId::default() {
        all.insert("org", node.org.as_str());
    }
    all.into_iter().collect()
}

fn is_shared(name: &str, group_labels: &Labels) -> bool {
    matches!(name, "cluster" | "org" | GROUPS)
        || PLACEMENT.contains(&name)
        || group_labels.0.contains_key(name)
}

fn with<'a>(labels: &Sorted<'a>, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Sorted<'a> {
    let mut all = Vec::with_capacity(labels.len() + 4);
    all.extend_from_slice(labels);
    all.extend(more);
    all.sort_unstable();
    all
}

/// Writes a target with its labels, which are in ascending order: `{"targets":[...],"labels":{...}}`.
pub(crate) fn target(address: &str, labels: &[(&str, &str)], out: &mut String) {
    out.push_str("{\"targets\":[\"");
    out.push_str(address);
    out.push_str("\"],\"labels\":");
    json(labels, out);
    out.push('}');
}

/// How this exporter is scraped, where that is not the usual way.
pub(crate) fn scrape_labels(exporter: &Exporter) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let path = scrape_path::split(&exporter.metrics_path);
    if path.path != "/metrics" {
        labels.push(("__metrics_path__".to_owned(), path.path));
    }
    for (name, value) in path.parameters {
        labels.push((format!("__param_{name}"), value));
    }
    if let Some(interval) = &exporter.scrape_interval {
        labels.push(("__scrape_interval__".to_owned(), interval.clone()));
        if parse_duration(interval).is_some_and(|millis| millis < USUAL_TIMEOUT_MILLIS) {
            labels.push(("__scrape_timeout__".to_owned(), interval.clone()));
        }
    }
    labels
}

/// Writes labels as a JSON object. Names are plain ASCII by the rules for labels.
fn json(labels: &[(&str, &str)], out: &mut String) {
    out.push('{');
    for (at, (name, value)) in labels.iter().enumerate() {
        out.push_str(if at == 0 { "\"" } else { ",\"" });
        out.push_str(name);
        out.push_str("\":\"");
        escape(value, out);
        out.push('"');
    }
    out.push('}');
}

/// RFC 8259, section 7: what must be escaped in a string.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{0}'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_value_holds_it_is_read_back(value in any::<String>()) {
            let mut text = String::new();
            json(&[("a", &*value), ("b", "")], &mut text);
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, serde_json::json!({"a": value, "b": ""}));
        }
    }
}
