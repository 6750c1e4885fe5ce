//! Registration: a machine with a bootstrap token becomes a node, in one transaction.
//!
//! [`request`] turns what a stranger sent into a [`Candidate`] whose every value holds its rule;
//! [`identity`] says which node that is, if any; this file makes the transaction. What decides between
//! many machines at once are the compares of the transaction: the index keys of hostname, machine and
//! node key, and the use slot, must be as they were looked at.

mod identity;
mod news;
mod request;

pub(super) use request::check_metadata;

use std::net::IpAddr;

use aami_api::node::NodeView;
use aami_api::register::{ExporterView, RegisterRequest, Registered, TokenUsage};
use aami_model::access::{Caller, Orgs};
use aami_model::exporter::Exporter;
use aami_model::finding::{Finding, Severity};
use aami_model::label::Labels;
use aami_model::node::{Identity, Node};
use aami_model::node_status::{self, Outcome, Trigger};
use aami_model::secret::{Secret, SecretKind};
use aami_model::token::{BootstrapToken, Verdict};
use aami_model::{NodeId, Timestamp, code};
use aami_store::{Revision, Txn, keys};
use serde_json::json;

use self::identity::Recognised;
pub(super) use self::identity::machine_id_elsewhere;
use self::request::Candidate;
use super::commit::{Change, Wanted, Written, Wrote, node_data};
use super::connections::reported_of;
use super::{App, Asking, Refusal, access};
use crate::view::document::{Pointer, encode};
use crate::view::{Held, Snapshot};

/// What arrived.
pub(crate) struct Arrival<'a> {
    /// The token, from the header or the body.
    pub(crate) token: &'a str,
    /// The body, read.
    pub(crate) request: RegisterRequest,
    /// The body, exactly as it came: what the proofs sign.
    pub(crate) body: &'a [u8],
    pub(crate) proof: Option<&'a str>,
    pub(crate) proof_old: Option<&'a str>,
    pub(crate) peer: IpAddr,
}

/// A node as it will stand, before the transaction.
struct Draft {
    node: Node,
    /// The node it replaces, where there is one.
    before: Option<Revision>,
    /// The use slot it takes, where it takes one.
    slot: Option<u32>,
    known: bool,
}

impl App {
    /// Registers. The same machine repeating itself gets the same answer and uses nothing more.
    pub(crate) async fn register(&self, arrival: Arrival<'_>) -> Result<(Registered, Written), Refusal> {
        let own = Secret::parse(arrival.token).is_ok_and(|own| own.kind() == SecretKind::NodeCredential);
        if own {
            return self.take_news(arrival).await;
        }
        let (token, _) = self.find_token(&self.view.current(), arrival.token)?;
        if token.revoked_at.is_some() {
            return Err(Refusal::plain(code::TOKEN_REVOKED));
        }
        let candidate = Candidate::check(
            arrival.request,
            arrival.body,
            arrival.proof,
            &self.config.addresses(),
            arrival.peer,
        )?;
        // A machine without a key of its own is given its credential here.
        let made = match candidate.key {
            Some(_) => None,
            None => {
                let id = NodeId::from_random(self.world.random());
                Some(Secret::from_random(
                    SecretKind::NodeCredential,
                    id.as_str(),
                    self.world.random(),
                ))
            }
        };
        let credential_hash = made
            .as_ref()
            .map(access::hash)
            .or_else(|| candidate.credential_hash.clone());
        let caller = Caller {
            id: format!("token:{}", token.id),
            role: None,
            scopes: Vec::new(),
            orgs: Orgs::Only(vec![token.org.clone()]),
            user: token.user.clone(),
        };
        let fresh_id = NodeId::at(self.world.now(), self.world.random());
        let asking = Asking::by(caller);

        let wrote = self
            .write(&asking, |snapshot, now| {
                let held = snapshot
                    .token(&token.id)
                    .ok_or_else(|| Refusal::plain(code::TOKEN_INVALID))?;
                if held.doc.revoked_at.is_some() {
                    return Err(Refusal::plain(code::TOKEN_REVOKED));
                }
                let found = identity::recognise(
                    snapshot,
                    &held.doc,
                    &candidate,
                    arrival.body,
                    arrival.proof_old,
                    now,
                )?;
                let draft = draft(
                    snapshot,
                    &held.doc,
                    &candidate,
                    found,
                    &fresh_id,
                    credential_hash.clone(),
                    now,
                )?;
                not_of_another(snapshot, &draft.node)?;
                plan(snapshot, held, &candidate, draft, now)
            })
            .await?;
        let Wrote::Fresh(registered, written) = wrote else {
            return Err(Refusal::plain(code::INTERNAL));
        };
        self.counters.registrations.inc();
        self.verifier.ask(&registered.node.id);
        let credential = made.map(|secret| secret.reveal().to_owned());
        Ok((
            Registered {
                credential_confirmed: credential.is_none(),
                credential,
                ..registered
            },
            written,
        ))
    }
}

