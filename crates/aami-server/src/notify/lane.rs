//! One lane of one destination: its events in order, each until it is taken or given up, and the cursor behind them.

use std::sync::Arc;
use std::time::Duration;

use aami_api::delivery::{DeliveredEvent, Delivery, DeliveryResult};
use aami_api::notice::Notice;
use aami_model::event::Event;
use aami_store::{Revision, Txn, TxnOutcome, keys};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gap;
use super::gauge::{Gauge, back_off};
use super::outlet::{Destination, Letter, Outcome, Shared, Verdict, via};
use super::wire::Wire;
use crate::app::{App, events};
use crate::view::document::{decode, encode};

/// How often an event that is refused is tried.
const REFUSALS: u32 = 3;
/// How often an event is tried, and for how long at least, that a destination does not take although it takes others.
const ALONE_TRIES: u32 = 10;
const ALONE_FOR: Duration = Duration::from_secs(15 * 60);
/// How often a cursor is written while events are delivered.
const OFTEN: Duration = Duration::from_secs(1);
/// How often it is written while only others' events pass by.
const SELDOM: Duration = Duration::from_secs(300);

/// `cursors/{destination}/{lane}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Everything up to this number is done with.
    pub(crate) seq: u64,
}

struct Lane {
    app: Arc<App>,
    destination: Shared,
    /// The change of the destination it was begun with.
    revision: Revision,
    gauge: Arc<Gauge>,
    number: u8,
    wire: Wire,
    seq: u64,
    /// What the store has, and since when.
    written: Option<(u64, Revision)>,
    written_at: Instant,
    delivered: bool,
}

impl Lane {
    /// Finds where the lane stands. A destination that was never told of anything begins now, durably, before
    /// anything else happens.
    async fn begin(&mut self) -> Result<(), aami_store::StoreError> {
        let key = keys::cursor(&self.destination.id, self.number);
        if let Some(entry) = self.app.store.get(&key).await? {
            match decode::<Cursor>(&key, &entry.value) {
                Ok(cursor) => {
                    self.seq = cursor.seq;
                    self.written = Some((cursor.seq, entry.mod_revision));
                    return Ok(());
                }
                Err(error) => tracing::error!(%error, "a cursor cannot be read; its lane begins anew"),
            }
        }
        let newest = || events::newest(&self.app.view.current());
        self.seq = self.destination.after.unwrap_or_else(newest);
        self.persist().await
    }

    /// Writes the cursor where it has moved. Somebody else who wrote it meanwhile leads now; where they are further,
    /// they are followed.
    async fn persist(&mut self) -> Result<(), aami_store::StoreError> {
        self.written_at = Instant::now();
        if self.written.is_some_and(|(seq, _)| seq == self.seq) {
            return Ok(());
        }
        let key = keys::cursor(&self.destination.id, self.number);
        let txn = match self.written {
            Some((_, revision)) => Txn::new().when_unchanged(key.clone(), revision),
            None => Txn::new().when_absent(key.clone()),
        };
        let txn = txn.put(key.clone(), encode(&Cursor { seq: self.seq }));
        let outcome = self.app.store.txn(txn).await?;
        if let TxnOutcome::Committed(revision) = outcome {
            self.written = Some((self.seq, revision));
            self.delivered = false;
            return Ok(());
        }
        let entry = self.app.store.get(&key).await?;
        self.written = entry.and_then(|entry| {
            let cursor: Cursor = decode(&key, &entry.value).ok()?;
            Some((cursor.seq, entry.mod_revision))
        });
        self.seq = self.seq.max(self.written.map_or(0, |(seq, _)| seq));
        Ok(())
    }

    async fn persist_when_due(&mut self) {
        let pause = if self.delivered { OFTEN } else { SELDOM };
        if self.written_at.elapsed() >= pause {
            self.persist_or_say().await;
        }
    }

