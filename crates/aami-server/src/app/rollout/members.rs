//! The nodes that a rollout decides about, and how each of them stands: by what it says, nothing of it is stored.

use std::collections::{BTreeMap, HashMap};

use aami_model::access::Orgs;
use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::rollout::{self, NodeStanding, RolloutStatus};
use aami_model::{GroupId, NodeId};

use super::governing;
use crate::app::App;
use crate::view::Snapshot;
use crate::view::linked::TriedDocument;

/// What is known of one node of a rollout.
pub(super) struct Member<'a> {
    pub(super) node: &'a Node,
    pub(super) agent: &'a str,
    pub(super) standing: NodeStanding,
    pub(super) tried: Option<&'a TriedDocument>,
}

impl App {
    /// Every rollout with the nodes it decides about, looked at once.
    pub(super) fn members<'a>(
        &self,
        snapshot: &'a Snapshot,
        orgs: &'a Orgs,
    ) -> BTreeMap<GroupId, Vec<Member<'a>>> {
        let mut members: BTreeMap<GroupId, Vec<Member<'a>>> = BTreeMap::new();
        if snapshot.linked.rollouts.is_empty() {
            return members;
        }
        let under_way: HashMap<&NodeId, &str> = snapshot
            .linked
            .commands
            .values()
            .filter(|held| matches!(held.doc.status, CommandStatus::Sent | CommandStatus::Accepted))
            .filter_map(|held| match &held.doc.command {
                NodeCommand::UpdateAgent { version } => Some((&held.doc.node, version.as_str())),
                _ => None,
            })
            .collect();
        for held in snapshot.nodes(orgs, None) {
            let node = &held.doc;
            let (Some(rollout), Some(conn)) = (governing(snapshot, node), snapshot.linked.conn(&node.id))
            else {
                continue;
            };
            if node.status == NodeStatus::Inactive {
                continue;
            }
            let (rollout, agent) = (&rollout.doc, conn.doc.agent_version.as_str());
            let reported = snapshot.linked.reported.get(&node.id);
            // What came up stays so when an operator lets it go on; what failed is tried again then.
            let took = reported
                .and_then(|held| held.doc.update.as_ref())
                .filter(|tried| tried.version == rollout.plan.version && tried.at >= rollout.began_at);
            let tried = took.filter(|tried| tried.at >= rollout.tries_since);
            let untaken = reported
                .and_then(|held| held.doc.untaken.as_ref())
                .filter(|untaken| {
                    untaken.version == rollout.plan.version && untaken.at >= rollout.tries_since
                });
            let is_met = rollout.plan.is_met_by(agent);
            let is_connected = self.is_connected(snapshot, &node.id);
            let standing = if under_way.get(&node.id) == Some(&rollout.plan.version.as_str()) {
                NodeStanding::Updating
            } else if is_met && is_connected {
                match took {
                    Some(_) => NodeStanding::Updated { since: conn.doc.at },
                    // By its own word, which is no try.
                    None => NodeStanding::Untried,
                }
            } else if tried.is_some() && !is_met {
                // Also one that says it was done and still is another version.
                NodeStanding::Failed
            } else if took.is_some()
                && is_met
                && rollout.status != RolloutStatus::Done
                && node.status != NodeStatus::Maintenance
            {
                // It came up and went. Once it is written off that is a failure, until an operator says to go on.
                if node.status != NodeStatus::Offline {
                    NodeStanding::Lost
                } else if node.status_since >= rollout.tries_since {
                    NodeStanding::Failed
                } else {
                    NodeStanding::Away
                }
            } else if !is_connected {
                NodeStanding::Away
            } else if let Some(untaken) = untaken {
                NodeStanding::Silent {
                    until: untaken.at.plus(rollout::silence_after(untaken.times)),
                }
            } else {
                NodeStanding::Waiting
            };
            members.entry(rollout.group.clone()).or_default().push(Member {
                node,
                agent,
                standing,
                tried,
            });
        }
        members
    }
}
