//! Dashboards: `/ws`, where a browser or a program sees the fleet as it changes.
//!
//! One task, the [`keeper`], follows the view and what is live, and lays every fact once, already encoded, on the
//! [`board`]. The board is one for all: it has the newest frame of each row and the latest events, in the order of
//! their numbers. A dashboard has no queue. Its [`reader`] is a place on the board and walks on from there, so a
//! thousand of them cost a thousand places; one that is slow finds only the newest frame of each row, and one that was
//! overtaken begins anew with a snapshot. Nobody waits for it. [`socket`] is one connection's life, [`hall`] who is
//! let in and sent away.
//!
//! While nobody looks there is no board.
//!
//! What it must not do: change anything, show a caller what is not of its organisations, or keep anything for a single
//! dashboard beyond its place.

mod board;
mod changes;
mod frame;
pub(crate) mod hall;
pub(crate) mod keeper;
mod progress;
mod reader;
mod rows;
pub(crate) mod socket;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aami_model::access::Caller;
use aami_model::{RunId, Timestamp};
use tokio::sync::{Notify, Semaphore, watch};

use board::Picture;
use hall::Hall;
pub(crate) use progress::Fraction;
use progress::Fractions;

use crate::view::Snapshot;

/// Of how many runs other replicas may tell between two looks.
const MOST_TOLD: usize = 20_000;
/// How many dashboards read old events from the history at once.
const REPLAYS: usize = 4;

/// What all of this room share.
pub(crate) struct Dashboards {
    pub(crate) hall: Arc<Hall>,
    /// The board as it is; none while nobody looks.
    picture: watch::Sender<Option<Arc<Picture>>>,
    /// Rings when somebody came.
    bell: Notify,
    fractions: Mutex<Fractions>,
    /// Runs whose progress another replica told of since it was last looked.
    told: Mutex<BTreeSet<RunId>>,
    replays: Semaphore,
    /// How many wait to have seen everything there was when they came.
    unsynced: AtomicUsize,
}

/// Counts one that has not seen everything yet, for as long as this is held.
struct Unsynced<'a>(&'a AtomicUsize);

impl<'a> Unsynced<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Unsynced<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Dashboards {
    pub(crate) fn new() -> Self {
        Self {
            hall: Arc::default(),
            picture: watch::Sender::new(None),
            bell: Notify::new(),
            fractions: Mutex::default(),
            told: Mutex::default(),
            replays: Semaphore::new(REPLAYS),
            unsynced: AtomicUsize::new(0),
        }
    }

    /// Notes how far the step of a run is, as its installer reports. Nothing is kept while nobody looks.
    pub(crate) fn reported(&self, run: &RunId, fraction: Fraction) {
        if self.hall.open() == 0 {
            return;
        }
        let mut fractions = self.fractions.lock().unwrap_or_else(PoisonError::into_inner);
        fractions.note(run, fraction);
    }

    /// The same, as another replica tells. The store says nothing about it here, so it is told without that.
    pub(crate) fn told_of(&self, run: &RunId, fraction: Fraction) {
        if self.hall.open() == 0 {
            return;
        }
        self.reported(run, fraction);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MOST_TOLD {
            told.insert(run.clone());
        }
    }

    /// What was told so since the last look.
    fn take_told(&self) -> BTreeSet<RunId> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Somebody came: where there is no board yet, there is to be one.
    pub(crate) fn rouse(&self) {
        self.bell.notify_one();
    }

    /// Ends the connections whose key is no longer good, or sees something else now.
    fn judge(&self, snapshot: &Snapshot, now: Timestamp) {
        self.hall.judge(|caller| still(snapshot, caller, now));
    }
}

/// Whether a caller's key is as it was when it came.
fn still(snapshot: &Snapshot, caller: &Caller, now: Timestamp) -> bool {
    let id = caller.id.strip_prefix("key:").and_then(|id| id.parse().ok());
    let key = id.and_then(|id| snapshot.key(&id));
    key.and_then(|held| Caller::of_key(&held.doc, now)).as_ref() == Some(caller)
}
