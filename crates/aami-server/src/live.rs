//! What is true only at this moment: which nodes are connected here, when each was last heard, how busy it is.
//!
//! Nothing of it is stored; the newest replaces what was. Every change passes through [`Live::heard`],
//! [`Live::attach`] or [`Live::detach`], so whoever wants to show the present feeds from here, latest wins per node.
//! The room decides nothing about a node's status: [`silence`] says who is silent, and the use cases write that,
//! comparing the connection's generation.

pub(crate) mod link;
pub(crate) mod silence;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use aami_api::link::{Down, Resources};
use aami_model::access::Orgs;
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::peers::NodeHeard;
use crate::view::Snapshot;
use crate::view::feed::Follower;
use crate::view::linked::CommandDocument;
use crate::view::snapshot::Touched;
pub(crate) use link::{Ending, Link};

/// So many locks that two nodes rarely wait for one another.
const SHARDS: usize = 64;
/// How many connections of one node may be opened at once, and how many more each second.
const ATTEMPTS: f64 = 10.0;
const ATTEMPTS_A_SECOND: f64 = 0.5;

/// The present.
pub(crate) struct Live {
    shards: Vec<Mutex<HashMap<NodeId, Presence>>>,
    hasher: RandomState,
    /// What other replicas said of nodes.
    elsewhere: Mutex<HashMap<NodeId, NodeHeard>>,
    /// How many nodes have their place.
    connected: AtomicUsize,
    /// How many sockets there are, those that are greeted or closed included.
    sockets: AtomicUsize,
    /// Rung when there is no socket any more.
    left: Notify,
    /// Set when nobody is to be connected any more.
    closing: CancellationToken,
    /// Then: over how many seconds those who are spread their return.
    spread_seconds: OnceLock<u32>,
}

/// A socket, for as long as it is there; dropped after everything else that its task holds.
pub(crate) struct Socket(Arc<Live>);

impl Drop for Socket {
    fn drop(&mut self) {
        if self.0.sockets.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

/// What is known of one node.
#[derive(Default)]
struct Presence {
    seen: Option<Seen>,
    resources: Option<Box<Resources>>,
    link: Option<Arc<Link>>,
    /// Of the last connection that had the place; kept when it is over.
    generation: u64,
    /// The boot ids of the last two connections, the newest last.
    boots: [Option<Box<str>>; 2],
    /// Why it said it would end, if it did.
    bye: Option<Box<str>>,
    attempts: f64,
    attempted: Duration,
}

/// When a node was last heard, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// By the clock nobody sets.
    pub(crate) elapsed: Duration,
    /// For people.
    pub(crate) at: Timestamp,
}

/// What is shown of a node's present.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) last_seen: Option<Timestamp>,
    pub(crate) resources: Option<Resources>,
}

