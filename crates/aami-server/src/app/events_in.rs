//! Events of another control plane: judged, and told here as they were told there.
//!
//! Who brings them has a key with the scope `events-in`; where `events_in_secret_file` names secrets, the request is
//! also signed by one of them (Standard Webhooks). An event that was taken is not taken again within a day, whatever
//! happened to the answer, and one that has passed here before is not taken at all.

use aami_api::notice::{Notice, ORIGIN};
use aami_model::access::{Caller, Orgs, Scope};
use aami_model::webhook::is_kind;
use aami_model::{OrgId, Timestamp, code};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Written, Wrote};
use super::{App, Asking, Idempotency, Refusal};
use crate::notify::sign::{Secret, TOLERANCE};

/// The largest event, in bytes.
pub(crate) const LARGEST: usize = 64 * 1024;
/// The longest id and the longest name in one.
const LONGEST: usize = 128;

/// What a request says beside its body.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    /// The event's id where it happened.
    pub(crate) id: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) signature: Option<String>,
    /// The control planes it has passed.
    pub(crate) via: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Received {
    /// Whether it is told here now; not where it was before, or came from here.
    pub(crate) accepted: bool,
}

fn refused(why: &str) -> Refusal {
    Refusal::new(code::EVENT_SIGNATURE_INVALID, why)
}

/// Judges the signature, where secrets are configured.
fn check_signature(
    secrets: &[Secret],
    envelope: &Envelope,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Refusal> {
    if secrets.is_empty() {
        return Ok(());
    }
    let (Some(id), Some(timestamp), Some(signature)) =
        (&envelope.id, &envelope.timestamp, &envelope.signature)
    else {
        return Err(refused(
            "the request is not signed: webhook-id, webhook-timestamp and webhook-signature belong to it",
        ));
    };
    let seconds: i64 = timestamp
        .parse()
        .map_err(|_| refused("webhook-timestamp is no number of seconds"))?;
    let at = Timestamp::from_millis(seconds.saturating_mul(1000));
    if now.since(at) > TOLERANCE || at.since(now) > TOLERANCE {
        return Err(refused(
            "webhook-timestamp is more than five minutes away from this control plane's clock",
        ));
    }
    if secrets
        .iter()
        .any(|secret| secret.signed(id, timestamp, body, signature))
    {
        return Ok(());
    }
    Err(refused("the signature is of none of the secrets known here"))
}

fn member<'a>(data: &'a Value, pointer: &str) -> Result<&'a str, Refusal> {
    data.pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control))
        .ok_or_else(|| {
            Refusal::invalid(
                &format!("data{}", pointer.replace('/', ".")),
                format!("it is a text of 1 to {LONGEST} printable characters"),
            )
        })
}

/// Judges what is told; answers what it is about.
fn check(notice: &Notice, now: Timestamp) -> Result<String, Refusal> {
    if !is_kind(&notice.kind) {
        return Err(Refusal::invalid("type", "it is a type such as node.connected"));
    }
    if notice.timestamp.since(now) > TOLERANCE {
        return Err(Refusal::invalid("timestamp", "it lies in the future"));
    }
    let data = &notice.data;
    if !data.is_object() {
        return Err(Refusal::invalid("data", "it is an object"));
    }
    let (noun, _) = notice.kind.split_once('.').unwrap_or_default();
    if noun == "node" {
        member(data, "/nodeName")?;
        let id = member(data, "/nodeId")?;
        if let Some(status) = data.get("status") {
            let known = status
                .as_str()
                .is_some_and(|name| aami_model::node_status::NodeStatus::from_name(name).is_some());
            if !known {
                return Err(Refusal::invalid("data.status", "it is no status of a node"));
            }
        }
        if notice.kind == "node.installation_failed" {
            member(data, "/error/code")?;
        }
        return Ok(format!("remote:{id}"));
    }
    match data.get(format!("{noun}Id")).and_then(Value::as_str) {
        Some(id) if id.len() <= LONGEST && !id.chars().any(char::is_control) => Ok(format!("remote:{id}")),
        _ => Ok(format!("remote:{noun}")),
    }
}

/// Whose event it is here: the owner's it names, as far as the key may say, else the key's own.
fn org_of(caller: &Caller, notice: &Notice) -> OrgId {
    let named = notice.data.pointer("/owner/orgId").and_then(Value::as_str);
    let named: Option<OrgId> = named.and_then(|org| org.parse().ok());
    match (&caller.orgs, named) {
        (Orgs::All, Some(org)) => org,
        (orgs, Some(org)) if orgs.includes(&org) => org,
        (orgs, _) => orgs.home(),
    }
}

impl App {
    /// The secrets that other control planes sign with, as the file has them at this moment.
    async fn events_in_secrets(&self) -> Result<Vec<Secret>, Refusal> {
        let Some(path) = &self.config.events_in_secret_file else {
            return Ok(Vec::new());
        };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| {
            // Without them nothing can be judged, so nothing is taken.
            tracing::error!(%error, path = %path.display(), "the secrets of other control planes cannot be read");
            Refusal::plain(code::INTERNAL)
        })?;
        let secrets: Vec<Secret> = text.lines().filter_map(Secret::parse).collect();
        if secrets.is_empty() {
            tracing::error!(path = %path.display(), "there is no secret in it, so no event is taken in");
            return Err(Refusal::plain(code::INTERNAL));
        }
        Ok(secrets)
    }

    /// Takes in one event.
    pub(crate) async fn receive_event(
        &self,
        caller: &Caller,
        envelope: &Envelope,
        body: &[u8],
    ) -> Result<(Received, Option<Written>), Refusal> {
        if !caller.has_scope(&Scope::EventsIn) {
            return Err(Refusal::plain(code::FORBIDDEN));
        }
        if body.len() > LARGEST {
            return Err(Refusal::new(
                code::TOO_LARGE,
                format!("an event is at most {LARGEST} bytes"),
            ));
        }
        let now = self.world.now();
        check_signature(&self.events_in_secrets().await?, envelope, body, now)?;
        let notice: Notice = crate::http::call::parse(body)?;
        let subject = check(&notice, now)?;
        let snapshot = self.view.current();
        let here = snapshot.epoch().map_or("", |epoch| epoch.epoch.as_str());
        let via: Vec<&str> = envelope
            .via
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .collect();
        if via.len() > 8 || via.contains(&here) {
            return Ok((Received { accepted: false }, None));
        }
        // Without an id of its own, the same text is the same event.
        let digest = digest_of(body);
        let id = envelope.id.clone().unwrap_or_else(|| digest.clone());
        if id.is_empty() || id.len() > LONGEST || id.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(Refusal::invalid(
                "webhook-id",
                format!("it is 1 to {LONGEST} printable characters"),
            ));
        }
        let asking = Asking {
            idempotency: Some(Idempotency {
                key: format!("event:{id}"),
                request_hash: digest,
            }),
            ..Asking::by(caller.clone())
        };
        let org = org_of(caller, &notice);
        let origin = json!({ "by": caller.id, "id": id, "via": via.join(", "), "notice": notice });
        let wrote = self
            .write(&asking, |_, _| {
                let change = Change::new(org.clone(), "event.receive", subject.clone())
                    .noting(json!({ "id": id, "type": notice.kind }))
                    .tell(&notice.kind, json!({ ORIGIN: origin }));
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(match wrote {
            Wrote::Fresh((), written) => (Received { accepted: true }, Some(written)),
            Wrote::Replayed(_) => (Received { accepted: false }, None),
        })
    }
}

fn digest_of(body: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(body))
}
