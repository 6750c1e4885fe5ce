//! How a change is made: one transaction with what it tells, then the wait until the view shows it.

use std::time::{Duration, Instant};

use aami_model::event::{Event, MOST_EVENTS_A_TRANSACTION};
use aami_model::node::Node;
use aami_model::node_status::NodeEvent;
use aami_model::{Code, EventId, OrgId, Timestamp, code};
use aami_store::{Compared, Key, Revision, Txn, TxnOutcome, keys};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{App, Asking, Refusal};
use crate::metrics::OTHER_FAILURE;
use crate::view::document::{AuditDocument, IdempotencyDocument, OutboxDocument, encode};
use crate::view::{Snapshot, View};

/// How long a write waits for the view to show it before it answers from its own transaction.
const VIEW_PATIENCE: Duration = Duration::from_secs(2);
/// How long a change is tried against others who change the same things.
const CONTENTION_PATIENCE: Duration = Duration::from_secs(10);
/// How long an unknown outcome is looked for.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(3);

/// A change to be made: what must hold and be done, and what is told of it.
pub(crate) struct Change {
    pub(crate) org: OrgId,
    pub(crate) txn: Txn,
    pub(crate) action: &'static str,
    pub(crate) subject: String,
    pub(crate) data: Value,
    events: Vec<(String, String, Value)>,
    quiet: bool,
}

impl Change {
    /// `action` and `subject` are what the audit entry will say, e.g. `node.retire` of `node:abc`.
    pub(crate) fn new(org: OrgId, action: &'static str, subject: impl Into<String>) -> Self {
        Self {
            org,
            txn: Txn::new(),
            action,
            subject: subject.into(),
            data: Value::Null,
            events: Vec::new(),
            quiet: false,
        }
    }

    /// Leaves no audit entry: what a node's connection notes of itself is nobody's call. Where there is an event,
    /// it is told all the same, and the entry with it.
    pub(crate) const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// What the audit entry says besides; never a secret.
    pub(crate) fn noting(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// Changes what must hold and be done.
    pub(crate) fn transact(mut self, with: impl FnOnce(Txn) -> Txn) -> Self {
        self.txn = with(self.txn);
        self
    }

    /// Tells an event about the change's subject.
    pub(crate) fn tell(mut self, kind: &str, data: Value) -> Self {
        self.events.push((kind.to_owned(), self.subject.clone(), data));
        self
    }

    /// Tells an event about something else that the change touches.
    pub(crate) fn tell_about(mut self, subject: &str, kind: &str, data: Value) -> Self {
        self.events.push((kind.to_owned(), subject.to_owned(), data));
        self
    }

    /// Tells a node's lifecycle events.
    pub(crate) fn tell_all(mut self, events: &[NodeEvent], data: &Value) -> Self {
        for event in events {
            self = self.tell(event.name(), data.clone());
        }
        self
    }

    /// Tells that a node is scraped elsewhere from now on, where that is so.
    pub(crate) fn tell_address(self, was: &Node, is: &Node) -> Self {
        if was.ip_address == is.ip_address {
            return self;
        }
        let mut data = node_data(is);
        (data["from"], data["to"]) = (json!(was.ip_address), json!(is.ip_address));
        self.tell("node.address_changed", data)
    }

    /// The codes of the installations that this tells have failed; those that are in no registry are a stranger's
    /// words, and count as `OTHER`.
    fn failed_installations(&self) -> Vec<&'static str> {
        let failed = NodeEvent::InstallationFailed.name();
        self.events
            .iter()
            .filter(|(kind, ..)| kind == failed)
            .map(|(.., data)| {
                let code = data["error"]["code"].as_str().and_then(Code::find);
                code.map_or(OTHER_FAILURE, |code| code.symbol)
            })
            .collect()
    }
}

/// What a use case wants, having looked at the view.
pub(crate) enum Wanted<T> {
    /// Make this change; then answer with this.
    Write(Box<Change>, T),
    /// Nothing needs changing; answer with this.
    Nothing(T),
}

