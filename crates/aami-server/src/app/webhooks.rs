//! Destinations of events: made, shown, edited, removed, tried. Their secrets go in, and come out once.

use std::time::Duration;

use aami_api::delivery::Delivery;
use aami_api::page::Page;
use aami_api::webhook::{CreateWebhook, CreatedWebhook, Flow, Kind, PatchWebhook, Standing, WebhookView};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::event::Event;
use aami_model::webhook::{
    MOST_MAILBOXES, MOST_PATTERNS, MOST_WEBHOOKS, SERVICE, Target, USUAL_RATE, Webhook, is_pattern,
};
use aami_model::{EventId, OrgId, Timestamp, WebhookId, code};
use aami_store::keys;
use lettre::message::Mailbox;
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Written, Wrote};
use super::tokens::{check_name, org_or_every};
use super::{App, Asking, Refusal, access, events};
use crate::notify::seal::Secrets;
use crate::notify::sign::Secret;
use crate::notify::{LANES, wire::Place};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

/// How long requests are signed with the former key too.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// The largest CA bundle of one.
const LARGEST_CA: usize = 64 * 1024;
/// The type of what a test sends.
const TEST: &str = "webhook.test";
/// The longest text of any other member.
const LONGEST: usize = 2048;

/// Whether a caller may see and change a destination: one of every tenant's events belongs to who sees every tenant.
fn covers(caller: &Caller, webhook: &Webhook) -> bool {
    caller.orgs.covers(webhook.org.as_ref())
}

fn told(webhook: &Webhook) -> Value {
    json!({ "name": webhook.name, "target": webhook.target, "enabled": webhook.enabled })
}

fn text(field: &str, value: &str, most: usize) -> Result<(), Refusal> {
    if value.len() > most || value.chars().any(|c| c.is_control() && c != '\n' && c != '\r') {
        return Err(Refusal::invalid(
            field,
            format!("it is at most {most} printable characters"),
        ));
    }
    Ok(())
}

fn place(url: &str) -> Result<Place, Refusal> {
    Place::parse(url).map_err(|why| Refusal::invalid("url", why))
}

fn header(authorization: &str) -> Result<(), Refusal> {
    text("authorization", authorization, LONGEST)?;
    http::HeaderValue::from_str(authorization)
        .map(drop)
        .map_err(|_| Refusal::invalid("authorization", "it is the value of one HTTP header"))
}

fn mailboxes(to: &[String]) -> Result<(), Refusal> {
    if to.is_empty() || to.len() > MOST_MAILBOXES {
        return Err(Refusal::invalid(
            "to",
            format!("it is 1 to {MOST_MAILBOXES} mailboxes"),
        ));
    }
    match to.iter().find(|one| one.parse::<Mailbox>().is_err()) {
        Some(_) => Err(Refusal::invalid(
            "to",
            "each is a mailbox such as ops@example.com",
        )),
        None => Ok(()),
    }
}

/// What a new destination is, and its secrets.
fn target(wanted: &CreateWebhook, app: &App) -> Result<(Target, Secrets), Refusal> {
    let mut secrets = Secrets::default();
    let target = match wanted.kind {
        Kind::Webhook => {
            place(&wanted.url)?;
            if let Some(authorization) = &wanted.authorization {
                header(authorization)?;
            }
            secrets.authorization.clone_from(&wanted.authorization);
            let signing = wanted.secret.clone().unwrap_or_else(|| Secret::fresh(&app.world));
            if Secret::parse(&signing).is_none() {
                return Err(Refusal::invalid(
                    "secret",
                    "it is whsec_ and 24 to 64 bytes in base64",
                ));
            }
            secrets.signing = Some(signing);
            Target::Webhook {
                url: wanted.url.clone(),
            }
        }
        Kind::Slack => {
            let host = place(&wanted.url)?.host;
            secrets.url = Some(wanted.url.clone());
            Target::Slack { host }
        }
        Kind::Email => {
            let server = wanted.smtp_server.rsplit_once(':');
            if !server.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
                return Err(Refusal::invalid(
                    "smtp_server",
                    "it is HOST:PORT of a mail server",
                ));
            }
            text("smtp_server", &wanted.smtp_server, 300)?;
            if wanted.from.parse::<Mailbox>().is_err() {
                return Err(Refusal::invalid(
                    "from",
                    "it is a mailbox such as aami@example.com",
                ));
            }
            mailboxes(&wanted.to)?;
            if wanted.smtp_user.is_some() != wanted.smtp_password.is_some() {
                return Err(Refusal::invalid("smtp_user", "user and password belong together"));
            }
            for member in [&wanted.smtp_user, &wanted.smtp_password].into_iter().flatten() {
                text("smtp_user", member, LONGEST)?;
            }
            secrets.password.clone_from(&wanted.smtp_password);
            Target::Email {
                server: wanted.smtp_server.clone(),
                tls: wanted.smtp_tls,
                from: wanted.from.clone(),
                to: wanted.to.clone(),
                user: wanted.smtp_user.clone(),
            }
        }
    };
    Ok((target, secrets))
}

