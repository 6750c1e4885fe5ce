//! Install tokens: each enrols one node, once; a new one ends those made for the node before.
//!
//! [`App::issue_node_token`] makes one. Rotating does the same and takes the node's key and credential away in the same
//! transaction: from then on both are refused, and the connection that was opened with them is closed.

use std::sync::Arc;
use std::time::Duration;

use aami_api::node_token::{EXPIRES_IN, GenerateToken, INSTALL_METHOD, OS_TYPE, USUAL_EXPIRES_IN};
use aami_model::access::{Orgs, Role};
use aami_model::label::Labels;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::secret::{Secret, SecretKind};
use aami_model::token::BootstrapToken;
use aami_model::{NodeId, Timestamp, TokenId, code};
use aami_store::keys;
use serde_json::json;

use super::commit::{Change, Wanted, Written, Wrote, node_data};
use super::register::index;
use super::{App, Asking, Refusal, access};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

/// How many tokens one call ends; they share its transaction.
const MOST_REPLACED: usize = 32;

/// What a token is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To install the agent on the node.
    Install,
    /// The same, since what the node was known by is in other hands.
    Rotate,
}

/// A token that was made, with its secret.
pub(crate) struct Issued {
    pub(crate) secret: Secret,
    pub(crate) token: BootstrapToken,
    pub(crate) node: Node,
}

/// Judges what was asked for; answers how long the token lasts.
pub(crate) fn lasting(wanted: &GenerateToken) -> Result<Duration, Refusal> {
    let only = |field: &str, given: &Option<String>, only: &str| match given.as_deref() {
        Some(other) if other != only => Err(Refusal::invalid(
            field,
            format!("it is {only}; nothing else is supported"),
        )),
        _ => Ok(()),
    };
    only("osType", &wanted.os_type, OS_TYPE)?;
    only("installMethod", &wanted.install_method, INSTALL_METHOD)?;
    let seconds = wanted.expires_in.unwrap_or(USUAL_EXPIRES_IN);
    if !EXPIRES_IN.contains(&seconds) {
        let (first, last) = (EXPIRES_IN.start(), EXPIRES_IN.end());
        return Err(Refusal::invalid(
            "expiresIn",
            format!("it is {first} to {last} seconds"),
        ));
    }
    Ok(Duration::from_secs(seconds))
}

/// The tokens made for a node that may still open something: also those used up, with which the machine that used them
/// goes on.
fn standing<'a>(
    snapshot: &'a Snapshot,
    orgs: &'a Orgs,
    node: &'a NodeId,
    now: Timestamp,
) -> impl Iterator<Item = &'a Arc<Held<BootstrapToken>>> {
    snapshot.tokens(orgs, None).filter(move |held| {
        let token = &held.doc;
        token.only_node.as_ref() == Some(node) && token.revoked_at.is_none() && now < token.expires_at
    })
}

