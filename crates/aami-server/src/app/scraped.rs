//! Nodes without an agent: whether Prometheus can scrape them is what they are judged by.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aami_model::access::{Caller, Orgs};
use aami_model::node::Node;
use aami_model::node_status::{self, NodeStatus, Outcome, Trigger};
use aami_model::{NodeId, Timestamp};
use aami_store::{Revision, keys};
use serde_json::json;

use super::commit::{Change, Wanted, node_data};
use super::reports::gpu_devices;
use super::{App, Asking, Refusal};
use crate::view::Snapshot;
use crate::view::document::encode;

/// When each was last scraped, as far as this replica has asked.
#[derive(Default)]
pub(crate) struct Scraped {
    last: Mutex<HashMap<NodeId, Timestamp>>,
}

impl Scraped {
    /// When a node was last scraped.
    pub(crate) fn last(&self, node: &NodeId) -> Option<Timestamp> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(node).copied()
    }

    /// Replaces what was known, but for those of `kept` that were not scraped now.
    pub(crate) fn note(&self, now: Timestamp, scraped: &[NodeId], kept: impl Fn(&NodeId) -> bool) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|node, _| kept(node));
        last.extend(scraped.iter().map(|node| (node.clone(), now)));
    }
}

/// A node that is judged by its scrapes.
pub(crate) fn is_judged(snapshot: &Snapshot, node: &Node) -> bool {
    let at_work = matches!(
        node.status,
        NodeStatus::Online | NodeStatus::Offline | NodeStatus::Maintenance
    );
    at_work && node.exporters.iter().any(|exporter| exporter.enabled) && !snapshot.has_agent(node)
}

impl App {
    /// Notes that a node without an agent is scraped again, or no longer, and moves it where that is a trigger. One that
    /// has an agent by then is left alone: its connection tells.
    pub(crate) async fn judge_scraped(&self, id: &NodeId, up: bool, sentence: &str) -> Result<(), Refusal> {
        let trigger = if up {
            Trigger::ScrapeUp
        } else {
            Trigger::ScrapeDown
        };
        let asking = Asking::by(Caller::system());
        self.write(&asking, |snapshot, now| {
            let held = snapshot.node(id, &Orgs::All);
            let Some(held) = held.filter(|held| is_judged(snapshot, &held.doc)) else {
                return Ok(Wanted::Nothing(()));
            };
            let conn = snapshot.linked.conn(id);
            let conn = conn.map_or(Revision::ZERO, |conn| conn.revision);
            let mut node = held.doc.clone();
            node.reachable = up;
            let mut change = Change::new(node.org.clone(), "node.observe", format!("node:{id}")).quiet();
            if let Ok(Outcome::Moved { to, events }) = node_status::next(node.status, trigger) {
                let seen = self.scraped.last(id).unwrap_or(node.status_since);
                let reason = (!up).then(|| sentence.to_owned());
                (node.status, node.status_since, node.status_reason) = (to, now, reason);
                let mut data = node_data(&node);
                if up {
                    data["gpuDevices"] = gpu_devices(snapshot, &node);
                } else {
                    data["disconnectReason"] = json!("scrape_down");
                    data["lastSeenAt"] = json!(seen);
                }
                change = change.tell_all(events, &data);
            }
            if node == held.doc {
                return Ok(Wanted::Nothing(()));
            }
            let change = change.transact(|txn| {
                txn.when_unchanged(keys::conn(id), conn)
                    .when_unchanged(keys::node(id), held.revision)
                    .put(keys::node(id), encode(&node))
            });
            Ok(Wanted::Write(Box::new(change), ()))
        })
        .await?;
        Ok(())
    }
}
