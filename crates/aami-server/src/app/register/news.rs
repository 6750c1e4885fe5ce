//! A node tells what is new about itself: another address, another exporter, a GPU more.
//!
//! It speaks by its own credential and signs with its own key, so no bootstrap token is asked for and none is
//! used. It stays exactly the node it is.

use aami_api::register::Registered;
use aami_model::access::{Caller, Scope};
use aami_model::label::Labels;
use aami_model::token::BootstrapToken;
use aami_model::{NodeId, TokenId, code};
use aami_store::Revision;

use super::identity::Recognised;
use super::request::Candidate;
use super::{Arrival, draft, not_of_another, plan};
use crate::app::commit::{Written, Wrote};
use crate::app::{App, Asking, Refusal};
use crate::view::Held;

impl App {
    /// Takes a node's news.
    pub(super) async fn take_news(&self, arrival: Arrival<'_>) -> Result<(Registered, Written), Refusal> {
        let caller = self.sign_in(arrival.token).map_err(|_| {
            Refusal::new(
                code::TOKEN_FOREIGN,
                "what was given is a credential that no node here has, not a bootstrap token",
            )
        })?;
        let id = own_node(&caller)?;
        let candidate = Candidate::check(
            arrival.request,
            arrival.body,
            arrival.proof,
            &self.config.addresses(),
            arrival.peer,
        )?;
        let spare = TokenId::from_random(self.world.random());
        let asking = Asking::by(caller);
        let wrote = self
            .write(&asking, |snapshot, now| {
                let held = snapshot
                    .node(&id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))?;
                if candidate.key.is_none() || candidate.key != held.doc.identity.node_key {
                    return Err(Refusal::new(
                        code::ALREADY_ENROLLED,
                        "a node's news is signed by the key it enrolled with",
                    ));
                }
                let mine = no_token(spare.clone(), &held.doc.org, now);
                let found = super::identity::recognise(snapshot, &mine, &candidate, arrival.body, None, now)?;
                let Recognised::Same(_) = &found else {
                    return Err(Refusal::plain(code::ALREADY_ENROLLED));
                };
                // The credential is rotated in a way of its own; here it stays.
                let credential = held.doc.identity.credential_hash.clone();
                let draft = draft(snapshot, &mine, &candidate, found, &id, credential, now)?;
                not_of_another(snapshot, &draft.node)?;
                let mine = Held {
                    doc: mine,
                    revision: Revision::ZERO,
                };
                plan(snapshot, &mine, &candidate, draft, now)
            })
            .await?;
        let Wrote::Fresh(registered, written) = wrote else {
            return Err(Refusal::plain(code::INTERNAL));
        };
        self.verifier.ask(&registered.node.id);
        Ok((registered, written))
    }
}

fn own_node(caller: &Caller) -> Result<NodeId, Refusal> {
    let own = caller.scopes.iter().find_map(|scope| match scope {
        Scope::Node(id) => Some(id.clone()),
        _ => None,
    });
    own.ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))
}

/// What stands where a bootstrap token would: one that grants nothing, adds nothing, and that the store does not
/// have, which the transaction compares.
fn no_token(id: TokenId, org: &aami_model::OrgId, now: aami_model::Timestamp) -> BootstrapToken {
    BootstrapToken {
        id,
        org: org.clone(),
        user: None,
        name: "own credential".to_owned(),
        hash: String::new(),
        max_uses: 0,
        created_at: now,
        expires_at: now,
        revoked_at: None,
        group: None,
        labels: Labels::default(),
        allow_reenrol: false,
        only_node: None,
        agent_version: None,
    }
}
