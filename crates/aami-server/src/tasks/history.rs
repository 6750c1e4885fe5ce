//! From the outbox to the history, and the tidying of both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aami_model::Timestamp;
use aami_store::StoreError;
use aami_store::history::{HistoryQuery, Keep, Kind, Reading, Record};
use aami_store::{Key, Revision, Txn, TxnOutcome, keys};
use tokio_util::sync::CancellationToken;

use super::Lead;
use super::pace::Pace;
use crate::app::{App, events};
use crate::view::Snapshot;
use crate::view::document::{CopiedDocument, encode};

/// How many keys one transaction removes.
const BATCH: usize = 100;
/// How long nothing may happen before the outbox is looked at all the same.
const IDLE: Duration = Duration::from_secs(2);
/// How long an `Idempotency-Key` is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// How many revisions a watcher may be behind before it must read anew.
const REVISIONS_KEPT: u64 = 100_000;

/// How much may wait for the end of a burst, in transactions; about a kilobyte each.
const BACKLOG: usize = 20_000;
/// How often it is looked whether a burst is over.
const BREATH: Duration = Duration::from_millis(100);
/// How many revisions a second are a burst.
const BURST: u64 = 500;

/// Tells whether much is being written at this moment.
struct Burst {
    revision: Revision,
    at: Instant,
}

impl Burst {
    fn new(revision: Revision) -> Self {
        Self {
            revision,
            at: Instant::now(),
        }
    }

    /// Whether at least [`BURST`] revisions a second were made since this was last asked.
    fn goes_on(&mut self, revision: Revision) -> bool {
        let made = revision.get().saturating_sub(self.revision.get());
        let millis = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        *self = Self::new(revision);
        millis > 0 && made.saturating_mul(1000) / millis >= BURST
    }
}

/// Copies what was told to the history, then removes it from the outbox. Done twice it changes
/// nothing: records are known by their number.
pub(super) async fn copy(app: Arc<App>, lead: Lead, stop: CancellationToken) {
    let mut pause = Duration::from_millis(10);
    let mut burst = Burst::new(app.view.revision());
    while !stop.is_cancelled() {
        // In a burst, such as a fleet that enrols, copying waits: readers find what waits in the outbox.
        if burst.goes_on(app.view.revision()) && app.view.current().outbox_len() < BACKLOG {
            tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(BREATH) => {} }
            continue;
        }
        let copied = if lead.is_held() { step(&app).await } else { Ok(0) };
        let wait = match copied {
            Ok(0) => {
                let next = app.view.revision().next();
                let news = app.view.reached(next, IDLE);
                tokio::select! { () = stop.cancelled() => return, _ = news => {} }
                // Let a burst gather, so that it is copied in few pieces.
                Duration::from_millis(100)
            }
            Ok(_) => {
                pause = Duration::from_millis(10);
                pause
            }
            Err(()) => {
                pause = (pause * 2).min(Duration::from_secs(10));
                pause
            }
        };
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(wait) => {} }
    }
}

async fn step(app: &App) -> Result<usize, ()> {
    let snapshot = app.view.current();
    let mut ordered: Vec<_> = snapshot.outbox().collect();
    // By revision, so that the history never lacks something before what it has.
    ordered.sort_by_key(|(_, untold)| untold.revision);
    let mut records = Vec::new();
    let held = snapshot.copied();
    let mut reaches = held.map_or_else(CopiedDocument::default, |held| held.doc);
    // Each with how far is copied once it is.
    let mut copied: Vec<(Key, CopiedDocument)> = Vec::new();
    for (name, untold) in ordered {
        let Ok(key) = name.parse::<Key>() else { continue };
        // What cannot be read stays where it is: it was reported, and somebody should look at it.
        let Some(document) = untold.read(name) else {
            continue;
        };
        let told = events::records(&snapshot, untold.revision, &document);
        if records.len() + told.len() > aami_store::history::MOST_APPENDED {
            break;
        }
        note(&mut reaches, &told);
        records.extend(told);
        copied.push((key, reaches));
    }
    if copied.is_empty() {
        return Ok(0);
    }
    append(app, &snapshot, records)
        .await
        .map_err(|error| report(&error))?;
    // One after the other, each with what it says is copied: whoever leads next has another history, and what is in
    // neither that nor the outbox must be known to be gone, wherever this is cut off.
    let mut mark = held.map(|held| held.revision);
    for piece in copied.chunks(BATCH) {
        mark = Some(remove(app, mark, piece).await?);
    }
    if let Some(revision) = mark {
        app.view.reached(revision, IDLE).await;
    }
    Ok(copied.len())
}

fn report(error: &dyn std::error::Error) {
    tracing::warn!(%error, "events wait in the outbox");
}

