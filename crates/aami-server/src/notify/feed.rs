//! The latest events in memory, so that many lanes read each of them from the store once.
//!
//! A ring of bounded length; a lane that is further behind reads from the outbox and the history itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aami_model::access::Caller;
use aami_model::event::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::lane_of;
use crate::app::{App, events};

/// How many events are kept.
const MOST: usize = 4096;
/// How many are read at once.
const PAGE: usize = 512;
/// How long nothing may happen before it is looked all the same.
const IDLE: Duration = Duration::from_secs(2);
/// How long what happens together may gather.
const GATHER: Duration = Duration::from_millis(10);

/// The latest events.
#[derive(Default)]
pub(crate) struct Feed {
    ring: Mutex<Option<Ring>>,
    through: watch::Sender<u64>,
}

struct Ring {
    /// Every event above this number and up to `through` is here.
    from: u64,
    through: u64,
    events: VecDeque<Arc<Event>>,
}

/// Some events of one lane, and how far they reach.
pub(crate) struct Read {
    pub(crate) events: Vec<Arc<Event>>,
    /// No other event of the lane has a number up to this.
    pub(crate) through: u64,
    /// Up to where events that may have been meant were kept no longer.
    pub(crate) lost_through: Option<u64>,
}

impl Feed {
    /// The events of a lane after a number; `None` where they are not all in memory.
    fn kept(&self, after: u64, lane: u8) -> Option<Read> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = ring.as_ref().filter(|ring| after >= ring.from)?;
        let first = ring.events.partition_point(|event| event.seq <= after);
        let events = ring.events.range(first..);
        Some(Read {
            events: events
                .filter(|event| lane_of(&event.subject) == lane)
                .cloned()
                .collect(),
            through: ring.through.max(after),
            lost_through: None,
        })
    }

    /// The events of a lane after a number.
    pub(crate) async fn read(&self, app: &App, after: u64, lane: u8) -> Result<Read, crate::app::Refusal> {
        if let Some(read) = self.kept(after, lane) {
            return Ok(read);
        }
        let page = app.events(&Caller::system(), &wanted(after)).await?;
        let events = page.events.into_iter();
        Ok(Read {
            events: events
                .filter(|event| lane_of(&event.subject) == lane)
                .map(Arc::new)
                .collect(),
            through: page.last_seq,
            lost_through: Some(page.pruned_through).filter(|pruned| *pruned > after),
        })
    }

    /// Waits until there may be something after a number.
    pub(crate) async fn news(&self, after: u64) {
        let mut through = self.through.subscribe();
        // The sender lives as long as this does.
        let _ = through.wait_for(|through| *through > after).await;
    }

    fn begin(&self, through: u64) {
        let ring = Ring {
            from: through,
            through,
            events: VecDeque::new(),
        };
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = Some(ring);
        self.through.send_replace(through);
    }

    fn push(&self, events: Vec<Event>, through: u64) {
        {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(ring) = ring.as_mut() else { return };
            ring.events.extend(events.into_iter().map(Arc::new));
            while ring.events.len() > MOST {
                if let Some(gone) = ring.events.pop_front() {
                    ring.from = gone.seq;
                }
            }
            ring.through = through;
        }
        self.through.send_if_modified(|known| {
            let more = through > *known;
            *known = through;
            more
        });
    }

    /// Follows what is told until `stop`.
    pub(super) async fn follow(app: Arc<App>, stop: CancellationToken) {
        let feed = &app.notify.feed;
        let mut through = events::newest(&app.view.current());
        feed.begin(through);
        let mut pause = GATHER;
        loop {
            let shown = app.view.revision();
            match app.events(&Caller::system(), &wanted(through)).await {
                Ok(page) => {
                    let full = page.events.len() == PAGE;
                    through = page.last_seq;
                    feed.push(page.events, through);
                    pause = GATHER;
                    if full {
                        continue;
                    }
                    let news = app.view.reached(shown.next(), IDLE);
                    tokio::select! { () = stop.cancelled() => return, _ = news => {} }
                }
                Err(refusal) => {
                    tracing::warn!(%refusal, "events cannot be read; deliveries wait");
                    pause = (pause * 2).min(Duration::from_secs(10));
                }
            }
            tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(pause) => {} }
        }
    }
}

fn wanted(after: u64) -> events::Wanted {
    events::Wanted {
        after,
        limit: PAGE,
        subject: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, subject: &str) -> Event {
        serde_json::from_value(serde_json::json!({
            "seq": seq, "id": "e", "at": "2026-01-01T00:00:00.000Z", "type": "node.connected", "org": "default",
            "subject": subject, "actor": "system",
        }))
        .unwrap()
    }

    #[test]
    fn a_lane_gets_its_own_events_or_is_sent_to_the_history() {
        let feed = Feed::default();
        let lane = lane_of("node:a");
        assert!(feed.kept(0, lane).is_none(), "nothing is known yet");
        feed.begin(100);
        feed.push(
            vec![event(101, "node:a"), event(102, "node:b"), event(103, "node:a")],
            150,
        );
        let read = feed.kept(101, lane).unwrap();
        let seqs: Vec<u64> = read.events.iter().map(|event| event.seq).collect();
        assert_eq!((seqs, read.through), (vec![103], 150));
        assert!(feed.kept(99, lane).is_none(), "what was before is not in memory");
        // When it is full, the oldest go and those who need them read the history.
        feed.push(
            (0..MOST as u64).map(|n| event(200 + n, "node:a")).collect(),
            10_000,
        );
        assert!(feed.kept(150, lane).is_none() || feed.kept(103, lane).is_some());
        assert!(feed.kept(101, lane).is_none());
        assert_eq!(feed.kept(200, lane).unwrap().events.len(), MOST - 1);
    }
}
