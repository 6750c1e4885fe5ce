//! Nodes for stories.

use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;
use aami_model::node::{Identity, Node};
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, OrgId, Timestamp};

/// A node `gpu-N` in service with node_exporter, and an id that ascends with `number`.
pub(crate) fn node(number: u32) -> Node {
    let [_, a, b, c] = number.to_be_bytes();
    Node {
        id: id(number),
        org: OrgId::default(),
        user: None,
        hostname: format!("gpu-{number}").parse().unwrap(),
        ip_address: [10, a, b, c].into(),
        address_pinned: false,
        status: NodeStatus::Online,
        status_since: Timestamp::EPOCH,
        status_reason: None,
        reachable: true,
        labels: Labels::default(),
        metadata: Default::default(),
        groups: vec![],
        exporters: vec![Exporter::new(ExporterKind::NodeExporter, 9100)],
        system_info: None,
        maintenance_until: None,
        reported_labels: aami_model::label::Labels::default(),
        identity: Identity::default(),
        created_at: Timestamp::EPOCH,
        enrolled_at: None,
        token: None,
    }
}

pub(crate) fn id(number: u32) -> NodeId {
    format!("n{number:07}").parse().unwrap()
}
