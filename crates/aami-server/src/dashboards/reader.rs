//! A dashboard's place on the board, and what it is told next. Pure: it holds no frames and no clock.
//!
//! ```text
//! snapshot -> rows -> (events since `after`) -> synced -> following -+
//! resumed ------------------------------------> synced -> following -+-> behind -> snapshot ...
//! ```
//!
//! Whoever is cut off anywhere on this way hands back the last number it was told and has neither missed nor repeated
//! anything: the frames of a snapshot carry the number its reader came with, and only what follows moves it on.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use aami_api::dashboard::{Plane, What, Why};
use aami_model::access::Orgs;
use axum::extract::ws::Utf8Bytes;

use super::board::{Picture, Place};
use super::frame::{Stay, encode};

/// How much is taken from the board at once: frames, bytes, and frames looked at.
const MOST_FRAMES: usize = 64;
const MOST_BYTES: usize = 32 * 1024;
const MOST_LOOKED_AT: usize = 4096;
/// How far ahead of this replica another one may be whose numbers somebody brings: so many revisions.
const AHEAD: u64 = 100_000 * aami_model::event::MOST_EVENTS_A_TRANSACTION;

/// Where somebody wants to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct From {
    pub(super) after: u64,
    pub(super) epoch: Option<String>,
}

/// What is to be done next for a dashboard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send these, then ask again. There may be none, where much was looked at.
    Say(Vec<Utf8Bytes>),
    /// Read the events after the first number, up to and including the second, and hand them in.
    Replay { after: u64, through: u64 },
    /// It was overtaken: [`Reader::begin_again`] when its time has come.
    Behind,
    /// Nothing, until the board is another one.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first frame of all.
    Opening(Option<Why>),
    /// The rows up to this place, then, if it came with a number, the events since.
    Rows { until: Place },
    /// The events up to this number.
    Replaying { until: Place },
    /// News; `synced` once everything there was in the beginning has been told.
    Following { synced: bool },
}

/// A dashboard's place.
#[derive(Debug)]
pub(super) struct Reader {
    orgs: Orgs,
    epoch: Arc<str>,
    cursor: Place,
    /// The number it would hand back.
    told: u64,
    /// Up to where it was told that events are kept no longer.
    gone: u64,
    /// What it has to be told before it has seen everything there was when it came.
    goal: u64,
    phase: Phase,
}

impl Reader {
    /// A place for somebody who sees these organisations and comes from `from`. It has seen everything there is once
    /// it has been told up to `goal`.
    pub(super) fn begin(picture: &Picture, orgs: Orgs, from: &From, goal: u64) -> Self {
        let foreign = from.epoch.as_ref().is_some_and(|epoch| **epoch != *picture.epoch);
        let ahead = from.after > picture.through.saturating_add(AHEAD);
        let why = if from.after == 0 {
            Some(Why::Connected)
        } else if foreign || ahead {
            Some(Why::Epoch)
        } else if (from.after, 0) < picture.floor {
            Some(Why::Gap)
        } else {
            None
        };
        Self {
            orgs,
            epoch: picture.epoch.clone(),
            cursor: (from.after, 0),
            // Numbers of another life of the store say nothing about what happened in this one.
            told: if why == Some(Why::Epoch) { 0 } else { from.after },
            gone: 0,
            goal,
            phase: Phase::Opening(why),
        }
    }

    /// The number it would hand back if it was cut off now.
    pub(super) const fn told(&self) -> u64 {
        self.told
    }

    /// Whether it has seen everything there was.
    pub(super) const fn is_synced(&self) -> bool {
        matches!(self.phase, Phase::Following { synced: true })
    }

    /// Begins anew after it was overtaken.
    pub(super) fn begin_again(&mut self, picture: &Picture) {
        let why = if self.epoch == picture.epoch {
            Why::Slow
        } else {
            self.told = 0;
            Why::Epoch
        };
        self.epoch = picture.epoch.clone();
        self.phase = Phase::Opening(Some(why));
    }