    async fn persist_or_say(&mut self) {
        if let Err(error) = self.persist().await {
            // The next time tells again what was told since: at least once.
            tracing::warn!(%error, destination = %self.destination.label, "a cursor cannot be written");
        }
    }

    async fn work(&mut self) {
        let mut pause = Duration::from_millis(100);
        while let Err(error) = self.begin().await {
            tracing::warn!(%error, destination = %self.destination.label, "a cursor cannot be read");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
        loop {
            let app = self.app.clone();
            match app.notify.feed.read(&app, self.seq, self.number).await {
                Ok(read) => {
                    if let Some(through) = read.lost_through {
                        self.unless_outdated().await;
                        if let Err(refusal) = gap::say(&app, &self.destination, through, self.revision).await
                        {
                            tracing::warn!(%refusal, destination = %self.destination.label, "lost events cannot be told of");
                            tokio::time::sleep(pause).await;
                            pause = (pause * 2).min(Duration::from_secs(10));
                            continue;
                        }
                        // What is left of what was up to there comes now as well: where a history lacks what another
                        // has, some is kept before that.
                    }
                    for event in &read.events {
                        self.unless_outdated().await;
                        if self.destination.wants(event) {
                            self.deliver(event).await;
                            self.delivered = true;
                        }
                        self.seq = self.seq.max(event.seq);
                        self.persist_when_due().await;
                    }
                    self.seq = self.seq.max(read.through);
                    pause = Duration::from_millis(100);
                    self.persist_when_due().await;
                    self.wait_for_news().await;
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, destination = %self.destination.label, "events cannot be read");
                    // Until the history answers again: longer each time, ended with the lane.
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
        }
    }

    /// Never returns once the destination is another than the lane was begun with: the roster ends it, and its successor
    /// tells by the filter and the keys of now what happened after they were changed.
    async fn unless_outdated(&self) {
        if self.app.destination_changed(&self.destination.id, self.revision) {
            // What came before is remembered as the lane ends.
            std::future::pending::<()>().await;
        }
    }

    async fn wait_for_news(&mut self) {
        let app = self.app.clone();
        let news = app.notify.feed.news(self.seq);
        let is_written = self.written.is_some_and(|(seq, _)| seq == self.seq);
        if is_written && !self.delivered {
            return news.await;
        }
        // How far it came is remembered although nothing follows.
        let due = self.written_at + if self.delivered { OFTEN } else { SELDOM };
        tokio::select! {
            () = news => {}
            () = tokio::time::sleep_until(due) => self.persist_or_say().await,
        }
    }

    /// Tells the destination of one event until it is taken or given up.
    async fn deliver(&mut self, event: &Event) {
        let notice = Notice::of(event);
        let snapshot = self.app.view.current();
        let here = snapshot.epoch().map_or("", |epoch| epoch.epoch.as_str());
        let via = via(event, here);
        let (mut attempt, mut refusals) = (0, 0);
        let (first, taken_before) = (self.app.world.now(), self.gauge.taken());
        loop {
            attempt += 1;
            let permit = self.gauge.admit().await;
            let begun = Instant::now();
            let letter = Letter {
                id: event.id.as_str(),
                notice: &notice,
                via: via.clone(),
                now: self.app.world.now(),
            };
            let patience = self.app.config.delivery_timeout;
            let outcome = self.destination.send(&mut self.wire, &letter, patience).await;
            let now = self.app.world.now();
            let error = outcome.error.as_deref().unwrap_or_default();
            let most = self.app.config.delivery_retry_max;
            let chance = f64::from(u32::from_be_bytes(self.app.world.random())) / f64::from(u32::MAX);
            let next = match outcome.verdict {
                Verdict::Taken => {
                    self.gauge.delivered(permit, now);
                    Next::Done(DeliveryResult::Delivered)
                }
                Verdict::Refused => {
                    self.gauge.answered(permit, error);
                    refusals += 1;
                    if refusals >= REFUSALS {
                        Next::Done(DeliveryResult::Dead)
                    } else {
                        Next::Sleep(back_off(refusals, chance, most))
                    }
                }
                // It takes others, so it is this event: its lane does not wait for days, nor the other lanes for it.
                Verdict::Later if outcome.status.is_some() && self.gauge.taken() > taken_before => {
                    self.gauge.alone(permit, error);
                    if attempt >= ALONE_TRIES && now.since(first) > ALONE_FOR {
                        Next::Done(DeliveryResult::Dead)
                    } else {
                        let wait = back_off(attempt, chance, most);
                        Next::Sleep(outcome.away.map_or(wait, |away| away.min(most)).max(wait))
                    }
                }
                Verdict::Later => {
                    let wait = self.gauge.failed(permit, error, outcome.away, chance, most, now);
                    if now.since(event.at) > self.app.config.delivery_give_up {
                        Next::Done(DeliveryResult::Dead)
                    } else {
                        Next::Rest(wait)
                    }
                }
            };
            let (result, wait) = match next {
                Next::Done(result) => (result, None),
                Next::Sleep(wait) | Next::Rest(wait) => (DeliveryResult::Failed, Some(wait)),
            };
            self.note(event, attempt, begun.elapsed(), outcome, result, wait)
                .await;
            match next {
                Next::Done(_) => return,
                Next::Sleep(wait) => tokio::time::sleep(wait).await,
                Next::Rest(wait) => self.gauge.rest(wait).await,
            }
        }
    }

    async fn note(
        &self,
        event: &Event,
        attempt: u32,
        took: Duration,
        outcome: Outcome,
        result: DeliveryResult,
        wait: Option<Duration>,
    ) {
        let app = &self.app;
        app.counters.delivered(&self.destination.label, result);
        if result == DeliveryResult::Dead {
            tracing::warn!(
                destination = %self.destination.label, event = %event.id, kind = %event.kind,
                error = outcome.error.as_deref().unwrap_or_default(), "an event could not be delivered and was given up"
            );
        }
        let now = app.world.now();
        let Ok(id) = app.notify.records.number(app, now).await else {
            return;
        };
        let mut delivery = delivery(&self.destination, event, outcome, id, now);
        delivery.attempt = attempt;
        delivery.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        delivery.result = result;
        delivery.next_try = wait.map(|wait| now.plus(wait));
        app.notify.records.note(app, &event.org, delivery).await;
    }
}

enum Next {
    Done(DeliveryResult),
    /// Wait this long, whatever happens.
    Sleep(Duration),
    /// Wait this long, or until the destination is there again.
    Rest(Duration),
}

/// A first attempt, as it is noted.
pub(crate) fn delivery(
    destination: &Destination,
    event: &Event,
    outcome: Outcome,
    id: u64,
    at: aami_model::Timestamp,
) -> Delivery {
    let result = match outcome.verdict {
        Verdict::Taken => DeliveryResult::Delivered,
        Verdict::Later | Verdict::Refused => DeliveryResult::Dead,
    };
    Delivery {
        id,
        webhook: destination.id.clone(),
        name: destination.label.clone(),
        org: destination.org.clone(),
        event: DeliveredEvent {
            id: event.id.clone(),
            seq: event.seq,
            kind: event.kind.clone(),
            subject: event.subject.clone(),
        },
        attempt: 1,
        at,
        took_ms: 0,
        result,
        status: outcome.status,
        answer: outcome.answer,
        error: outcome.error,
        next_try: None,
        replay_of: None,
    }
}

/// Works until `stop`, then remembers how far it came.
pub(super) async fn run(
    app: Arc<App>,
    destination: Shared,
    gauge: Arc<Gauge>,
    number: u8,
    revision: Revision,
    stop: CancellationToken,
) {
    let mut lane = Lane {
        app,
        destination,
        revision,
        gauge,
        number,
        wire: Wire::default(),
        seq: 0,
        written: None,
        written_at: Instant::now(),
        delivered: false,
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = lane.work() => {}
    }
    if lane.written.is_some() {
        lane.persist_or_say().await;
    }
}