/// Says what the node will be.
fn draft(
    snapshot: &Snapshot,
    token: &BootstrapToken,
    candidate: &Candidate,
    found: Recognised,
    fresh_id: &NodeId,
    credential_hash: Option<String>,
    now: Timestamp,
) -> Result<Draft, Refusal> {
    let slot = |id: &NodeId| match token.judge(now, snapshot.used(&token.id)) {
        Verdict::Good { .. } => free_slot(snapshot, token, id)
            .map(Some)
            .ok_or_else(|| Refusal::plain(code::TOKEN_EXHAUSTED)),
        verdict => Err(Refusal::plain(verdict.refusal().unwrap_or(code::TOKEN_INVALID))),
    };
    let (mut node, before, slot, known) = match found {
        Recognised::Same(held) => (held.doc.clone(), Some(held.revision), None, true),
        Recognised::Plain(held) => (held.doc.clone(), Some(held.revision), None, true),
        Recognised::Claimed(held) | Recognised::Again(held) => {
            (held.doc.clone(), Some(held.revision), slot(&held.doc.id)?, false)
        }
        Recognised::New => (
            new_node(fresh_id.clone(), token, candidate, now),
            None,
            slot(fresh_id)?,
            false,
        ),
    };

    node.hostname = candidate.hostname.clone();
    if !node.address_pinned {
        node.ip_address = candidate.address;
    }
    node.exporters = exporters(&node, candidate);
    let news = candidate
        .labels
        .0
        .iter()
        .filter(|(name, value)| node.reported_labels.0.get(*name) != Some(*value));
    let news = news.map(|(name, value)| (name.clone(), value.clone())).collect();
    // What the token says stands below what is there, and only where nothing was said before.
    let below = if known {
        Labels::default()
    } else {
        token.labels.clone()
    };
    node.labels = below.overlaid(&node.labels).overlaid(&news);
    node.reported_labels.clone_from(&candidate.labels);
    node.labels
        .check()
        .map_err(|error| Refusal::invalid("labels", error))?;
    if !candidate.metadata.is_empty() {
        node.metadata.clone_from(&candidate.metadata);
    }
    if candidate.system_info.is_some() {
        node.system_info.clone_from(&candidate.system_info);
    }
    if let Some(group) = &token.group
        && !node.groups.contains(group)
    {
        node.groups.push(group.clone());
    }
    not_revoked(&node.identity, candidate, credential_hash.as_deref())?;
    node.identity = Identity {
        node_key: candidate.key.clone(),
        credential_hash,
        machine: candidate.machine.clone().or_else(|| node.identity.machine.take()),
        machine_id: candidate
            .machine_id
            .clone()
            .or_else(|| node.identity.machine_id.take()),
        reenrol_until: None,
        revoked: std::mem::take(&mut node.identity.revoked),
    };
    node.enrolled_at = Some(node.enrolled_at.filter(|_| known).unwrap_or(now));
    node.token = node.token.filter(|_| known).or_else(|| Some(token.id.clone()));
    Ok(Draft {
        node,
        before,
        slot,
        known,
    })
}

/// What was rotated away may be in other hands: it speaks for the node never again, whoever has a token for it.
fn not_revoked(
    identity: &Identity,
    candidate: &Candidate,
    credential_hash: Option<&str>,
) -> Result<(), Refusal> {
    let shown = [candidate.key.as_deref(), credential_hash];
    if shown
        .into_iter()
        .flatten()
        .any(|proof| identity.has_revoked(proof))
    {
        return Err(Refusal::plain(code::CREDENTIAL_REVOKED));
    }
    Ok(())
}