/// What a new connection found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or only what is older and over.
    Free,
    /// A newer connection has its place already.
    Newer,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            elsewhere: Mutex::default(),
            connected: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            left: Notify::new(),
            closing: CancellationToken::new(),
            spread_seconds: OnceLock::new(),
        }
    }

    fn shard(&self, node: &NodeId) -> MutexGuard<'_, HashMap<NodeId, Presence>> {
        let at = usize::try_from(self.hasher.hash_one(node)).unwrap_or_default() % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a socket.
    pub(crate) fn socket(self: &Arc<Self>) -> Socket {
        self.sockets.fetch_add(1, Ordering::Acquire);
        Socket(self.clone())
    }

    /// How many sockets there are.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Acquire)
    }

    /// Ends when there is no socket any more.
    pub(crate) async fn empty(&self) {
        loop {
            // It hears of every ring from now on, also before it is waited for.
            let left = self.left.notified();
            if self.sockets() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Ends when nobody is to be connected any more.
    pub(crate) async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// How many sockets of nodes are held here.
    pub(crate) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// Whether a node may try to connect once more: whoever has a credential could open sockets without end.
    pub(crate) fn may_try(&self, node: &NodeId, now: Duration) -> bool {
        let mut shard = self.shard(node);
        let presence = shard.entry(node.clone()).or_insert_with(|| Presence {
            attempts: ATTEMPTS,
            attempted: now,
            ..Presence::default()
        });
        let since = now.saturating_sub(presence.attempted).as_secs_f64();
        presence.attempts = (presence.attempts + since * ATTEMPTS_A_SECOND).min(ATTEMPTS);
        presence.attempted = now;
        let may = presence.attempts >= 1.0;
        if may {
            presence.attempts -= 1.0;
        }
        may
    }

    /// The open connection of a node, if this replica holds it.
    pub(crate) fn link(&self, node: &NodeId) -> Option<Arc<Link>> {
        self.shard(node).get(node)?.link.clone()
    }

    /// Whether a connection with this boot id shows that two machines carry one credential: a machine never comes
    /// back to a boot id it has left.
    pub(crate) fn is_twin(&self, node: &NodeId, boot: &str) -> bool {
        let shard = self.shard(node);
        let Some(presence) = shard.get(node) else {
            return false;
        };
        let [before, last] = &presence.boots;
        before.as_deref() == Some(boot) && last.as_deref().is_some_and(|last| last != boot)
    }

    /// Gives a connection its node's place; the older one there ends, and so does this one where everybody is to go.
    pub(crate) fn attach(&self, link: &Arc<Link>, boot: &str, seen: Seen) -> Found {
        let mut shard = self.shard(link.node());
        let presence = shard.entry(link.node().clone()).or_default();
        if let Some(old) = &presence.link {
            if old.generation() > link.generation() {
                return Found::Newer;
            }
            old.end(Ending::Replaced);
        } else {
            self.connected.fetch_add(1, Ordering::Relaxed);
        }
        presence.link = Some(link.clone());
        presence.generation = link.generation();
        presence.seen = Some(seen);
        presence.bye = None;
        if presence.boots[1].as_deref() != Some(boot) {
            presence.boots[0] = presence.boots[1].take();
            presence.boots[1] = Some(boot.into());
        }
        if let Some(spread_seconds) = self.spread_seconds.get().copied() {
            link.end(Ending::Draining { spread_seconds });
        }
        Found::Free
    }

    /// A connection is over. An older one that closes late takes nothing from the newer.
    pub(crate) fn detach(&self, link: &Link) {
        let mut shard = self.shard(link.node());
        let Some(presence) = shard.get_mut(link.node()) else {
            return;
        };
        let own = presence
            .link
            .as_ref()
            .is_some_and(|held| held.generation() == link.generation());
        if own {
            presence.link = None;
            self.connected.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A node was heard over this connection. False when another one has its place: then it does not count.
    pub(crate) fn heard(&self, link: &Link, seen: Seen, resources: Option<Resources>) -> bool {
        let mut shard = self.shard(link.node());
        let Some(presence) = shard.get_mut(link.node()) else {
            return false;
        };
        if presence
            .link
            .as_ref()
            .is_none_or(|held| held.generation() != link.generation())
        {
            return false;
        }
        presence.seen = Some(seen);
        if let Some(resources) = resources {
            presence.resources = Some(Box::new(resources));
        }
        true
    }

    /// A node said that it ends.
    pub(crate) fn said_bye(&self, link: &Link, reason: &str) {
        if let Some(presence) = self.shard(link.node()).get_mut(link.node()) {
            presence.bye = Some(reason.into());
        }
    }

    /// When a node was last heard over this connection or a newer one, and why it ended if it said so. What was heard
    /// over an older one says nothing about a connection that has not taken its place yet.
    pub(crate) fn seen(&self, node: &NodeId, generation: u64) -> Option<(Seen, Option<String>)> {
        let shard = self.shard(node);
        let presence = shard
            .get(node)
            .filter(|presence| presence.generation >= generation)?;
        Some((presence.seen?, presence.bye.as_deref().map(str::to_owned)))
    }

    /// What is shown of a node's present: what was heard last, here or elsewhere.
    pub(crate) fn shown(&self, node: &NodeId) -> Shown {
        let here = self
            .shard(node)
            .get(node)
            .map_or_else(Shown::default, |presence| Shown {
                last_seen: presence.seen.map(|seen| seen.at),
                resources: presence.resources.as_deref().cloned(),
            });
        let elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        match elsewhere.get(node) {
            Some(heard) if here.last_seen < Some(heard.at) => Shown {
                last_seen: Some(heard.at),
                resources: heard.resources.as_deref().cloned().or(here.resources),
            },
            _ => here,
        }
    }

    /// The nodes that were heard here since then, each with what it said last.
    pub(crate) fn heard_since(&self, since: Duration) -> Vec<NodeHeard> {
        let mut heard = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.extend(shard.iter().filter_map(|(id, presence)| {
                let seen = presence.seen.filter(|seen| seen.elapsed >= since)?;
                Some(NodeHeard {
                    id: id.clone(),
                    at: seen.at,
                    resources: presence.resources.clone(),
                })
            }));
        }
        heard
    }

    /// Another replica heard a node. What is older than what it said before does not count.
    pub(crate) fn heard_elsewhere(&self, heard: NodeHeard) {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        match elsewhere.get(&heard.id) {
            Some(known) if known.at > heard.at => {}
            _ => {
                elsewhere.insert(heard.id.clone(), heard);
            }
        }
    }

    /// Ends every connection, as a control plane that stops does; those that take their place later end then.
    pub(crate) fn drain(&self, spread_seconds: u32) {
        let spread_seconds = *self.spread_seconds.get_or_init(|| spread_seconds);
        self.closing.cancel();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for link in shard.values().filter_map(|presence| presence.link.as_ref()) {
                link.end(Ending::Draining { spread_seconds });
            }
        }
    }

    /// Sends a command that is still to be taken, where its node is connected here.
    fn order(&self, command: &CommandDocument) {
        if let Some(link) = self.link(&command.node)
            && let Some(order) = crate::app::commands::order(command)
        {
            link.send(&Down::Command(order));
        }
    }

    /// Ends a node's connection where the state says that it may not go on.
    fn hold_to(&self, snapshot: &Snapshot, node: &NodeId) {
        let Some(link) = self.link(node) else { return };
        if let Some(ending) = judged(snapshot, &link) {
            link.end(ending);
        }
    }
}

/// Why a connection may not go on by what the state says, if so.
pub(crate) fn judged(snapshot: &Snapshot, link: &Link) -> Option<Ending> {
    let node = link.node();
    let Some(held) = snapshot.node(node, &Orgs::All) else {
        return Some(Ending::Revoked);
    };
    if held.doc.identity.credential_hash.as_deref() != Some(link.credential_hash()) {
        return Some(Ending::Revoked);
    }
    if held.doc.status == NodeStatus::Inactive {
        return Some(Ending::Decommissioned);
    }
    snapshot
        .linked
        .conn(node)
        .is_some_and(|conn| conn.revision.get() > link.generation())
        .then_some(Ending::Replaced)
}

impl Follower for Live {
    fn reset(&self, snapshot: &Snapshot) {
        let links: Vec<Arc<Link>> = self
            .shards
            .iter()
            .flat_map(|shard| {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                let links: Vec<_> = shard
                    .values()
                    .filter_map(|presence| presence.link.clone())
                    .collect();
                links
            })
            .collect();
        for link in links {
            self.hold_to(snapshot, link.node());
        }
        // Which of them are new is not known: a node does each once.
        for held in snapshot.linked.commands.values() {
            self.order(&held.doc);
        }
    }

    fn changed(&self, snapshot: &Snapshot, touched: &Touched) {
        for node in touched.nodes.union(&touched.conns) {
            self.hold_to(snapshot, node);
            // A node that is gone for good is forgotten here as well.
            if snapshot.node(node, &Orgs::All).is_none() {
                let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
                elsewhere.remove(node);
                drop(elsewhere);
                let mut shard = self.shard(node);
                if shard.get(node).is_some_and(|presence| presence.link.is_none()) {
                    shard.remove(node);
                }
            }
        }
        for id in &touched.commands {
            if let Some(held) = snapshot.linked.commands.get(id) {
                self.order(&held.doc);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_store::{Txn, TxnOutcome, keys};
    use serde_json::{Value, json};

    use super::*;
    use crate::view::document::encode;
    use crate::view::feed;

    fn seen(seconds: u64) -> Seen {
        Seen {
            elapsed: Duration::from_secs(seconds),
            at: Timestamp::EPOCH,
        }
    }

    fn link(generation: u64) -> Arc<Link> {
        Arc::new(Link::new("n1".parse().unwrap(), generation, String::new()))
    }

    #[test]
    fn the_newer_connection_wins_and_the_older_one_harms_nothing() {
        let live = Live::new();
        let (old, new) = (link(5), link(9));
        assert_eq!(live.attach(&old, "a", seen(1)), Found::Free);
        assert_eq!(live.attach(&new, "a", seen(2)), Found::Free);
        assert_eq!(old.ended(), Some(Ending::Replaced));
        // What the old one says late does not count, and its close takes nothing.
        assert!(!live.heard(&old, seen(50), None));
        live.detach(&old);
        assert_eq!(live.connected(), 1);
        let heard = |generation| live.seen(new.node(), generation).map(|(seen, _)| seen.elapsed);
        assert_eq!(heard(9), Some(Duration::from_secs(2)));
        // One that comes too late by the store's order does not get the place.
        assert_eq!(live.attach(&link(7), "a", seen(3)), Found::Newer);
        live.said_bye(&new, "stopped");
        live.detach(&new);
        assert_eq!(live.connected(), 0);
        // What was heard over one that is over says nothing about the next before that has its place.
        assert_eq!(heard(9), Some(Duration::from_secs(2)));
        assert_eq!(heard(12), None);
    }

    #[test]
    fn two_machines_with_one_credential_are_told_from_one_that_was_started_anew() {
        let live = Live::new();
        let node = link(1).node().clone();
        for (generation, boot, twin) in [
            (1, "a", false),
            (2, "a", false),
            (3, "b", false),
            (4, "b", false),
            (5, "a", true),
        ] {
            assert_eq!(live.is_twin(&node, boot), twin, "connection {generation}");
            live.attach(&link(generation), boot, seen(generation));
        }
    }

    #[tokio::test]
    async fn after_the_view_was_read_anew_commands_that_nobody_was_told_of_are_sent() {
        // Given a node with a connection, and a command that was given while the changes were not seen.
        let store = aami_store::open("memory:").await.unwrap();
        let id: NodeId = "n1".parse().unwrap();
        let at = "2026-01-01T00:00:00.000Z";
        let node = json!({
            "id": id, "org": "default", "hostname": "gpu-01", "ip_address": "192.0.2.7",
            "address_pinned": false, "status": "online", "status_since": at, "reachable": true, "created_at": at,
            "identity": { "credential_hash": "c" },
        });
        let conn = json!({
            "replica": "r", "nonce": "1", "at": at, "agent_version": "1.0.0", "arch": "amd64", "boot_id": "b",
        });
        let written = Txn::new()
            .put(keys::node(&id), encode(&node))
            .put(keys::conn(&id), encode(&conn));
        let TxnOutcome::Committed(generation) = store.txn(written).await.unwrap() else {
            panic!("the store is one's own");
        };
        let live = Live::new();
        let link = Arc::new(Link::new(id.clone(), generation.get(), "c".to_owned()));
        live.attach(&link, "b", seen(1));
        let command = |id: &str, status: &str| {
            let command = json!({
                "id": id, "org": "default", "node": "n1", "command": { "kind": "run_checks" }, "status": status,
                "timeout_seconds": 60, "created_at": at, "created_by": "key:k",
            });
            (keys::command(&id.parse().unwrap()), encode(&command))
        };
        let (sent, done) = (command("c1", "sent"), command("c2", "completed"));
        let commands = Txn::new().put(sent.0, sent.1).put(done.0, done.1);
        let wrote = store.txn(commands).await.unwrap();
        assert!(matches!(wrote, TxnOutcome::Committed(_)));
        // When it is read anew,
        live.reset(&feed::read(&store).await.unwrap().current());
        // Then the node is sent what it has not taken, and its connection goes on.
        let frames: Vec<Value> = link
            .take()
            .iter()
            .map(|frame| serde_json::from_str(frame).unwrap())
            .collect();
        assert_eq!(frames.len(), 1, "{frames:?}");
        assert_eq!(frames[0]["commandId"], "c1");
        assert_eq!(link.ended(), None);
    }

    #[tokio::test]
    async fn whoever_takes_a_place_while_all_go_is_told_as_well_and_the_last_one_is_waited_for() {
        let live = Arc::new(Live::new());
        let (first, second) = (live.socket(), live.socket());
        let (before, after) = (link(5), link(9));
        live.attach(&before, "a", seen(1));
        live.drain(7);
        live.detach(&before);
        live.attach(&after, "a", seen(2));
        for link in [before, after] {
            assert_eq!(link.ended(), Some(Ending::Draining { spread_seconds: 7 }));
        }
        let waiting = tokio::spawn({
            let live = live.clone();
            async move { live.empty().await }
        });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        let gone = tokio::time::timeout(Duration::from_secs(20), waiting);
        gone.await.unwrap().unwrap();
    }

    #[test]
    fn a_credential_opens_no_more_sockets_than_a_node_needs() {
        let live = Live::new();
        let node = link(1).node().clone();
        let now = Duration::from_secs(100);
        assert_eq!((0..100).filter(|_| live.may_try(&node, now)).count(), 10);
        assert!(live.may_try(&node, now + Duration::from_secs(2)));
    }
}
