//! Which node a candidate is.
//!
//! A node is known by the key it made. Hostname and hardware say that a machine *claims* to be a node
//! we know; without that node's key somebody must have allowed it. The machine-id is evidence for
//! people, never identity: images are copied with it.

use std::sync::Arc;

use aami_model::access::Orgs;
use aami_model::hostname::Hostname;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::token::BootstrapToken;
use aami_model::{NodeId, Timestamp, code};
use aami_store::keys;

use super::request::{Candidate, signed_by};
use crate::app::Refusal;
use crate::view::{Held, Snapshot};

/// Which node it is.
pub(super) enum Recognised {
    /// The one with this key: the same machine repeats itself.
    Same(Arc<Held<Node>>),
    /// The one that enrolled without a key, with this token, under this name.
    Plain(Arc<Held<Node>>),
    /// One that nobody has enrolled as yet, and this token is meant for it.
    Claimed(Arc<Held<Node>>),
    /// One we know under another key, and enrolling again was allowed.
    Again(Arc<Held<Node>>),
    /// None we know.
    New,
}

/// Says which node the candidate is, or why it may be none.
pub(super) fn recognise(
    snapshot: &Snapshot,
    token: &BootstrapToken,
    candidate: &Candidate,
    body: &[u8],
    proof_old: Option<&str>,
    now: Timestamp,
) -> Result<Recognised, Refusal> {
    let all = Orgs::All;
    let node = |id: &NodeId| snapshot.node(id, &all).cloned();

    let by_key = candidate
        .key
        .as_deref()
        .and_then(|key| snapshot.by_node_key(&keys::node_key_index(key)))
        .and_then(|(id, _)| node(id));
    let by_name = snapshot
        .by_hostname(&keys::hostname_index(&token.org, candidate.hostname.as_str()))
        .and_then(|(id, _)| node(id));
    let by_machine = candidate
        .machine
        .as_deref()
        .and_then(|machine| snapshot.by_machine(&keys::machine_index(machine)))
        .and_then(|(id, _)| node(id));

    if let Some(held) = by_key {
        // First of all: what another organisation's node is called, and whether it lives, is not told.
        if held.doc.org != token.org {
            return Err(enrolled_already(&held, candidate));
        }
        alive(&held)?;
        let stranger =
            |other: &Option<Arc<Held<Node>>>| other.as_ref().is_some_and(|o| o.doc.id != held.doc.id);
        if stranger(&by_name) || stranger(&by_machine) {
            return Err(enrolled_already(by_name.as_ref().unwrap_or(&held), candidate));
        }
        return Ok(Recognised::Same(held));
    }

    // A token for one node knows which it is, also where the machine knows its domain and the operator left it out.
    let by_name = match (by_name, &token.only_node) {
        (None, Some(only)) => node(only).filter(|held| same_name(&held.doc.hostname, &candidate.hostname)),
        (found, _) => found,
    };
    let held = match (by_name, by_machine) {
        (None, None) => return only_for_others(token, &candidate.hostname, node),
        // One name and another machine: whichever is meant, the other would be robbed.
        (Some(named), Some(machine)) if named.doc.id != machine.doc.id => {
            return Err(enrolled_already(&named, candidate));
        }
        (Some(held), _) | (None, Some(held)) => held,
    };
    // A machine index knows no organisations; a node of another one is not told about.
    if held.doc.org != token.org {
        return Err(enrolled_already(&held, candidate));
    }
    alive(&held)?;
    if token.only_node.as_ref().is_some_and(|only| *only != held.doc.id) {
        return only_for_others(token, &candidate.hostname, node);
    }

    let identity = &held.doc.identity;
    let unclaimed = identity.node_key.is_none() && identity.credential_hash.is_none();
    if unclaimed {
        let for_it_alone = token.only_node.as_ref() == Some(&held.doc.id);
        let meant = for_it_alone
            || token
                .group
                .as_ref()
                .is_some_and(|group| held.doc.groups.contains(group));
        // Whoever had what was rotated away may have its group's token too, and its name is no secret.
        if !identity.revoked.is_empty() && !for_it_alone {
            return Err(Refusal::new(
                code::CREDENTIAL_REVOKED,
                format!(
                    "{} was rotated; only a token made for it alone brings it back",
                    held.doc.hostname
                ),
            ));
        }
        let named = held.doc.hostname == candidate.hostname
            || (token.only_node.is_some() && same_name(&held.doc.hostname, &candidate.hostname));
        return if named && (meant || token.allow_reenrol) {
            Ok(Recognised::Claimed(held))
        } else {
            Err(Refusal::new(
                code::ALREADY_ENROLLED,
                format!(
                    "{} was declared by an operator; it is claimed with a token made for it or for its group",
                    held.doc.hostname
                ),
            ))
        };
    }
    let enrolled_plain = candidate.key.is_none()
        && identity.node_key.is_none()
        && held.doc.token.as_ref() == Some(&token.id)
        && held.doc.hostname == candidate.hostname
        && same_where_both(identity.machine_id.as_deref(), candidate.machine_id.as_deref());
    if enrolled_plain {
        return Ok(Recognised::Plain(held));
    }
    let by_old_key = match (identity.node_key.as_deref(), proof_old) {
        (Some(key), Some(proof)) => signed_by(key, proof, body)?,
        _ => false,
    };
    let allowed =
        by_old_key || token.allow_reenrol || identity.reenrol_until.is_some_and(|until| now < until);
    if allowed {
        Ok(Recognised::Again(held))
    } else {
        Err(enrolled_already(&held, candidate))
    }
}

fn only_for_others(
    token: &BootstrapToken,
    hostname: &Hostname,
    node: impl Fn(&NodeId) -> Option<Arc<Held<Node>>>,
) -> Result<Recognised, Refusal> {
    let Some(only) = &token.only_node else {
        return Ok(Recognised::New);
    };
    let meant = node(only).map_or_else(
        || "another node".to_owned(),
        |held| format!("the node {}", held.doc.hostname),
    );
    Err(Refusal::new(
        code::TOKEN_FOR_ANOTHER_NODE,
        format!("the token was made for {meant}, and this machine calls itself {hostname}"),
    ))
}

/// Whether two names are one: the same, or one with the domain that the other leaves out.
fn same_name(a: &Hostname, b: &Hostname) -> bool {
    let extends = |long: &str, short: &str| {
        !short.contains('.')
            && long
                .strip_prefix(short)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let (a, b) = (a.as_str(), b.as_str());
    a == b || extends(a, b) || extends(b, a)
}

fn alive(held: &Held<Node>) -> Result<(), Refusal> {
    if held.doc.status == NodeStatus::Inactive {
        return Err(Refusal::new(
            code::NODE_DECOMMISSIONED,
            format!(
                "the node {} ({}) has been retired",
                held.doc.hostname, held.doc.id
            ),
        ));
    }
    Ok(())
}

fn same_where_both(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn enrolled_already(held: &Held<Node>, candidate: &Candidate) -> Refusal {
    let what = if held.doc.hostname == candidate.hostname {
        format!("{} is enrolled already, with another key", candidate.hostname)
    } else {
        "this machine is enrolled already, under another name or key".to_owned()
    };
    Refusal::new(code::ALREADY_ENROLLED, what)
}

/// Another node that says it has the same machine-id, on other hardware as far as can be told.
pub(in crate::app) fn machine_id_elsewhere(snapshot: &Snapshot, node: &Node) -> Option<NodeId> {
    let machine_id = node.identity.machine_id.as_deref()?;
    snapshot
        .by_machine_id(machine_id)
        .find(|other| **other != node.id)
        .cloned()
}
