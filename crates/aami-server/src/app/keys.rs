//! API keys: made, listed, revoked. Also the first one, and the way back when all are lost.

use std::time::Duration;

use aami_api::key::{CreateKey, KeyView};
use aami_api::page::Page;
use aami_model::access::{ApiKey, Caller, Orgs, Role};
use aami_model::secret::{Secret, SecretKind};
use aami_model::{KeyId, OrgId, code};
use aami_store::keys;
use serde_json::json;

use super::commit::{Change, Wanted, Written, Wrote};
use super::tokens::{check_name, check_org};
use super::{App, Asking, Refusal, access};
use crate::view::document::encode;

/// Whether a caller may see or give a key over these organisations: only what is theirs.
fn covers(caller: &Caller, orgs: &[OrgId]) -> bool {
    match &caller.orgs {
        Orgs::All => true,
        Orgs::Only(own) => !orgs.is_empty() && orgs.iter().all(|org| own.contains(org)),
    }
}

impl App {
    /// Makes a key. It is in the answer and nowhere else.
    pub(crate) async fn create_key(
        &self,
        asking: &Asking,
        wanted: CreateKey,
    ) -> Result<(KeyView, Secret, Written), Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        check_name(&wanted.name)?;
        if wanted.role.is_some() != wanted.scopes.is_empty() {
            return Err(Refusal::invalid("role", "a key has either a role or scopes"));
        }
        if wanted.scopes.len() > 16 || wanted.orgs.len() > 64 {
            return Err(Refusal::invalid(
                "scopes",
                "a key has at most 16 scopes and 64 organisations",
            ));
        }
        if wanted.ttl_seconds == Some(0) {
            return Err(Refusal::invalid("ttl_seconds", "it is at least 1 second"));
        }
        wanted.orgs.iter().try_for_each(check_org)?;
        let orgs = match &asking.caller.orgs {
            Orgs::Only(own) if wanted.orgs.is_empty() => own.clone(),
            _ => wanted.orgs.clone(),
        };
        if !covers(&asking.caller, &orgs) && asking.caller.orgs != Orgs::All {
            return Err(Refusal::not_found("organisation"));
        }
        let id = KeyId::from_random(self.world.random());
        let secret = Secret::from_random(SecretKind::ApiKey, id.as_str(), self.world.random());
        let wrote = self
            .write(asking, |_, now| {
                let key = ApiKey {
                    id: id.clone(),
                    name: wanted.name.clone(),
                    role: wanted.role,
                    scopes: wanted.scopes.clone(),
                    orgs: orgs.clone(),
                    user: wanted.user.clone(),
                    hash: access::hash(&secret),
                    created_at: now,
                    expires_at: wanted.ttl_seconds.map(|ttl| now.plus(Duration::from_secs(ttl))),
                };
                let org = orgs.first().cloned().unwrap_or_else(OrgId::every);
                let change = Change::new(org, "key.create", format!("key:{id}"))
                    .noting(json!({ "name": key.name, "role": key.role, "scopes": key.scopes }))
                    .transact(|txn| {
                        txn.when_absent(keys::api_key(&id))
                            .put(keys::api_key(&id), encode(&key))
                    });
                Ok(Wanted::Write(Box::new(change), KeyView::from(&key)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, secret, written)),
            Wrote::Replayed(subject) => Err(Refusal::new(
                code::CONFLICT,
                format!(
                    "this request made {subject} already; a key is shown only once, so revoke it and make another"
                ),
            )),
        }
    }

    /// The keys the caller may see.
    pub(crate) fn keys(&self, caller: &Caller) -> Result<Page<KeyView>, Refusal> {
        access::require(caller, Role::Admin)?;
        let snapshot = self.view.current();
        let items = snapshot
            .keys()
            .filter(|held| covers(caller, &held.doc.orgs))
            .map(|held| KeyView::from(&held.doc))
            .collect();
        Ok(Page {
            items,
            next_page_token: None,
        })
    }

    /// Revokes a key at once. The last admin key over everything stays.
    pub(crate) async fn revoke_key(&self, asking: &Asking, id: &KeyId) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .key(id)
                    .filter(|held| covers(&asking.caller, &held.doc.orgs))
                    .ok_or_else(|| Refusal::not_found("key"))?;
                let rules = |key: &ApiKey| {
                    key.role == Some(Role::Admin)
                        && key.orgs.is_empty()
                        && key.expires_at.is_none_or(|end| now < end)
                };
                // The one that stays is compared too: two that revoke each other's cannot both win.
                let mut others = snapshot
                    .keys()
                    .filter(|other| other.doc.id != *id && rules(&other.doc));
                let stays = if rules(&held.doc) {
                    Some(others.next().ok_or_else(|| Refusal::plain(code::LAST_ADMIN))?)
                } else {
                    None
                };
                let org = held.doc.orgs.first().cloned().unwrap_or_else(OrgId::every);
                let change = Change::new(org, "key.revoke", format!("key:{id}"))
                    .noting(json!({ "name": held.doc.name }))
                    .transact(|txn| {
                        let txn = txn
                            .when_unchanged(keys::api_key(id), held.revision)
                            .delete(keys::api_key(id));
                        match stays {
                            Some(other) => txn.when_unchanged(keys::api_key(&other.doc.id), other.revision),
                            None => txn,
                        }
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }

    /// Whether there is any admin key.
    pub(crate) fn has_admin_key(&self) -> bool {
        self.view
            .current()
            .keys()
            .any(|held| held.doc.role == Some(Role::Admin))
    }
}