/// What every kind has.
fn check(webhook: &Webhook, app: &App) -> Result<(), Refusal> {
    check_name(&webhook.name)?;
    if webhook.name == SERVICE {
        return Err(Refusal::invalid(
            "name",
            format!("{SERVICE} is the service that the configuration names"),
        ));
    }
    if webhook.events.len() > MOST_PATTERNS {
        return Err(Refusal::invalid(
            "events",
            format!("there are at most {MOST_PATTERNS}"),
        ));
    }
    if let Some(pattern) = webhook.events.iter().find(|pattern| !is_pattern(pattern)) {
        let shown: String = pattern.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(Refusal::invalid(
            "events",
            format!("{shown:?} is no type such as node.connected, node.* or *"),
        ));
    }
    if !(1..=1000).contains(&webhook.rate_per_second) {
        return Err(Refusal::invalid("rate_per_second", "it is 1 to 1000"));
    }
    if let Some(ca) = &webhook.ca {
        if ca.len() > LARGEST_CA {
            return Err(Refusal::invalid(
                "ca",
                format!("it is at most {LARGEST_CA} bytes"),
            ));
        }
        app.notify
            .roots
            .config(Some(ca))
            .map_err(|why| Refusal::invalid("ca", why))?;
    }
    Ok(())
}

/// Refuses to let private addresses be connected to on the word of somebody who sees one tenant only: what stands
/// beside the control plane is not theirs.
fn check_private(caller: &Caller, allow_private: bool) -> Result<(), Refusal> {
    if allow_private && caller.orgs != Orgs::All {
        return Err(Refusal::new(
            code::FORBIDDEN,
            "allow_private: only an admin of every organisation may let private addresses be connected to",
        ));
    }
    Ok(())
}

/// Refuses a name that is taken.
fn check_free(snapshot: &Snapshot, webhook: &Webhook) -> Result<(), Refusal> {
    let mut others = snapshot.webhooks().filter(|held| held.doc.id != webhook.id);
    if others.any(|held| held.doc.org == webhook.org && held.doc.name == webhook.name) {
        return Err(Refusal::new(
            code::CONFLICT,
            format!("there is a webhook {:?} already", webhook.name),
        ));
    }
    Ok(())
}

/// Refuses one more than there may be.
fn check_room(snapshot: &Snapshot) -> Result<(), Refusal> {
    if snapshot.webhooks().count() >= MOST_WEBHOOKS {
        return Err(Refusal::new(
            code::CONFLICT,
            format!("there are {MOST_WEBHOOKS} webhooks already, which is the most; delete one first"),
        ));
    }
    Ok(())
}

impl App {
    fn shown_webhook(&self, webhook: &Webhook) -> WebhookView {
        let mut view = WebhookView::from(webhook);
        view.standing = self.standing(webhook.id.as_str(), webhook.enabled);
        view.lost_through = self.lost_through(&webhook.id);
        view
    }

    fn standing(&self, id: &str, enabled: bool) -> Option<Standing> {
        if !enabled {
            return Some(Standing {
                flow: Flow::Disabled,
                ..Standing::default()
            });
        }
        self.notify.gauge(id).map(|gauge| gauge.standing())
    }

    fn lost_through(&self, id: &WebhookId) -> Option<u64> {
        let snapshot = self.view.current();
        snapshot.upkeep.lost(id).map(|held| held.doc.through)
    }

