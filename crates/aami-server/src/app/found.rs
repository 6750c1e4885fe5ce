//! Exporters that agents found on their nodes and nobody registered: offered here, and never enabled by itself. An
//! operator takes one by adding it as an exporter of its node.

use aami_api::node::FoundView;
use aami_api::page::Page;
use aami_model::NodeId;
use aami_model::access::{Caller, Role};
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;

use super::{App, Refusal, access};
use crate::view::Snapshot;

/// What was found on a node and is not among its exporters.
fn offered(snapshot: &Snapshot, node: &Node) -> Vec<FoundView> {
    let Some(reported) = snapshot.linked.reported.get(&node.id) else {
        return Vec::new();
    };
    let is_new = |port: u16| node.exporters.iter().all(|exporter| exporter.port != port);
    let found = reported.doc.discovered.iter().filter(|one| is_new(one.port));
    found
        .map(|one| FoundView {
            node_id: node.id.clone(),
            hostname: node.hostname.to_string(),
            exporter: one.exporter,
            name: one.name.clone(),
            port: one.port,
        })
        .collect()
}

impl App {
    /// What was found on the nodes the caller sees, by node; on one of them, where one is named.
    pub(crate) fn found_exporters(
        &self,
        caller: &Caller,
        node: Option<&NodeId>,
        after: Option<&NodeId>,
        limit: usize,
    ) -> Result<Page<FoundView>, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        if let Some(id) = node {
            let held = snapshot.node(id, &caller.orgs);
            let held = held.ok_or_else(|| Refusal::not_found("node"))?;
            return Ok(Page {
                items: offered(&snapshot, &held.doc),
                next_page_token: None,
            });
        }
        // A page ends with a whole node, so that the next begins with the one after it.
        let mut items: Vec<FoundView> = Vec::new();
        let mut more = false;
        for held in snapshot.nodes(&caller.orgs, after) {
            if items.len() >= limit {
                more = true;
                break;
            }
            if held.doc.status != NodeStatus::Inactive {
                items.extend(offered(&snapshot, &held.doc));
            }
        }
        let last = items.last().filter(|_| more);
        let next_page_token = last.map(|last| last.node_id.to_string());
        Ok(Page {
            items,
            next_page_token,
        })
    }
}
