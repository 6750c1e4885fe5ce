//! Every attempt to deliver, kept in the history: who was told what, what was answered, when it is tried again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use aami_api::delivery::Delivery;
use aami_model::{OrgId, Timestamp};
use aami_store::StoreError;
use aami_store::history::{Kind, Record};
use bytes::Bytes;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// How many may wait to be written; then lanes wait.
const MOST_WAITING: usize = 1024;
/// How many are written at once.
const TOGETHER: usize = 256;

/// Numbers attempts and has them written.
#[derive(Default)]
pub(crate) struct Records {
    last: OnceCell<AtomicU64>,
    queue: OnceLock<mpsc::Sender<Record>>,
}

/// What the records of a destination are about.
pub(crate) fn subject(webhook: &str) -> String {
    format!("webhook:{webhook}")
}

impl Records {
    /// A number above all before: microseconds, so that it follows the time and fits JSON's numbers.
    pub(crate) async fn number(&self, app: &App, now: Timestamp) -> Result<u64, StoreError> {
        let last = self.last.get_or_try_init(|| async {
            let last = app.history.last(Kind::Delivery).await?;
            Ok::<_, StoreError>(AtomicU64::new(last.unwrap_or(0)))
        });
        let last = last.await?;
        let from_clock = u64::try_from(now.millis()).unwrap_or(0).saturating_mul(1000);
        let next = |last: u64| from_clock.max(last.saturating_add(1));
        let before = last
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)))
            .unwrap_or_else(|last| last);
        Ok(next(before))
    }

    /// Notes an attempt; it is written soon.
    pub(crate) async fn note(&self, app: &App, org: &OrgId, delivery: Delivery) {
        let record = record(org, &delivery);
        let unsent = match self.queue.get() {
            Some(queue) => queue.send(record).await.err().map(|unsent| unsent.0),
            None => Some(record),
        };
        if let Some(record) = unsent {
            write(app, vec![record]).await;
        }
    }

    /// Notes an attempt; it is written when this returns.
    pub(crate) async fn note_now(app: &App, org: &OrgId, delivery: &Delivery) {
        write(app, vec![record(org, delivery)]).await;
    }

    /// Writes what is noted until `stop`, and then what was noted before.
    pub(super) async fn keep(app: Arc<App>, stop: CancellationToken) {
        let (sender, mut queue) = mpsc::channel(MOST_WAITING);
        if app.notify.records.queue.set(sender).is_err() {
            return;
        }
        let mut waiting = Vec::new();
        loop {
            let taken = tokio::select! {
                () = stop.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
                taken = queue.recv_many(&mut waiting, TOGETHER) => taken,
            };
            if taken == 0 {
                return;
            }
            write(&app, std::mem::take(&mut waiting)).await;
        }
    }
}

fn record(org: &OrgId, delivery: &Delivery) -> Record {
    Record {
        kind: Kind::Delivery,
        seq: delivery.id,
        at: delivery.at,
        org: org.clone(),
        subject: subject(&delivery.webhook),
        json: Bytes::from(serde_json::to_vec(delivery).unwrap_or_default()),
    }
}

async fn write(app: &App, records: Vec<Record>) {
    // An attempt that is not noted was made all the same; the event itself is safe.
    if let Err(error) = app.history.append(records).await {
        tracing::warn!(%error, "attempts to deliver cannot be noted");
    }
}
