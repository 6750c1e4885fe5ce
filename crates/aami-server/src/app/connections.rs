//! What a connection does to its node: it is there, it is gone, and every such write compares `conn/{node}`, so that
//! an older connection or a control plane that was stopped harms nothing.

use std::time::Duration;

use aami_api::link::Hello;
use aami_model::access::{Caller, Orgs, Scope};
use aami_model::finding::{Finding, Severity};
use aami_model::node::Node;
use aami_model::node_status::{self, NodeStatus, Outcome, Trigger};
use aami_model::{NodeId, OrgId, Timestamp, code};
use aami_store::{Revision, keys};
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Wrote, node_data};
use super::register::machine_id_elsewhere;
use super::reports::{finding_data, gpu_devices};
use super::{App, Asking, Refusal};
use crate::view::Snapshot;
use crate::view::document::encode;
use crate::view::linked::{ConnDocument, ReportedDocument};

/// A clock may be off by so much before somebody should know.
const SKEW: Duration = Duration::from_secs(30);
const CLOCK_SKEW: &str = "CLOCK_SKEW";
pub(crate) const DUPLICATE_CREDENTIAL: &str = "DUPLICATE_CREDENTIAL";

/// A node that wants to be connected.
pub(crate) struct Connecting<'a> {
    pub(crate) node: &'a NodeId,
    pub(crate) credential_hash: &'a str,
    pub(crate) hello: &'a Hello,
    /// Whether an open connection of the same node is here already.
    pub(crate) replaces: bool,
    /// Whether two machines were seen to carry its credential.
    pub(crate) twin: bool,
}

/// A node that is.
pub(crate) struct Connected {
    pub(crate) generation: u64,
    /// How far the reports of its spool have been taken.
    pub(crate) received: u64,
    pub(crate) wants_inventory: bool,
    /// Whether it was connected before, here or elsewhere.
    pub(crate) again: bool,
}

/// How far a node's clock is off, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Off {
    by: Duration,
    is_ahead: bool,
}

impl Off {
    /// By what a node said its clock shows, heard `now`.
    pub(crate) fn of(time: Timestamp, now: Timestamp) -> Self {
        let (by, is_ahead) = if time > now {
            (time.since(now), true)
        } else {
            (now.since(time), false)
        };
        Self { by, is_ahead }
    }
}

/// A node, as it speaks for itself.
pub(super) fn speaking(node: &NodeId, org: &OrgId) -> Asking {
    Asking::by(Caller {
        id: format!("node:{node}"),
        role: None,
        scopes: vec![Scope::Node(node.clone())],
        orgs: Orgs::Only(vec![org.clone()]),
        user: None,
    })
}