    /// The service the configuration names, shown as a destination.
    fn shown_service(&self) -> Option<WebhookView> {
        let url = self.config.noti_service_url.as_ref()?;
        let id: WebhookId = SERVICE.parse().ok()?;
        Some(WebhookView {
            lost_through: self.lost_through(&id),
            id,
            org: None,
            name: SERVICE.to_owned(),
            target: Target::Webhook {
                url: format!("{}/events", url.trim_end_matches('/')),
            },
            events: Vec::new(),
            allow_private: true,
            own_ca: self.config.noti_ca_file.is_some(),
            rate_per_second: USUAL_RATE,
            enabled: true,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            standing: self.standing(SERVICE, true),
        })
    }

    /// The destinations the caller sees, the configuration's own first.
    pub(crate) fn webhooks(&self, caller: &Caller) -> Result<Page<WebhookView>, Refusal> {
        access::require(caller, Role::Admin)?;
        let snapshot = self.view.current();
        let service = self.shown_service().filter(|_| caller.orgs == Orgs::All);
        let made = snapshot
            .webhooks()
            .filter(|held| covers(caller, &held.doc))
            .map(|held| self.shown_webhook(&held.doc));
        Ok(Page {
            items: service.into_iter().chain(made).collect(),
            next_page_token: None,
        })
    }

    /// One destination.
    pub(crate) fn webhook(&self, caller: &Caller, id: &WebhookId) -> Result<Held<WebhookView>, Refusal> {
        access::require(caller, Role::Admin)?;
        if id.as_str() == SERVICE && caller.orgs == Orgs::All {
            let doc = self
                .shown_service()
                .ok_or_else(|| Refusal::not_found("webhook"))?;
            let revision = self.view.revision();
            return Ok(Held { doc, revision });
        }
        let snapshot = self.view.current();
        let held = snapshot
            .webhook(id)
            .filter(|held| covers(caller, &held.doc))
            .ok_or_else(|| Refusal::not_found("webhook"))?;
        Ok(Held {
            doc: self.shown_webhook(&held.doc),
            revision: held.revision,
        })
    }