/// A credential opens one node. Its hash travels in every registration, so whoever has seen one go by
/// could otherwise give it to a node of theirs, and the true holder's credential would lead there.
fn not_of_another(snapshot: &Snapshot, node: &Node) -> Result<(), Refusal> {
    let hash = node.identity.credential_hash.as_deref();
    match hash.and_then(|hash| snapshot.by_credential(hash)) {
        Some(held) if held.doc.id != node.id => Err(Refusal::invalid(
            "credential_hash",
            "make a credential of your own",
        )),
        _ => Ok(()),
    }
}

/// What the node says it runs; whether Prometheus is told of it stays as an operator left it.
fn exporters(node: &Node, candidate: &Candidate) -> Vec<Exporter> {
    let mut exporters = candidate.exporters.clone();
    for exporter in &mut exporters {
        if let Some(before) = node
            .exporters
            .iter()
            .find(|before| before.name() == exporter.name())
        {
            exporter.enabled = before.enabled;
        }
    }
    exporters
}

fn new_node(id: NodeId, token: &BootstrapToken, candidate: &Candidate, now: Timestamp) -> Node {
    Node {
        id,
        org: token.org.clone(),
        user: token.user.clone(),
        hostname: candidate.hostname.clone(),
        ip_address: candidate.address,
        address_pinned: false,
        status: node_status::first(true).0,
        status_since: now,
        status_reason: None,
        reachable: false,
        labels: Labels::default(),
        metadata: std::collections::BTreeMap::new(),
        groups: Vec::new(),
        exporters: Vec::new(),
        system_info: None,
        maintenance_until: None,
        reported_labels: Labels::default(),
        identity: Identity::default(),
        created_at: now,
        enrolled_at: None,
        token: None,
    }
}

/// The first free slot in hash order: machines start at different places, so that many at once seldom
/// want the same one.
fn free_slot(snapshot: &Snapshot, token: &BootstrapToken, node: &NodeId) -> Option<u32> {
    let start = node
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let start = u32::try_from(start % u64::from(token.max_uses)).unwrap_or(0);
    (0..token.max_uses)
        .map(|step| (start + step) % token.max_uses)
        .find(|slot| !snapshot.is_taken(&token.id, *slot))
}