/// How it ended.
pub(crate) enum Wrote<T> {
    /// The change is durable (or none was needed).
    Fresh(T, Written),
    /// The same request was made before, under the same `Idempotency-Key`; this is what it was about.
    Replayed(String),
}

/// Where a change stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) revision: Revision,
    /// The view did not show it in time; the answer comes from the transaction itself.
    pub(crate) behind: bool,
}

impl Written {
    /// Where the view shows what was written.
    pub(crate) const fn shown(revision: Revision) -> Self {
        Self {
            revision,
            behind: false,
        }
    }
}

impl Wrote<()> {
    /// Where a change that answers nothing stands; one that was made before is shown by the view.
    pub(crate) fn written(self, view: &View) -> Written {
        match self {
            Self::Fresh((), written) => written,
            Self::Replayed(_) => Written::shown(view.revision()),
        }
    }
}

impl App {
    /// Makes a change. `build` looks at the view and says what it wants; when somebody else changed the
    /// same things meanwhile, it is asked again once the view shows that. It decides by the view, but
    /// the transaction's compares have the last word.
    pub(crate) async fn write<T>(
        &self,
        asking: &Asking,
        mut build: impl FnMut(&Snapshot, Timestamp) -> Result<Wanted<T>, Refusal>,
    ) -> Result<Wrote<T>, Refusal> {
        let deadline = Instant::now() + CONTENTION_PATIENCE;
        loop {
            let snapshot = self.view.current();
            let now = self.world.now();
            let idempotency = match &asking.idempotency {
                None => None,
                Some(idempotency) => {
                    let key = keys::idem(&asking.caller.id, &idempotency.key);
                    if let Some(held) = snapshot.idempotency(&key) {
                        return if held.doc.request_hash == idempotency.request_hash {
                            Ok(Wrote::Replayed(held.doc.subject.clone()))
                        } else {
                            Err(Refusal::plain(code::IDEMPOTENCY_REUSED))
                        };
                    }
                    Some((key, idempotency.request_hash.clone()))
                }
            };
            let (change, answer) = match build(&snapshot, now)? {
                Wanted::Nothing(answer) => {
                    let written = Written::shown(snapshot.revision);
                    return Ok(Wrote::Fresh(answer, written));
                }
                Wanted::Write(change, answer) => (*change, answer),
            };
            let failed = change.failed_installations();
            let (txn, marks) = self.seal(change, asking, idempotency, now);
            match self.store.txn(txn).await? {
                TxnOutcome::Committed(revision) => {
                    self.counters.installations_failed(&failed);
                    let behind = !self.view.reached(revision, VIEW_PATIENCE).await;
                    return Ok(Wrote::Fresh(answer, Written { revision, behind }));
                }
                TxnOutcome::Conflict(compared) => {
                    if is_fenced_off(asking, &compared) {
                        return Err(Refusal::new(
                            code::CONFLICT,
                            "somebody else has gone on with this meanwhile; nothing was changed",
                        ));
                    }
                    if Instant::now() >= deadline {
                        return Err(Refusal::new(
                            code::CONFLICT,
                            "others keep changing the same thing; nothing was changed",
                        )
                        .with_retry_after(Duration::from_secs(1)));
                    }
                    self.catch_up(&compared, snapshot.revision).await?;
                }
                TxnOutcome::Unknown => {
                    // What left no mark is not looked for: whoever made it makes it again.
                    if marks.is_empty() {
                        return Err(Refusal::plain(code::OUTCOME_UNKNOWN));
                    }
                    let revision = self.find_out(&marks).await?;
                    self.counters.installations_failed(&failed);
                    let behind = !self.view.reached(revision, VIEW_PATIENCE).await;
                    return Ok(Wrote::Fresh(answer, Written { revision, behind }));
                }
            }
        }
    }