    /// Makes a destination. Its signing key is in the answer and, sealed, in the store.
    pub(crate) async fn create_webhook(
        &self,
        asking: &Asking,
        wanted: CreateWebhook,
    ) -> Result<(CreatedWebhook, Written), Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        let org = org_or_every(&asking.caller, wanted.org.clone())?;
        check_private(&asking.caller, wanted.allow_private)?;
        let (target, secrets) = target(&wanted, self)?;
        let now = self.world.now();
        let id = WebhookId::from_random(self.world.random());
        let webhook = Webhook {
            sealed: self.notify.seal.close(&self.world, id.as_str(), &secrets),
            id: id.clone(),
            org,
            name: wanted.name,
            target,
            events: wanted.events,
            allow_private: wanted.allow_private,
            ca: wanted.ca.filter(|ca| !ca.is_empty()),
            rate_per_second: wanted.rate_per_second.unwrap_or(USUAL_RATE),
            enabled: wanted.enabled.unwrap_or(true),
            after: 0,
            created_at: now,
            updated_at: now,
        };
        check(&webhook, self)?;
        let wrote = self
            .write(asking, |snapshot, _| {
                let mut webhook = webhook.clone();
                webhook.after = events::newest(snapshot);
                check_free(snapshot, &webhook)?;
                check_room(snapshot)?;
                let home = webhook.org.clone().unwrap_or_else(OrgId::every);
                let key = keys::webhook(id.as_str());
                let change = Change::new(home, "webhook.create", format!("webhook:{id}"))
                    .noting(told(&webhook))
                    .transact(|txn| txn.when_absent(key.clone()).put(key, encode(&webhook)));
                Ok(Wanted::Write(Box::new(change), WebhookView::from(&webhook)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => {
                let secret = secrets.signing;
                Ok((CreatedWebhook { view, secret }, written))
            }
            Wrote::Replayed(subject) => Err(Refusal::new(
                code::CONFLICT,
                format!(
                    "this request made {subject} already; its key is shown only once, so rotate it to see another"
                ),
            )),
        }
    }

    /// Changes a destination. Deliveries go on with what it is from then on.
    pub(crate) async fn patch_webhook(
        &self,
        asking: &Asking,
        id: &WebhookId,
        patch: PatchWebhook,
    ) -> Result<(CreatedWebhook, Written), Refusal> {
        let seen = self.webhook(&asking.caller, id)?;
        refuse_service(id)?;
        let fresh = patch.rotate_secret.then(|| Secret::fresh(&self.world));
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .webhook(id)
                    .filter(|held| covers(&asking.caller, &held.doc))
                    .ok_or_else(|| Refusal::not_found("webhook"))?;
                asking.check_match(held.revision, &seen.doc)?;
                let mut webhook = self.patched(&held.doc, &patch, fresh.as_deref(), now)?;
                if webhook == held.doc {
                    return Ok(Wanted::Nothing(WebhookView::from(&webhook)));
                }
                let goes_elsewhere =
                    patch.url.is_some() || patch.ca.is_some() || patch.authorization.is_some();
                if goes_elsewhere || !held.doc.allow_private {
                    check_private(&asking.caller, webhook.allow_private)?;
                }
                check(&webhook, self)?;
                check_free(snapshot, &webhook)?;
                webhook.updated_at = now;
                let home = webhook.org.clone().unwrap_or_else(OrgId::every);
                let key = keys::webhook(id.as_str());
                let change = Change::new(home, "webhook.edit", format!("webhook:{id}"))
                    .noting(told(&webhook))
                    .transact(|txn| {
                        txn.when_unchanged(key.clone(), held.revision)
                            .put(key, encode(&webhook))
                    });
                Ok(Wanted::Write(Box::new(change), WebhookView::from(&webhook)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((CreatedWebhook { view, secret: fresh }, written)),
            Wrote::Replayed(_) => {
                let held = self.webhook(&asking.caller, id)?;
                let written = Written::shown(held.revision);
                let view = held.doc;
                Ok((CreatedWebhook { view, secret: None }, written))
            }
        }
    }

    fn patched(
        &self,
        webhook: &Webhook,
        patch: &PatchWebhook,
        fresh: Option<&str>,
        now: Timestamp,
    ) -> Result<Webhook, Refusal> {
        let mut new = webhook.clone();
        let unsuited = |field: &str| Err(Refusal::invalid(field, "this kind of destination has none"));
        if let Some(name) = &patch.name {
            new.name.clone_from(name);
        }
        if let Some(events) = &patch.events {
            new.events.clone_from(events);
        }
        if let Some(ca) = &patch.ca {
            new.ca = Some(ca.clone()).filter(|ca| !ca.is_empty());
        }
        new.allow_private = patch.allow_private.unwrap_or(new.allow_private);
        new.rate_per_second = patch.rate_per_second.unwrap_or(new.rate_per_second);
        new.enabled = patch.enabled.unwrap_or(new.enabled);
        if let Some(to) = &patch.to {
            mailboxes(to)?;
            match &mut new.target {
                Target::Email { to: known, .. } => known.clone_from(to),
                Target::Webhook { .. } | Target::Slack { .. } => return unsuited("to"),
            }
        }
        let touches_secrets = patch.url.is_some()
            || patch.authorization.is_some()
            || patch.smtp_password.is_some()
            || fresh.is_some();
        if !touches_secrets {
            return Ok(new);
        }
        let mut secrets = match self.notify.seal.open(webhook.id.as_str(), &webhook.sealed) {
            Ok(secrets) => secrets,
            Err(error) => {
                // What is sealed here replaces what was: half of it would be lost for good.
                let (anew, missing) = match &webhook.target {
                    Target::Webhook { .. } => (fresh.is_some() && patch.authorization.is_some(), {
                        "rotate_secret and authorization (\"\" for none)"
                    }),
                    Target::Slack { .. } => (patch.url.is_some(), "url"),
                    Target::Email { user, .. } => {
                        (user.is_none() || patch.smtp_password.is_some(), "smtp_password")
                    }
                };
                if !anew {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!("{error}; bring that key back, or give all of them anew: {missing}"),
                    ));
                }
                Secrets::default()
            }
        };
        match (&mut new.target, &patch.url) {
            (_, None) => {}
            (Target::Webhook { url: known }, Some(url)) => {
                let to = place(url)?;
                let moves = Place::parse(known).map_or(true, |from| !to.is_served_by(&from));
                if moves && secrets.authorization.is_some() && patch.authorization.is_none() {
                    return Err(Refusal::invalid(
                        "authorization",
                        "the URL names another server, which is not shown the former one's: give it anew, or \"\" for none",
                    ));
                }
                known.clone_from(url);
            }
            (Target::Slack { host }, Some(url)) => {
                *host = place(url)?.host;
                secrets.url = Some(url.clone());
            }
            (Target::Email { .. }, Some(_)) => return unsuited("url"),
        }
        let is_webhook = matches!(new.target, Target::Webhook { .. });
        if let Some(authorization) = &patch.authorization {
            if !is_webhook {
                return unsuited("authorization");
            }
            header(authorization)?;
            secrets.authorization = Some(authorization.clone()).filter(|text| !text.is_empty());
        }
        if let Some(fresh) = fresh {
            if !is_webhook {
                return unsuited("rotate_secret");
            }
            let former = secrets.signing.replace(fresh.to_owned());
            secrets.previous = former.map(|former| (former, now.plus(OVERLAP)));
        }
        if let Some(password) = &patch.smtp_password {
            if !matches!(&new.target, Target::Email { user: Some(_), .. }) {
                return unsuited("smtp_password");
            }
            text("smtp_password", password, LONGEST)?;
            secrets.password = Some(password.clone());
        }
        new.sealed = self.notify.seal.close(&self.world, webhook.id.as_str(), &secrets);
        Ok(new)
    }

    /// Removes a destination, with where its lanes stood.
    pub(crate) async fn delete_webhook(&self, asking: &Asking, id: &WebhookId) -> Result<Written, Refusal> {
        let seen = self.webhook(&asking.caller, id)?;
        refuse_service(id)?;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = snapshot
                    .webhook(id)
                    .filter(|held| covers(&asking.caller, &held.doc))
                    .ok_or_else(|| Refusal::not_found("webhook"))?;
                asking.check_match(held.revision, &seen.doc)?;
                let home = held.doc.org.clone().unwrap_or_else(OrgId::every);
                let key = keys::webhook(id.as_str());
                let change = Change::new(home, "webhook.delete", format!("webhook:{id}"))
                    .noting(told(&held.doc))
                    .transact(|txn| {
                        let txn = txn.when_unchanged(key.clone(), held.revision).delete(key);
                        let txn = txn.delete(keys::lost(id.as_str()));
                        (0..LANES).fold(txn, |txn, lane| txn.delete(keys::cursor(id.as_str(), lane)))
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }

    /// Sends a test to a destination, once, and says what came of it.
    pub(crate) async fn test_webhook(&self, asking: &Asking, id: &WebhookId) -> Result<Delivery, Refusal> {
        let caller = &asking.caller;
        let webhook = self.webhook(caller, id)?.doc;
        // Before it is written down as done: whoever is refused asks again, with the same key.
        if self.notify.gauge(id.as_str()).is_some_and(|gauge| !gauge.spend()) {
            return Err(Refusal::new(
                code::RATE_LIMITED,
                "as much is sent to this destination as its rate_per_second allows",
            )
            .with_retry_after(Duration::from_secs(1)));
        }
        let org = webhook.org.clone().unwrap_or_else(OrgId::every);
        let sent = self.note_sending(asking, org, "webhook.test", id.as_str(), Value::Null);
        if !sent.await? {
            let is_test = |delivery: &Delivery| delivery.event.kind == TEST;
            return self.newest_delivery(caller, id.as_str(), is_test).await;
        }
        let now = self.world.now();
        let event = Event {
            seq: 0,
            id: EventId::at(now, self.world.random()),
            at: now,
            kind: TEST.to_owned(),
            org: webhook.org.clone().unwrap_or_else(OrgId::every),
            subject: format!("webhook:{id}"),
            actor: caller.id.clone(),
            data: json!({ "name": webhook.name }),
        };
        self.deliver_once(id.as_str(), &event, None).await
    }
}

fn refuse_service(id: &WebhookId) -> Result<(), Refusal> {
    if id.as_str() == SERVICE {
        return Err(Refusal::new(
            code::CONFLICT,
            "this destination is the configuration's (noti_service_url), and is changed there",
        ));
    }
    Ok(())
}