/// Turns the draft into a transaction, or into nothing where it would change nothing.
fn plan(
    snapshot: &Snapshot,
    token: &Held<BootstrapToken>,
    candidate: &Candidate,
    draft: Draft,
    now: Timestamp,
) -> Result<Wanted<Registered>, Refusal> {
    let Draft {
        mut node,
        before,
        slot,
        known,
    } = draft;
    let all = Orgs::All;
    let old = before.and_then(|_| snapshot.node(&node.id, &all));
    let mut change = Change::new(node.org.clone(), "node.register", format!("node:{}", node.id));

    if old.is_none() {
        change = change.tell_all(node_status::first(true).1, &node_data(&node));
    } else if let Ok(Outcome::Moved { to, events }) = node_status::next(node.status, Trigger::Enrolled) {
        (node.status, node.status_since, node.status_reason) = (to, now, None);
        change = change.tell_all(events, &node_data(&node));
    }
    // Nothing to reach: there is nothing more to verify.
    if node.exporters.is_empty()
        && let Ok(Outcome::Moved { to, events }) = node_status::next(node.status, Trigger::Verified)
    {
        (node.status, node.status_since, node.status_reason) = (to, now, None);
        node.reachable = true;
        change = change.tell_all(events, &node_data(&node));
    }

    let used = snapshot.used(&token.doc.id) + u32::from(slot.is_some());
    let answer = Registered {
        node: NodeView::from(&node),
        exporters: node
            .exporters
            .iter()
            .map(|exporter| ExporterView::of(&node.id, exporter))
            .collect(),
        token: TokenUsage {
            id: token.doc.id.clone(),
            name: token.doc.name.clone(),
            max_uses: token.doc.max_uses,
            used,
            remaining: token.doc.max_uses.saturating_sub(used),
        },
        credential: None,
        credential_confirmed: candidate.key.is_some(),
        known,
    };
    let run = candidate.run.as_ref().and_then(|id| snapshot.run(id));
    let run_is_news = run.is_some_and(|held| {
        held.doc.token.as_ref() == Some(&token.doc.id)
            && (held.doc.announced
                || held.doc.node.as_ref() != Some(&node.id)
                || held.doc.node_enrolled_at != node.enrolled_at)
    });
    if old.is_some_and(|old| old.doc == node) && !run_is_news {
        return Ok(Wanted::Nothing(answer));
    }

    change = change.noting(json!({ "hostname": node.hostname, "known": known, "token": token.doc.id }));
    if let Some(old) = old {
        change = change.tell_address(&old.doc, &node);
    }
    // The first one of a declared node is in the place of none.
    let rotated = |old: &&std::sync::Arc<Held<Node>>| {
        let before = &old.doc.identity.credential_hash;
        before.is_some() && *before != node.identity.credential_hash
    };
    if let Some(old) = old.filter(rotated) {
        change = change.tell("node.credential_rotated", json!({ "hostname": old.doc.hostname }));
    }
    let machine_id_is_news = old.is_none_or(|old| old.doc.identity.machine_id != node.identity.machine_id);
    if let Some(other) = machine_id_elsewhere(snapshot, &node).filter(|_| machine_id_is_news) {
        change = change.tell(
            "finding.opened",
            json!({
                "code": code::DUPLICATE_MACHINE_ID.symbol,
                "machine_id": node.identity.machine_id,
                "other_node": other,
                "hint": code::DUPLICATE_MACHINE_ID.hint,
            }),
        );
        let finding = Finding {
            code: code::DUPLICATE_MACHINE_ID.symbol.to_owned(),
            subject: other.to_string(),
            severity: Severity::Warning,
            summary: format!(
                "Its machine-id is that of node {other} too: one is a copy of the other's disk."
            ),
            action: code::DUPLICATE_MACHINE_ID.hint.to_owned(),
            since: now,
        };
        let (mut reported, before) = reported_of(snapshot, &node.id);
        reported.observed.retain(|known| known.code != finding.code);
        reported.observed.push(finding);
        change = change.transact(|txn| {
            let key = keys::finding(&node.id);
            txn.when_unchanged(key.clone(), before)
                .put(key, encode(&reported))
        });
    }
    change = change.transact(|txn| {
        let node_key = keys::node(&node.id);
        let mut txn = txn.when_unchanged(keys::token(&token.doc.id), token.revision);
        txn = match before {
            Some(revision) => txn.when_unchanged(node_key.clone(), revision),
            None => txn.when_absent(node_key.clone()),
        };
        txn = txn.put(node_key, encode(&node));
        txn = index(txn, snapshot, &node, old.map(|old| &old.doc));
        if let Some(slot) = slot {
            let key = keys::token_use(&token.doc.id, slot);
            txn = txn.when_absent(key.clone()).put(
                key,
                encode(&Pointer {
                    node: node.id.clone(),
                }),
            );
        }
        if let Some(run) = run.filter(|_| run_is_news) {
            let mut document = run.doc.clone();
            (document.node, document.node_enrolled_at) = (Some(node.id.clone()), node.enrolled_at);
            document.announced = false;
            let key = keys::run(&run.doc.id);
            txn = txn
                .when_unchanged(key.clone(), run.revision)
                .put(key, encode(&document));
        }
        txn
    });
    Ok(Wanted::Write(Box::new(change), answer))
}

/// Moves the index keys from what the node was to what it will be, each compared with what the view
/// shows, so that two machines cannot both win one.
pub(super) fn index(mut txn: Txn, snapshot: &Snapshot, node: &Node, old: Option<&Node>) -> Txn {
    let keys_of = |node: &Node| {
        [
            Some(keys::hostname_index(&node.org, node.hostname.as_str())),
            node.identity.machine.as_deref().map(keys::machine_index),
            node.identity.node_key.as_deref().map(keys::node_key_index),
        ]
    };
    let held = |slot: usize, key: &aami_store::Key| match slot {
        0 => snapshot.by_hostname(key),
        1 => snapshot.by_machine(key),
        _ => snapshot.by_node_key(key),
    };
    let after = keys_of(node);
    let before = old.map(keys_of).unwrap_or_default();
    for (slot, (was, is)) in before.into_iter().zip(after).enumerate() {
        if was == is {
            continue;
        }
        if let Some(was) = was.filter(|was| held(slot, was).is_some_and(|(owner, _)| *owner == node.id)) {
            let revision = held(slot, &was).map_or(Revision::ZERO, |(_, revision)| *revision);
            txn = txn.when_unchanged(was.clone(), revision).delete(was);
        }
        if let Some(is) = is {
            txn = txn.when_absent(is.clone()).put(
                is,
                encode(&Pointer {
                    node: node.id.clone(),
                }),
            );
        }
    }
    txn
}