impl App {
    /// Takes a node's place for a new connection, and brings the node online where its status allows: one
    /// transaction, whose revision is the connection's generation.
    pub(crate) async fn connect(&self, connecting: &Connecting<'_>) -> Result<Connected, Refusal> {
        let (id, hello) = (connecting.node, connecting.hello);
        let org = self.org_of(id)?;
        let nonce = data_encoding::HEXLOWER.encode(&self.world.random::<12>());
        let wrote = self
            .write(&speaking(id, &org), |snapshot, now| {
                let held = snapshot
                    .node(id, &Orgs::All)
                    .ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))?;
                if held.doc.identity.credential_hash.as_deref() != Some(connecting.credential_hash) {
                    return Err(Refusal::plain(code::UNAUTHENTICATED));
                }
                let mut node = held.doc.clone();
                let mut change = Change::new(node.org.clone(), "node.connect", format!("node:{id}"))
                    .noting(json!({ "hostname": node.hostname, "agent_version": hello.agent_version }))
                    .quiet();
                node.reachable = true;
                let moved = node_status::next(node.status, Trigger::Connected)
                    .map_err(|_| Refusal::plain(code::NODE_DECOMMISSIONED))?;
                if let Outcome::Moved { to, events } = moved {
                    (node.status, node.status_since, node.status_reason) = (to, now, None);
                    let mut data = node_data(&node);
                    data["agentVersion"] = json!(hello.agent_version);
                    data["gpuDevices"] = gpu_devices(snapshot, &node);
                    change = change.tell_all(events, &data);
                }
                if connecting.replaces {
                    change = change.tell("node.connection_replaced", node_data(&node));
                }
                let (reported, before) = reported_of(snapshot, id);
                let has_twin = machine_id_elsewhere(snapshot, &node).is_some();
                let observed = observed(&reported, connecting, has_twin, now);
                let received = if reported.spool == hello.spool {
                    reported.received
                } else {
                    0
                };
                let wants_inventory = snapshot.linked.inventories.get(id).is_none_or(|held| {
                    hello.inventory_sha256.is_empty() || held.doc.sha256 != hello.inventory_sha256
                });
                if observed != reported.observed {
                    change = tell_findings(change, &node, &reported.observed, &observed);
                    let reported = ReportedDocument { observed, ..reported };
                    change = change.transact(|txn| {
                        txn.when_unchanged(keys::finding(id), before)
                            .put(keys::finding(id), encode(&reported))
                    });
                }
                let conn = ConnDocument {
                    replica: self.replica.clone(),
                    nonce: nonce.clone(),
                    at: now,
                    agent_version: hello.agent_version.clone(),
                    arch: hello.arch.clone(),
                    boot_id: hello.boot_id.clone(),
                    credential: ConnDocument::short(connecting.credential_hash).to_owned(),
                };
                let change = change.transact(|txn| {
                    let txn = txn
                        .when_unchanged(keys::node(id), held.revision)
                        .put(keys::conn(id), encode(&conn));
                    if node == held.doc {
                        txn
                    } else {
                        txn.put(keys::node(id), encode(&node))
                    }
                });
                let again = snapshot.linked.conn(id).is_some();
                Ok(Wanted::Write(
                    Box::new(change),
                    (received, wants_inventory, again),
                ))
            })
            .await?;
        let Wrote::Fresh((received, wants_inventory, again), written) = wrote else {
            return Err(Refusal::plain(code::INTERNAL));
        };
        Ok(Connected {
            generation: written.revision.get(),
            received,
            wants_inventory,
            again,
        })
    }

    /// A connected node was heard although it counts as gone: it is back.
    pub(crate) async fn revive(&self, id: &NodeId, generation: u64) -> Result<(), Refusal> {
        self.move_connected(id, generation, Trigger::Connected, true, |_| (None, json!({})))
            .await
    }

    /// A node has been silent for too long.
    pub(crate) async fn lose(
        &self,
        id: &NodeId,
        generation: u64,
        reason: &str,
        sentence: &str,
        last_seen: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        self.move_connected(id, generation, Trigger::HeartbeatLost, false, |node| {
            // Where this control plane has not heard it itself, the connection's beginning is known at least.
            let told = json!({
                "disconnectReason": reason,
                "lastSeenAt": last_seen.unwrap_or(node.status_since),
            });
            (Some(sentence.to_owned()), told)
        })
        .await
    }

    /// Moves a node at the word of a connection, if that connection still is the node's newest.
    async fn move_connected(
        &self,
        id: &NodeId,
        generation: u64,
        trigger: Trigger,
        reachable: bool,
        tell: impl Fn(&Node) -> (Option<String>, Value),
    ) -> Result<(), Refusal> {
        let generation = Revision::new(generation);
        let asking = Asking::by(Caller::system());
        self.write(&asking, |snapshot, now| {
            let Some(held) = snapshot.node(id, &Orgs::All) else {
                return Ok(Wanted::Nothing(()));
            };
            if snapshot
                .linked
                .conn(id)
                .is_none_or(|conn| conn.revision > generation)
            {
                return Ok(Wanted::Nothing(()));
            }
            let mut node = held.doc.clone();
            node.reachable = reachable;
            let mut change = Change::new(node.org.clone(), "node.observe", format!("node:{id}")).quiet();
            if let Ok(Outcome::Moved { to, events }) = node_status::next(node.status, trigger) {
                let (reason, told) = tell(&node);
                (node.status, node.status_since, node.status_reason) = (to, now, reason);
                let mut data = node_data(&node);
                if let (Value::Object(data), Value::Object(told)) = (&mut data, told) {
                    data.extend(told);
                }
                change = change.tell_all(events, &data);
            }
            if node == held.doc {
                return Ok(Wanted::Nothing(()));
            }
            let change = change.transact(|txn| {
                txn.when_unchanged(keys::conn(id), generation)
                    .when_unchanged(keys::node(id), held.revision)
                    .put(keys::node(id), encode(&node))
            });
            Ok(Wanted::Write(Box::new(change), ()))
        })
        .await?;
        Ok(())
    }

    /// No second machine was heard with a node's credential for long enough.
    pub(crate) async fn has_no_twin(&self, id: &NodeId, generation: u64) -> Result<(), Refusal> {
        self.observe(id, generation, DUPLICATE_CREDENTIAL, |_, _| None)
            .await
    }

    /// A node's clock is so far off, which is a finding or no longer one.
    pub(crate) async fn clock_is_off(&self, id: &NodeId, generation: u64, off: Off) -> Result<(), Refusal> {
        self.observe(id, generation, CLOCK_SKEW, |known, now| skew(known, off, now))
            .await
    }

    /// Opens a finding of the control plane's own, or takes it back, where `find` says otherwise than what is known.
    async fn observe(
        &self,
        id: &NodeId,
        generation: u64,
        code: &str,
        find: impl Fn(Option<&Finding>, Timestamp) -> Option<Finding>,
    ) -> Result<(), Refusal> {
        let asking = Asking::by(Caller::system());
        self.write(&asking, |snapshot, now| {
            let Some(held) = snapshot.node(id, &Orgs::All) else {
                return Ok(Wanted::Nothing(()));
            };
            let (reported, before) = reported_of(snapshot, id);
            let known = reported.observed.iter().find(|finding| finding.code == code);
            let found = find(known, now);
            if found.is_some() == known.is_some() {
                return Ok(Wanted::Nothing(()));
            }
            let others = reported.observed.iter().filter(|finding| finding.code != code);
            let observed: Vec<Finding> = others.cloned().chain(found).collect();
            let change = Change::new(held.doc.org.clone(), "node.observe", format!("node:{id}"));
            let change = tell_findings(change, &held.doc, &reported.observed, &observed);
            let reported = ReportedDocument { observed, ..reported };
            let change = change.transact(|txn| {
                txn.when_unchanged(keys::conn(id), Revision::new(generation))
                    .when_unchanged(keys::finding(id), before)
                    .put(keys::finding(id), encode(&reported))
            });
            Ok(Wanted::Write(Box::new(change), ()))
        })
        .await?;
        Ok(())
    }

    /// Whether the control plane itself found this about a node.
    pub(crate) fn has_observed(&self, id: &NodeId, code: &str) -> bool {
        let snapshot = self.view.current();
        let found = |held: &std::sync::Arc<crate::view::Held<ReportedDocument>>| {
            held.doc.observed.iter().any(|finding| finding.code == code)
        };
        snapshot.linked.reported.get(id).is_some_and(found)
    }

    /// Whether a node counts as gone.
    pub(crate) fn counts_as_gone(&self, id: &NodeId) -> bool {
        let snapshot = self.view.current();
        snapshot
            .node(id, &Orgs::All)
            .is_some_and(|held| !held.doc.reachable || held.doc.status == NodeStatus::Offline)
    }

    /// The organisation of a node that speaks.
    pub(super) fn org_of(&self, id: &NodeId) -> Result<OrgId, Refusal> {
        let snapshot = self.view.current();
        snapshot
            .node(id, &Orgs::All)
            .map(|held| held.doc.org.clone())
            .ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))
    }
}

