//! Bootstrap tokens: made, shown, edited, revoked, judged.

use std::time::Duration;

use aami_api::page::Page;
use aami_api::token::{CreateToken, PatchToken, TokenState, TokenView, Validated};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::group::name_fits;
use aami_model::secret::{Secret, SecretKind};
use aami_model::token::{BootstrapToken, MOST_USES, Verdict};
use aami_model::{OrgId, Timestamp, TokenId, code};
use aami_store::{Txn, keys};
use serde_json::json;

use super::commit::{Change, Wanted, Written, Wrote};
use super::{App, Asking, Refusal, access};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

const DEFAULT_TTL: Duration = Duration::from_secs(24 * 3600);
const LONGEST_TTL: Duration = Duration::from_secs(366 * 24 * 3600);

pub(crate) fn shown(snapshot: &Snapshot, token: &BootstrapToken, now: Timestamp) -> TokenView {
    let used = snapshot.used(&token.id);
    let state = match token.judge(now, used) {
        Verdict::Good { .. } => TokenState::Active,
        Verdict::Revoked => TokenState::Revoked,
        Verdict::Expired => TokenState::Expired,
        Verdict::Exhausted => TokenState::Exhausted,
    };
    TokenView {
        id: token.id.clone(),
        org: token.org.clone(),
        name: token.name.clone(),
        state,
        max_uses: token.max_uses,
        used,
        remaining: token.max_uses.saturating_sub(used),
        created_at: token.created_at,
        expires_at: token.expires_at,
        revoked_at: token.revoked_at,
        group: token.group.clone(),
        labels: token.labels.clone(),
        allow_reenrol: token.allow_reenrol,
    }
}

/// The organisation a new thing belongs to, as far as the caller may choose.
pub(crate) fn org_for(caller: &Caller, wanted: Option<OrgId>) -> Result<OrgId, Refusal> {
    let org = wanted.unwrap_or_else(|| caller.orgs.home());
    check_org(&org)?;
    if caller.orgs.includes(&org) {
        Ok(org)
    } else {
        Err(Refusal::not_found("organisation"))
    }
}

/// Refuses the name that stands for all of them as one organisation's.
pub(crate) fn check_org(org: &OrgId) -> Result<(), Refusal> {
    if *org == OrgId::every() {
        return Err(Refusal::invalid(
            "org",
            "no organisation is called so: it stands for all of them",
        ));
    }
    Ok(())
}

/// The same for what may be about every organisation at once, as only those may say who see all of them.
pub(crate) fn org_or_every(caller: &Caller, wanted: Option<OrgId>) -> Result<Option<OrgId>, Refusal> {
    match wanted {
        None if caller.orgs == Orgs::All => Ok(None),
        wanted => org_for(caller, wanted).map(Some),
    }
}

fn check_uses(max_uses: u32) -> Result<(), Refusal> {
    if (1..=MOST_USES).contains(&max_uses) {
        return Ok(());
    }
    Err(Refusal::invalid("max_uses", format!("it is 1 to {MOST_USES}")))
}

pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    if name_fits(name) {
        return Ok(());
    }
    Err(Refusal::invalid(
        "name",
        "it is 1 to 64 printable characters without white space at either end",
    ))
}

