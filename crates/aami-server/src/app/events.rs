//! Events and audit entries: what has been told, joined from the outbox and the history.

use std::collections::BTreeMap;

use aami_api::event::{Audit, AuditEntry, Events};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::event::{Event, MOST_EVENTS_A_TRANSACTION, seq};
use aami_store::history::{HistoryQuery, Kind, Reading, Record};
use aami_store::{Revision, StoreError};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{App, Refusal, access};
use crate::view::Snapshot;
use crate::view::document::{AuditDocument, OutboxDocument};

/// The number of the first event that a transaction at `revision` could tell, and of the last.
fn bounds(snapshot: &Snapshot, revision: Revision) -> (u64, u64) {
    let base = snapshot.epoch().map_or(0, |epoch| epoch.base);
    let first = seq(base, revision.get(), 0);
    (first, first + MOST_EVENTS_A_TRANSACTION - 1)
}

/// The number after which everything is told that this picture does not show.
pub(crate) fn newest(snapshot: &Snapshot) -> u64 {
    bounds(snapshot, snapshot.revision).1
}

/// The events told between two pictures, ascending, as long as none of them has been moved to the history already.
pub(crate) fn between(before: &Snapshot, after: &Snapshot) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    for (key, untold) in before.told_until(after)? {
        let Some(document) = untold.read(key) else {
            continue;
        };
        let (first, _) = bounds(after, untold.revision);
        let numbered = (first..).zip(document.events);
        events.extend(numbered.map(|(seq, event)| Event { seq, ..event }));
    }
    events.sort_by_key(|event: &Event| event.seq);
    Some(events)
}

/// What an outbox entry will be in the history. Copying it twice gives the same records.
pub(crate) fn records(snapshot: &Snapshot, revision: Revision, outbox: &OutboxDocument) -> Vec<Record> {
    let (first, _) = bounds(snapshot, revision);
    let mut records = Vec::with_capacity(outbox.events.len() + 1);
    for (number, event) in (first..).zip(&outbox.events) {
        let event = Event {
            seq: number,
            ..event.clone()
        };
        records.push(Record {
            kind: Kind::Event,
            seq: number,
            at: outbox.at,
            org: outbox.org.clone(),
            subject: event.subject.clone(),
            json: Bytes::from(serde_json::to_vec(&event).unwrap_or_default()),
        });
    }
    if let Some(AuditDocument {
        action,
        subject,
        data,
    }) = &outbox.audit
    {
        let entry = AuditEntry {
            seq: first,
            at: outbox.at,
            org: outbox.org.clone(),
            actor: outbox.actor.clone(),
            action: action.clone(),
            subject: subject.clone(),
            data: data.clone(),
        };
        records.push(Record {
            kind: Kind::Audit,
            seq: first,
            at: outbox.at,
            org: outbox.org.clone(),
            subject: subject.clone(),
            json: Bytes::from(serde_json::to_vec(&entry).unwrap_or_default()),
        });
    }
    records
}

/// Which records are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) after: u64,
    pub(crate) limit: usize,
    pub(crate) subject: Option<String>,
}

/// Some of what was told, as documents in the order of their numbers.
struct Told {
    documents: Vec<Bytes>,
    /// Where to go on.
    last_seq: u64,
    /// What there was up to this number is kept no longer, or not all of it.
    pruned_through: u64,
}

impl Told {
    fn read<T: DeserializeOwned>(&self) -> Vec<T> {
        let documents = self.documents.iter();
        documents
            .filter_map(|json| serde_json::from_slice(json).ok())
            .collect()
    }
}

impl App {
    /// Events after a number, of the organisations the caller sees.
    pub(crate) async fn events(&self, caller: &Caller, wanted: &Wanted) -> Result<Events, Refusal> {
        access::require(caller, Role::Viewer)?;
        let told = self.told(Kind::Event, caller, wanted).await?;
        Ok(Events {
            events: told.read(),
            last_seq: told.last_seq,
            pruned_through: told.pruned_through,
        })
    }