impl App {
    /// Makes an install token for a node, which brings `agent_version`, or the configured one where nothing is said. Its
    /// secret is in the answer and nowhere else.
    ///
    /// Fails when there is no such node for the caller, when it was retired, and when it has more standing tokens than
    /// one transaction can end.
    pub(crate) async fn issue_node_token(
        &self,
        asking: &Asking,
        id: &NodeId,
        lasts: Duration,
        agent_version: Option<&str>,
        purpose: Purpose,
    ) -> Result<(Issued, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let token_id = TokenId::from_random(self.world.random());
        let secret = Secret::from_random(SecretKind::BootstrapToken, token_id.as_str(), self.world.random());
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .node(id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("node"))?;
                asking.check_match(held.revision, &aami_api::node::NodeView::from(&held.doc))?;
                let mut node = held.doc.clone();
                if node.status == NodeStatus::Inactive {
                    return Err(Refusal::new(
                        code::NODE_DECOMMISSIONED,
                        format!("the node {} has been retired", node.hostname),
                    ));
                }
                let orgs = Orgs::Only(vec![node.org.clone()]);
                let replaced: Vec<_> = standing(snapshot, &orgs, id, now).cloned().collect();
                if replaced.len() > MOST_REPLACED {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!(
                            "{} tokens stand for this node; revoke some of them",
                            replaced.len()
                        ),
                    ));
                }
                let mut token = token(&token_id, &secret, &node, lasts, now);
                token.agent_version = agent_version.map(str::to_owned);
                let (action, rotates) = match purpose {
                    Purpose::Install => ("node.token", false),
                    Purpose::Rotate => ("node.rotate", true),
                };
                let mut change = Change::new(node.org.clone(), action, format!("node:{id}")).noting(json!({
                    "hostname": node.hostname,
                    "token": token.id,
                    "expires_at": token.expires_at,
                    "replaced": replaced.iter().map(|old| &old.doc.id).collect::<Vec<_>>(),
                }));
                if rotates {
                    node.identity.revoke();
                    // Which runs may speak for it ends with the enrolment they made.
                    node.enrolled_at = None;
                    change = change.tell("node.credential_revoked", node_data(&node));
                }
                let told = |token: &BootstrapToken| json!({ "name": token.name, "max_uses": token.max_uses });
                for old in &replaced {
                    let subject = format!("token:{}", old.doc.id);
                    change = change.tell_about(&subject, "token.revoked", told(&old.doc));
                }
                change = change.tell_about(&format!("token:{token_id}"), "token.created", told(&token));
                let change = change.transact(|txn| {
                    let mut txn = txn
                        .when_absent(keys::token(&token_id))
                        .put(keys::token(&token_id), encode(&token))
                        .when_unchanged(keys::node(id), held.revision);
                    for old in &replaced {
                        let mut ended = old.doc.clone();
                        ended.revoked_at = Some(now);
                        let key = keys::token(&ended.id);
                        txn = txn
                            .when_unchanged(key.clone(), old.revision)
                            .put(key, encode(&ended));
                    }
                    if rotates {
                        txn = txn.put(keys::node(id), encode(&node));
                        txn = index(txn, snapshot, &node, Some(&held.doc));
                    }
                    txn
                });
                Ok(Wanted::Write(Box::new(change), (token, node)))
            })
            .await?;
        match wrote {
            Wrote::Fresh((token, node), written) => Ok((Issued { secret, token, node }, written)),
            Wrote::Replayed(_) => Err(Refusal::new(
                code::CONFLICT,
                "this request made a token already; its secret is shown only once, so make another, which ends it",
            )),
        }
    }
}

/// A token for one node and one use. Whoever asks for it wants the agent on that machine, also where it was installed
/// anew and has lost its key.
fn token(id: &TokenId, secret: &Secret, node: &Node, lasts: Duration, now: Timestamp) -> BootstrapToken {
    BootstrapToken {
        id: id.clone(),
        org: node.org.clone(),
        user: node.user.clone(),
        // Names are at most 64 characters, hostnames up to 253.
        name: node.hostname.as_str().chars().take(64).collect(),
        hash: access::hash(secret),
        max_uses: 1,
        created_at: now,
        expires_at: now.plus(lasts),
        revoked_at: None,
        group: None,
        labels: Labels::default(),
        allow_reenrol: true,
        only_node: Some(node.id.clone()),
        agent_version: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_judged_by_the_documents_rules() {
        let with = |change: fn(&mut GenerateToken)| {
            let mut wanted = GenerateToken::default();
            change(&mut wanted);
            lasting(&wanted).map_err(|refusal| refusal.detail)
        };
        assert_eq!(with(|_| {}), Ok(Duration::from_secs(86_400)));
        for (seconds, fits) in [
            (3_599, false),
            (3_600, true),
            (31_536_000, true),
            (31_536_001, false),
        ] {
            let wanted = GenerateToken {
                expires_in: Some(seconds),
                ..GenerateToken::default()
            };
            assert_eq!(lasting(&wanted).is_ok(), fits, "{seconds}");
        }
        assert!(with(|w| w.os_type = Some("windows".into())).is_err());
        assert!(with(|w| w.install_method = Some("docker".into())).is_err());
        assert!(with(|w| w.os_type = Some("linux".into())).is_ok());
    }
}