impl App {
    /// Makes a token. Its secret is in the answer and nowhere else.
    pub(crate) async fn create_token(
        &self,
        asking: &Asking,
        wanted: CreateToken,
    ) -> Result<(TokenView, Secret, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        check_name(&wanted.name)?;
        let max_uses = wanted.max_uses.unwrap_or(1);
        check_uses(max_uses)?;
        let ttl = wanted.ttl_seconds.map_or(DEFAULT_TTL, Duration::from_secs);
        if ttl.is_zero() || ttl > LONGEST_TTL {
            return Err(Refusal::invalid("ttl_seconds", "it is 1 second to 366 days"));
        }
        wanted
            .labels
            .check()
            .map_err(|error| Refusal::invalid("labels", error))?;
        let org = org_for(&asking.caller, wanted.org)?;
        let id = TokenId::from_random(self.world.random());
        let secret = Secret::from_random(SecretKind::BootstrapToken, id.as_str(), self.world.random());

        let wrote = self
            .write(asking, |snapshot, now| {
                let group = match &wanted.group {
                    None => None,
                    Some(name) => {
                        let held = snapshot
                            .group_named(&org, name)
                            .ok_or_else(|| Refusal::not_found("group"))?;
                        Some(held.doc.id.clone())
                    }
                };
                if let Some(node) = &wanted.only_node
                    && snapshot
                        .node(node, &asking.caller.orgs)
                        .is_none_or(|held| held.doc.org != org)
                {
                    return Err(Refusal::not_found("node"));
                }
                let token = BootstrapToken {
                    id: id.clone(),
                    org: org.clone(),
                    user: asking.caller.user.clone(),
                    name: wanted.name.clone(),
                    hash: access::hash(&secret),
                    max_uses,
                    created_at: now,
                    expires_at: now.plus(ttl),
                    revoked_at: None,
                    group,
                    labels: wanted.labels.clone(),
                    allow_reenrol: wanted.allow_reenrol,
                    only_node: wanted.only_node.clone(),
                    agent_version: None,
                };
                let change = Change::new(org.clone(), "token.create", format!("token:{id}"))
                    .noting(
                        json!({ "name": token.name, "max_uses": max_uses, "expires_at": token.expires_at }),
                    )
                    .tell(
                        "token.created",
                        json!({ "name": token.name, "max_uses": max_uses }),
                    )
                    .transact(|txn: Txn| {
                        txn.when_absent(keys::token(&id))
                            .put(keys::token(&id), encode(&token))
                    });
                Ok(Wanted::Write(Box::new(change), shown(snapshot, &token, now)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, secret, written)),
            Wrote::Replayed(subject) => Err(Refusal::new(
                code::CONFLICT,
                format!(
                    "this request made {subject} already; its secret is shown only once, so revoke it and make another"
                ),
            )),
        }
    }

    /// The tokens the caller sees.
    pub(crate) fn tokens(&self, caller: &Caller, after: Option<&TokenId>, limit: usize) -> Page<TokenView> {
        let snapshot = self.view.current();
        let now = self.world.now();
        let mut items: Vec<TokenView> = snapshot
            .tokens(&caller.orgs, after)
            .take(limit + 1)
            .map(|held| shown(&snapshot, &held.doc, now))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_page_token = items.last().filter(|_| more).map(|last| last.id.to_string());
        Page {
            items,
            next_page_token,
        }
    }

    /// One token.
    pub(crate) fn token(&self, caller: &Caller, id: &TokenId) -> Result<Held<TokenView>, Refusal> {
        let snapshot = self.view.current();
        let held = snapshot
            .token(id)
            .filter(|held| caller.orgs.includes(&held.doc.org))
            .ok_or_else(|| Refusal::not_found("token"))?;
        Ok(Held {
            doc: shown(&snapshot, &held.doc, self.world.now()),
            revision: held.revision,
        })
    }

    /// Changes name, uses (only more) or end.
    pub(crate) async fn patch_token(
        &self,
        asking: &Asking,
        id: &TokenId,
        patch: PatchToken,
    ) -> Result<(TokenView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        if let Some(name) = &patch.name {
            check_name(name)?;
        }
        self.edit_token(asking, id, "token.edit", |token, now| {
            if let Some(max_uses) = patch.max_uses {
                check_uses(max_uses)?;
                if max_uses < token.max_uses {
                    return Err(Refusal::invalid(
                        "max_uses",
                        "it only grows; revoke the token to stop it",
                    ));
                }
                token.max_uses = max_uses;
            }
            if let Some(end) = patch.expires_at {
                if end > now.plus(LONGEST_TTL) {
                    return Err(Refusal::invalid("expires_at", "it is at most 366 days from now"));
                }
                token.expires_at = end;
            }
            if let Some(name) = &patch.name {
                token.name.clone_from(name);
            }
            Ok(())
        })
        .await
    }

    /// Revokes. What enrolled with it stays enrolled.
    pub(crate) async fn revoke_token(
        &self,
        asking: &Asking,
        id: &TokenId,
    ) -> Result<(TokenView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        self.edit_token(asking, id, "token.revoke", |token, now| {
            token.revoked_at = token.revoked_at.or(Some(now));
            Ok(())
        })
        .await
    }

    async fn edit_token(
        &self,
        asking: &Asking,
        id: &TokenId,
        action: &'static str,
        edit: impl Fn(&mut BootstrapToken, Timestamp) -> Result<(), Refusal>,
    ) -> Result<(TokenView, Written), Refusal> {
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .token(id)
                    .filter(|held| asking.caller.orgs.includes(&held.doc.org))
                    .ok_or_else(|| Refusal::not_found("token"))?;
                asking.check_match(held.revision, &shown(snapshot, &held.doc, now))?;
                let mut token = held.doc.clone();
                edit(&mut token, now)?;
                let view = shown(snapshot, &token, now);
                if token == held.doc {
                    return Ok(Wanted::Nothing(view));
                }
                let event = if action == "token.revoke" {
                    "token.revoked"
                } else {
                    "token.edited"
                };
                let change = Change::new(token.org.clone(), action, format!("token:{id}"))
                    .tell(event, json!({ "name": token.name, "max_uses": token.max_uses }))
                    .transact(|txn| {
                        txn.when_unchanged(keys::token(id), held.revision)
                            .put(keys::token(id), encode(&token))
                    });
                Ok(Wanted::Write(Box::new(change), view))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, written)),
            Wrote::Replayed(_) => {
                let held = self.token(&asking.caller, id)?;
                Ok((held.doc, Written::shown(held.revision)))
            }
        }
    }

    /// Judges a token for a new machine; changes nothing.
    pub(crate) fn validate_token(&self, text: &str) -> Result<(BootstrapToken, Validated), Refusal> {
        let snapshot = self.view.current();
        let (token, _) = self.find_token(&snapshot, text)?;
        match token.judge(self.world.now(), snapshot.used(&token.id)) {
            Verdict::Good { remaining } => {
                let all = aami_model::access::Orgs::All;
                let group = token.group.as_ref().and_then(|id| snapshot.group(id, &all));
                let validated = Validated {
                    valid: true,
                    id: token.id.clone(),
                    name: token.name.clone(),
                    remaining,
                    expires_at: token.expires_at,
                    group: group.map(|held| held.doc.name.clone()),
                    run: None,
                };
                Ok((token, validated))
            }
            verdict => Err(Refusal::plain(verdict.refusal().unwrap_or(code::TOKEN_INVALID))),
        }
    }
}