/// What a node reported so far, with the revision to compare.
pub(super) fn reported_of(snapshot: &Snapshot, id: &NodeId) -> (ReportedDocument, Revision) {
    snapshot.linked.reported.get(id).map_or_else(
        || (ReportedDocument::default(), Revision::ZERO),
        |held| (held.doc.clone(), held.revision),
    )
}

/// Tells which findings began and which are over; there are few of the control plane's own.
fn tell_findings(mut change: Change, node: &Node, before: &[Finding], after: &[Finding]) -> Change {
    let missing = |from: &[Finding], one: &Finding| !from.iter().any(|other| other.code == one.code);
    for finding in after.iter().filter(|one| missing(before, one)) {
        change = change.tell("finding.opened", finding_data(node, finding));
    }
    for finding in before.iter().filter(|one| missing(after, one)) {
        change = change.tell("finding.closed", finding_data(node, finding));
    }
    change
}

/// What the control plane finds about a node that greets.
fn observed(
    reported: &ReportedDocument,
    connecting: &Connecting<'_>,
    has_twin: bool,
    now: Timestamp,
) -> Vec<Finding> {
    let known = |code: &str| reported.observed.iter().find(|finding| finding.code == code);
    let mut found = Vec::new();
    if let Some(known) = known(DUPLICATE_CREDENTIAL) {
        found.push(known.clone());
    } else if connecting.twin {
        found.push(Finding {
            code: DUPLICATE_CREDENTIAL.to_owned(),
            subject: String::new(),
            severity: Severity::Critical,
            summary: "Two machines connect with this node's credential and replace each other.".to_owned(),
            action:
                "Find the copy and enrol it anew: aami nodes allow-reenrol, then bootstrap with a new key."
                    .to_owned(),
            since: now,
        });
    }
    // Found where it registered; over once the other has another machine-id, or is gone.
    let shared = known(code::DUPLICATE_MACHINE_ID.symbol).filter(|_| has_twin);
    found.extend(shared.cloned());
    found.extend(skew(known(CLOCK_SKEW), Off::of(connecting.hello.time, now), now));
    found
}

/// What there is to find about a clock that is so far off. Once found it stays until the clock is clearly right.
fn skew(known: Option<&Finding>, off: Off, now: Timestamp) -> Option<Finding> {
    let limit = if known.is_some() { SKEW / 2 } else { SKEW };
    let side = if off.is_ahead { "ahead of" } else { "behind" };
    let seconds = off.by.as_secs();
    (off.by > limit).then(|| Finding {
        code: CLOCK_SKEW.to_owned(),
        subject: String::new(),
        severity: Severity::Warning,
        summary: format!("Its clock is {seconds} s {side} the control plane's."),
        action: "Set up time synchronisation on the node (chrony or systemd-timesyncd).".to_owned(),
        since: known.map_or(now, |finding| finding.since),
    })
}