    /// Audit entries after a number, of the organisations the caller sees.
    pub(crate) async fn audit(&self, caller: &Caller, wanted: &Wanted) -> Result<Audit, Refusal> {
        access::require(caller, Role::Admin)?;
        let told = self.told(Kind::Audit, caller, wanted).await?;
        Ok(Audit {
            entries: told.read(),
            last_seq: told.last_seq,
            pruned_through: told.pruned_through,
        })
    }

    /// A node's own events, as JSON values, and up to which number events are kept no longer, or not all of them.
    pub(crate) async fn node_history(
        &self,
        caller: &Caller,
        id: &aami_model::NodeId,
        mut wanted: Wanted,
    ) -> Result<(Vec<Value>, u64), Refusal> {
        self.node(caller, id)?;
        wanted.subject = Some(format!("node:{id}"));
        let told = self.told(Kind::Event, caller, &wanted).await?;
        Ok((told.read(), told.pruned_through))
    }

    /// Up to where the history here lacks what the history of whoever led then has, or had: it is another replica's, or
    /// an older one was put in its place.
    pub(crate) async fn lacks(&self, snapshot: &Snapshot, kind: Kind) -> Result<Option<u64>, StoreError> {
        let copied = snapshot.copied().map_or(0, |held| match kind {
            Kind::Event => held.doc.event,
            Kind::Audit => held.doc.audit,
            Kind::StepLog | Kind::Delivery => 0,
        });
        if copied == 0 {
            return Ok(None);
        }
        Ok((self.history.reached(kind).await? < copied).then_some(copied))
    }

    /// The outbox is looked at first and the history after it, so what is moved in between is seen at
    /// least once; the number joins the two. Nothing beyond the picture's revision is shown: something
    /// before it might still be on its way.
    async fn told(&self, kind: Kind, caller: &Caller, wanted: &Wanted) -> Result<Told, Refusal> {
        let snapshot = self.view.current();
        let (_, newest) = bounds(&snapshot, snapshot.revision);
        let fits = |record: &Record| {
            record.kind == kind
                && record.seq > wanted.after
                && record.seq <= newest
                && caller.orgs.includes(&record.org)
                && wanted
                    .subject
                    .as_ref()
                    .is_none_or(|subject| *subject == record.subject)
        };
        let mut found: BTreeMap<u64, Bytes> = BTreeMap::new();
        for (key, untold) in snapshot.outbox() {
            if bounds(&snapshot, untold.revision).1 <= wanted.after {
                continue;
            }
            let Some(document) = untold.read(key) else {
                continue;
            };
            let records = records(&snapshot, untold.revision, &document);
            found.extend(
                records
                    .into_iter()
                    .filter(fits)
                    .map(|record| (record.seq, record.json)),
            );
        }
        let mut reading = Reading::After(wanted.after);
        let mut copied = 0;
        let mut pruned_through = self.lacks(&snapshot, kind).await?.unwrap_or(0);
        loop {
            let mut query = HistoryQuery::new(kind, reading, wanted.limit);
            if let Orgs::Only(orgs) = &caller.orgs {
                query = query.of(orgs.clone());
            }
            if let Some(subject) = &wanted.subject {
                query = query.about(subject.clone());
            }
            let page = self.history.read(query).await?;
            copied += page.records.len();
            pruned_through = pruned_through.max(page.pruned);
            found.extend(
                page.records
                    .into_iter()
                    .filter(fits)
                    .map(|record| (record.seq, record.json)),
            );
            match page.next {
                Some(next) if copied < wanted.limit => reading = next,
                _ => break,
            }
        }
        let full = found.len() > wanted.limit;
        let taken: Vec<(u64, Bytes)> = found.into_iter().take(wanted.limit).collect();
        // With a full page the reader goes on after its last; otherwise after all there is.
        let last_seq = match taken.last() {
            Some((last, _)) if full || taken.len() == wanted.limit => *last,
            _ => newest.max(wanted.after),
        };
        Ok(Told {
            documents: taken.into_iter().map(|(_, json)| json).collect(),
            last_seq,
            pruned_through,
        })
    }
}