/// Adds to the history; what it lacks of what was copied before is noted there first.
async fn append(app: &App, snapshot: &Snapshot, records: Vec<Record>) -> Result<(), StoreError> {
    for kind in [Kind::Event, Kind::Audit] {
        if let Some(through) = app.lacks(snapshot, kind).await? {
            tracing::warn!(
                kind = kind.name(),
                through,
                "this history lacks what was copied to another, or to a later state of it"
            );
            app.history.lack(kind, through).await?;
        }
    }
    app.history.append(records).await.map(drop)
}

/// Takes note of how far these reach.
fn note(reaches: &mut CopiedDocument, records: &[Record]) {
    for record in records {
        match record.kind {
            Kind::Event => reaches.event = reaches.event.max(record.seq),
            Kind::Audit => reaches.audit = reaches.audit.max(record.seq),
            Kind::StepLog | Kind::Delivery => {}
        }
    }
}

/// Takes a piece out of the outbox, and says in the same transaction that nothing is left up to its end. `mark` is the
/// change in which that was said last.
async fn remove(app: &App, mark: Option<Revision>, piece: &[(Key, CopiedDocument)]) -> Result<Revision, ()> {
    let key = keys::copied();
    let mut txn = match mark {
        Some(revision) => Txn::new().when_unchanged(key.clone(), revision),
        None => Txn::new().when_absent(key.clone()),
    };
    if let Some((_, reaches)) = piece.last() {
        txn = txn.put(key, encode(reaches));
    }
    let keys = piece.iter().map(|(key, _)| key.clone());
    match app.store.txn(keys.fold(txn, Txn::delete)).await {
        Ok(TxnOutcome::Committed(revision)) => Ok(revision),
        // What was copied is copied again, which changes nothing.
        Ok(_) => Err(()),
        Err(error) => {
            report(&error);
            Err(())
        }
    }
}

/// Removes every idempotency key from before `since`: a busy program makes more of them than one
/// transaction holds.
async fn forget_answers(app: &App, since: Timestamp) {
    loop {
        let snapshot = app.view.current();
        let old = snapshot
            .idempotency_entries()
            .filter(|(_, held)| held.doc.at < since)
            .filter_map(|(key, _)| key.parse::<Key>().ok())
            .take(BATCH);
        let txn = old.fold(Txn::new(), Txn::delete);
        if txn.ops().is_empty() {
            return;
        }
        match app.store.txn(txn).await {
            Ok(TxnOutcome::Committed(revision)) if app.view.reached(revision, IDLE).await => {}
            // The next round goes on.
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "old idempotency keys stay");
                return;
            }
        }
    }
}

/// When the newest record of any kind was made.
async fn newest(app: &App) -> Result<Option<Timestamp>, StoreError> {
    let mut newest = None;
    for kind in Kind::ALL {
        let query = HistoryQuery::new(kind, Reading::Before(u64::MAX), 1);
        let page = app.history.read(query).await?;
        newest = newest.max(page.records.first().map(|record| record.at));
    }
    Ok(newest)
}

/// The time to prune by: the clock's, unless it jumped.
fn believed(app: &App, pace: &Mutex<Pace>, now: Timestamp, newest: Option<Timestamp>) -> Timestamp {
    let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
    let (believed, jumped) = pace.judge(now, newest, app.started.elapsed());
    if jumped {
        tracing::warn!(%now, %believed, "the clock is far ahead of what was told last; the history is pruned by that");
    }
    believed
}

/// Forgets what is old: history beyond its time, idempotency keys after a day, runs nobody reports to,
/// and revisions no watcher needs.
pub(super) async fn tidy(app: Arc<App>, lead: Lead, pace: Arc<Mutex<Pace>>) {
    if !lead.is_held() {
        return;
    }
    let now = app.world.now();
    let before = |now: Timestamp, age: Duration| {
        Timestamp::from_millis(
            now.millis()
                .saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
        )
    };
    match newest(&app).await {
        Ok(newest) => {
            let believed = believed(&app, &pace, now, newest);
            let keep = Keep {
                since: Some(before(believed, app.config.history_keep)),
                newest: None,
            };
            for kind in Kind::ALL {
                if let Err(error) = app.history.prune(kind, keep).await {
                    tracing::warn!(%error, kind = kind.name(), "the history cannot be pruned");
                }
            }
        }
        Err(error) => tracing::warn!(%error, "the history cannot be read, and is not pruned"),
    }
    forget_answers(&app, before(now, REMEMBERED)).await;
    while let Ok(swept) = app.sweep_runs().await {
        let next = app.view.revision().next();
        if swept == 0 || !app.view.reached(next, IDLE).await {
            break;
        }
    }
    let newest = app.view.revision().get();
    if newest > REVISIONS_KEPT
        && let Err(error) = app.store.compact(Revision::new(newest - REVISIONS_KEPT)).await
    {
        tracing::warn!(%error, "old revisions stay");
    }
}
