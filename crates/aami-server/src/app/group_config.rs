//! The configuration of agents by group: what each node is to run by, sent as a frame when it differs from what the
//! node has.
//!
//! A configuration is nothing stored: it follows from the node's groups, in their order, and from the rollout that
//! pins its agent. Its revision is a hash of what it says, so that the same wish has the same name on every replica
//! and after every restart, and a node that has it already is sent nothing.

use std::sync::Arc;
use std::time::Duration;

use aami_api::link::{Down, NodeConfig};
use aami_api::node::ConfigStanding;
use aami_model::access::Orgs;
use aami_model::agent_config::AgentConfig;
use aami_model::node::Node;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::rollout::governing;
use crate::live::{Link, Live};
use crate::view::Snapshot;
use crate::view::feed::Follower;
use crate::view::snapshot::Touched;

/// The revision of a configuration that says nothing; a node that never had one runs by it.
pub(crate) const NOTHING: &str = "none";

/// What a node is to run by.
pub(crate) fn wanted(snapshot: &Snapshot, node: &Node, timeout: Duration) -> NodeConfig {
    let all = Orgs::All;
    let groups = node.groups.iter().filter_map(|id| snapshot.group(id, &all));
    let behaviour = groups.fold(AgentConfig::default(), |below, held| {
        below.overlaid(&held.doc.agents)
    });
    // The timeout may have become shorter since the group was edited; then the usual heartbeat holds.
    let longest = u32::try_from(timeout.as_secs() / 2).unwrap_or(u32::MAX);
    let pinned = governing(snapshot, node).filter(|held| held.doc.plan.pinned);
    let mut config = NodeConfig {
        revision: NOTHING.to_owned(),
        heartbeat_seconds: behaviour.heartbeat_seconds.filter(|seconds| *seconds <= longest),
        resources_seconds: behaviour.resources_seconds,
        discover: behaviour.discover,
        agent_version: pinned.map(|held| held.doc.plan.version.clone()),
    };
    if config
        != (NodeConfig {
            revision: NOTHING.to_owned(),
            ..NodeConfig::default()
        })
    {
        let text = serde_json::to_vec(&config).unwrap_or_default();
        config.revision = HEXLOWER.encode(&Sha256::digest(&text)[..8]);
    }
    config
}

/// How a node stands to it; nothing where nobody ever said anything.
pub(crate) fn standing(snapshot: &Snapshot, node: &Node, timeout: Duration) -> Option<ConfigStanding> {
    let reported = snapshot.linked.reported.get(&node.id);
    let wanted = wanted(snapshot, node, timeout).revision;
    let standing = ConfigStanding {
        wanted: Some(wanted).filter(|revision| revision != NOTHING),
        applied: reported.and_then(|held| held.doc.config_revision.clone()),
        refused: reported.and_then(|held| held.doc.config_refused.clone()),
    };
    (standing.wanted.is_some() || standing.applied.is_some()).then_some(standing)
}

/// Sends each connected node its configuration when it becomes another.
pub(crate) struct Configurer {
    live: Arc<Live>,
    timeout: Duration,
}

impl Configurer {
    pub(crate) const fn new(live: Arc<Live>, timeout: Duration) -> Self {
        Self { live, timeout }
    }

    fn send(&self, snapshot: &Snapshot, node: &Node) {
        if let Some(link) = self.live.link(&node.id) {
            configure(snapshot, node, &link, self.timeout);
        }
    }
}

/// Sends a node its configuration, where it has another.
pub(crate) fn configure(snapshot: &Snapshot, node: &Node, link: &Link, timeout: Duration) {
    let config = wanted(snapshot, node, timeout);
    if link.is_other_config(&config.revision) {
        link.send(&Down::Config(config));
    }
}

impl Follower for Configurer {
    fn reset(&self, snapshot: &Snapshot) {
        for held in snapshot.nodes(&Orgs::All, None) {
            self.send(snapshot, &held.doc);
        }
    }

    fn changed(&self, snapshot: &Snapshot, touched: &Touched) {
        let all = Orgs::All;
        for held in touched.nodes.iter().filter_map(|id| snapshot.node(id, &all)) {
            self.send(snapshot, &held.doc);
        }
        if touched.groups.is_empty() {
            return;
        }
        for held in snapshot.nodes(&all, None) {
            if held.doc.groups.iter().any(|group| touched.groups.contains(group)) {
                self.send(snapshot, &held.doc);
            }
        }
    }
}