    /// Completes a transaction with its outbox entry and its idempotency record: its marks, which no other writes like
    /// this.
    fn seal(
        &self,
        mut change: Change,
        asking: &Asking,
        idempotency: Option<(Key, String)>,
        now: Timestamp,
    ) -> (Txn, Vec<(Key, Bytes)>) {
        if let Some((key, revision)) = &asking.fence {
            change.txn = change.txn.when_unchanged(key.clone(), *revision);
        }
        if change.quiet && change.events.is_empty() && idempotency.is_none() {
            return (change.txn, Vec::new());
        }
        let actor = asking.caller.id.clone();
        debug_assert!((change.events.len() as u64) < MOST_EVENTS_A_TRANSACTION);
        let events = change
            .events
            .into_iter()
            .map(|(kind, subject, data)| Event {
                seq: 0,
                id: EventId::at(now, self.world.random()),
                at: now,
                kind,
                org: change.org.clone(),
                subject,
                actor: actor.clone(),
                data,
            })
            .collect();
        let audit = AuditDocument {
            action: change.action.to_owned(),
            subject: change.subject.clone(),
            data: change.data,
        };
        let outbox = OutboxDocument {
            at: now,
            org: change.org,
            actor,
            events,
            audit: Some(audit),
        };
        let mark = keys::outbox(EventId::at(now, self.world.random()).as_str());
        let mut txn = change.txn;
        let mut marks = Vec::with_capacity(2);
        if let Some((key, request_hash)) = idempotency {
            let record = IdempotencyDocument {
                request_hash,
                subject: change.subject,
                at: now,
            };
            txn = txn.when_absent(key.clone());
            // Looked for first: it stays for a day, while the other is gone as soon as somebody has copied it.
            marks.push((key, encode(&record)));
        }
        marks.push((mark, encode(&outbox)));
        let put = |txn: Txn, (key, value): &(Key, Bytes)| txn.put(key.clone(), value.clone());
        (marks.iter().fold(txn, put), marks)
    }

    /// Waits until the view shows what a transaction lost against.
    async fn catch_up(&self, compared: &[Compared], seen: Revision) -> Result<(), Refusal> {
        let newest = compared
            .iter()
            .filter_map(|c| c.now.as_ref())
            .map(|now| now.mod_revision)
            .max();
        let target = match newest {
            Some(newest) if newest > seen => newest,
            // What it lost against is a deletion, which leaves no revision on the key.
            _ => self.store.revision().await?,
        };
        if self.view.reached(target, VIEW_PATIENCE).await {
            Ok(())
        } else {
            Err(Refusal::plain(code::VIEW_BEHIND).with_retry_after(Duration::from_secs(1)))
        }
    }

    /// Finds out how a transaction ended whose answer was lost, by what only it writes.
    async fn find_out(&self, marks: &[(Key, Bytes)]) -> Result<Revision, Refusal> {
        let deadline = Instant::now() + UNKNOWN_PATIENCE;
        let mut pause = Duration::from_millis(20);
        while Instant::now() < deadline {
            for (key, value) in marks {
                if let Ok(Some(entry)) = self.store.get(key).await
                    && entry.value == *value
                {
                    return Ok(entry.mod_revision);
                }
            }
            // The engine may still be applying it; asking again is the condition waited for.
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        Err(Refusal::plain(code::OUTCOME_UNKNOWN).with_retry_after(Duration::from_secs(1)))
    }
}

/// Whether what a change must compare beside its own is no longer as it was: trying again is of no use.
fn is_fenced_off(asking: &Asking, compared: &[Compared]) -> bool {
    asking.fence.as_ref().is_some_and(|(key, revision)| {
        let fence = compared.iter().find(|one| one.key == *key);
        fence.is_some_and(|one| one.now.as_ref().is_none_or(|now| now.mod_revision != *revision))
    })
}

/// What every node event carries. The members in camelCase are those of the older event documents.
pub(crate) fn node_data(node: &Node) -> Value {
    json!({
        "hostname": node.hostname,
        "ip_address": node.ip_address,
        "status": node.status,
        "nodeId": node.id,
        "nodeName": node.hostname,
        "ipAddress": node.ip_address,
        "owner": { "orgId": node.org, "userId": node.user },
    })
}