    /// What is next.
    pub(super) fn next(&mut self, picture: &Picture) -> Step {
        if self.epoch != picture.epoch {
            return Step::Behind;
        }
        match self.phase {
            Phase::Opening(why) => self.open(picture, why),
            Phase::Rows { until } => self.rows(picture, until),
            Phase::Replaying { until } => {
                let (after, through) = (self.told, until.0);
                if after >= through {
                    self.follow(until);
                    return self.next(picture);
                }
                Step::Replay { after, through }
            }
            Phase::Following { synced } => self.news(picture, synced),
        }
    }

    /// What it is told before events of which those up to a number are kept no longer, or not all of them: once, and
    /// again only where more is gone.
    pub(super) fn gone(&mut self, pruned_through: u64) -> Option<Utf8Bytes> {
        if pruned_through <= self.told.max(self.gone) {
            return None;
        }
        self.gone = pruned_through;
        Some(encode(self.told, Plane::State, &What::Resync { pruned_through }))
    }

    /// Takes note that the events up to this number have been sent.
    pub(super) fn replayed(&mut self, through: u64) {
        self.told = self.told.max(through);
    }

    fn open(&mut self, picture: &Picture, why: Option<Why>) -> Step {
        let epoch = picture.epoch.to_string();
        let what = match why {
            Some(reason) => {
                self.cursor = (0, 0);
                self.phase = Phase::Rows {
                    until: picture.newest,
                };
                What::Snapshot { epoch, reason }
            }
            None => {
                self.goal = self.goal.max(picture.through).max(self.told);
                self.phase = Phase::Following { synced: false };
                What::Resumed { epoch }
            }
        };
        Step::Say(vec![encode(self.told, Plane::State, &what)])
    }

    /// Rows that change while they are told stand behind `until` then, and come as news.
    fn rows(&mut self, picture: &Picture, until: Place) -> Step {
        let mut batch = Batch::default();
        for (place, frame) in picture.frames.range((Excluded(self.cursor), Included(until))) {
            if batch.is_full() {
                return Step::Say(batch.frames);
            }
            batch.looked_at += 1;
            self.cursor = *place;
            if frame.stay == Stay::Row && self.orgs.includes(&frame.org) {
                batch.push(frame.again(self.told));
            }
        }
        if self.told == 0 {
            self.follow(until);
        } else {
            self.phase = Phase::Replaying { until };
        }
        Step::Say(batch.frames)
    }

    fn follow(&mut self, from: Place) {
        self.cursor = from;
        self.goal = self.goal.max(from.0);
        self.phase = Phase::Following { synced: false };
    }

    fn news(&mut self, picture: &Picture, synced: bool) -> Step {
        if picture.floor > self.cursor {
            return Step::Behind;
        }
        let mut batch = Batch::default();
        for (place, frame) in picture.frames.range((Excluded(self.cursor), Unbounded)) {
            if batch.is_full() {
                return Step::Say(batch.frames);
            }
            batch.looked_at += 1;
            self.cursor = *place;
            if self.orgs.includes(&frame.org) {
                self.told = self.told.max(place.0);
                batch.push(frame.text());
            }
        }
        if !batch.frames.is_empty() {
            return Step::Say(batch.frames);
        }
        if !synced && picture.through >= self.goal {
            self.phase = Phase::Following { synced: true };
            return Step::Say(vec![self.mark(picture)]);
        }
        Step::Wait
    }

    /// Says how far everything has been told, where that is further than it knows.
    pub(super) fn remark(&mut self, picture: &Picture) -> Option<Utf8Bytes> {
        let at_the_end = self.is_synced() && self.cursor >= picture.newest && self.epoch == picture.epoch;
        (at_the_end && self.told < picture.through).then(|| self.mark(picture))
    }

    fn mark(&mut self, picture: &Picture) -> Utf8Bytes {
        self.told = self.told.max(picture.through);
        encode(self.told, Plane::State, &What::Synced)
    }
}

#[derive(Default)]
struct Batch {
    frames: Vec<Utf8Bytes>,
    bytes: usize,
    looked_at: usize,
}

impl Batch {
    fn push(&mut self, text: Utf8Bytes) {
        self.bytes += text.len();
        self.frames.push(text);
    }

    const fn is_full(&self) -> bool {
        self.frames.len() >= MOST_FRAMES || self.bytes >= MOST_BYTES || self.looked_at >= MOST_LOOKED_AT
    }
}

#[cfg(test)]
mod tests;
