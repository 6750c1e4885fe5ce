//! The board: the newest frame of each row and the latest events, in one order. Pure.
//!
//! A frame that replaces another takes its place at the end, so walking the board from anywhere shows what has changed
//! since, and of each row only the newest. What passes (events, rows that are no more) is bounded: the oldest goes, and
//! the board remembers from where on it is whole. [`Picture`] is the board at one moment, which readers hold only while
//! they take a few frames from it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use imbl::OrdMap;

use super::frame::{Draft, Frame, Key, Stay};

/// How many frames that pass are kept, and how many bytes of them.
const MOST_PASSING: usize = 4096;
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A place on the board: the number a frame carries, and the order among those that carry the same.
pub(super) type Place = (u64, u64);

/// The board.
#[derive(Debug)]
pub(super) struct Board {
    epoch: Arc<str>,
    most_passing: usize,
    frames: OrdMap<Place, Arc<Frame>>,
    at: HashMap<Key, Place>,
    passing: BTreeSet<Place>,
    passing_bytes: usize,
    floor: Place,
    newest: Place,
    through: u64,
    order: u64,
}

/// The board at one moment.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// Which life of the store the numbers belong to.
    pub(super) epoch: Arc<str>,
    pub(super) frames: OrdMap<Place, Arc<Frame>>,
    /// Whoever stands before this place has missed something.
    pub(super) floor: Place,
    /// The last place that was given.
    pub(super) newest: Place,
    /// Everything up to this number is on the board, or was.
    pub(super) through: u64,
}

impl Board {
    /// An empty one, for what happens after `through`.
    pub(super) fn new(epoch: &str, through: u64) -> Self {
        Self::with_room(epoch, through, MOST_PASSING)
    }

    /// One that keeps so many frames that pass.
    pub(super) fn with_room(epoch: &str, through: u64, most_passing: usize) -> Self {
        Self {
            epoch: epoch.into(),
            most_passing,
            frames: OrdMap::new(),
            at: HashMap::new(),
            passing: BTreeSet::new(),
            passing_bytes: 0,
            floor: (through, 0),
            newest: (through, 0),
            through,
            order: 0,
        }
    }

    /// Lays a row that was there before the board was: it is shown in snapshots and is no news.
    pub(super) fn lay(&mut self, draft: Draft) {
        self.order += 1;
        self.place((0, self.order), draft, 0);
    }

    /// Tells a fact with its number. Numbers ascend; a row that says what it said is no news.
    pub(super) fn tell(&mut self, seq: u64, draft: Draft) {
        if self.says_already(&draft) {
            return;
        }
        let place = if (seq, 0) > self.newest {
            (seq, 0)
        } else {
            self.order += 1;
            (self.newest.0, self.order)
        };
        self.newest = place;
        self.through = self.through.max(place.0);
        self.place(place, draft, place.0);
        self.make_room();
    }

    /// Tells what is true only now: it has no number of its own.
    pub(super) fn tell_live(&mut self, draft: Draft) {
        if self.says_already(&draft) {
            return;
        }
        self.order += 1;
        let place = (self.through.max(self.newest.0), self.order);
        self.newest = place;
        self.place(place, draft, place.0);
        self.make_room();
    }

    /// Takes a row off without a word: what ended it is told otherwise.
    pub(super) fn drop_row(&mut self, key: &Key) {
        if let Some(place) = self.at.remove(key) {
            self.lift(place);
        }
    }

    /// Everything up to this number has been told.
    pub(super) fn reach(&mut self, through: u64) {
        self.through = self.through.max(through);
    }

    /// The last place that was given.
    pub(super) const fn newest(&self) -> Place {
        self.newest
    }

    pub(super) fn picture(&self) -> Picture {
        Picture {
            epoch: self.epoch.clone(),
            frames: self.frames.clone(),
            floor: self.floor,
            newest: self.newest,
            through: self.through,
        }
    }

    fn says_already(&self, draft: &Draft) -> bool {
        let place = draft.key.as_ref().and_then(|key| self.at.get(key));
        place
            .and_then(|place| self.frames.get(place))
            .is_some_and(|frame| frame.says(draft))
    }

    fn place(&mut self, place: Place, draft: Draft, seq: u64) {
        if let Some(key) = &draft.key
            && let Some(old) = self.at.insert(key.clone(), place)
        {
            self.lift(old);
        }
        let frame = draft.number(seq);
        if frame.stay == Stay::Passing {
            self.passing.insert(place);
            self.passing_bytes += frame.len();
        }
        self.frames.insert(place, Arc::new(frame));
    }

    fn lift(&mut self, place: Place) {
        if let Some(frame) = self.frames.remove(&place)
            && self.passing.remove(&place)
        {
            self.passing_bytes -= frame.len();
        }
    }

    fn make_room(&mut self) {
        while self.passing.len() > self.most_passing || self.passing_bytes > MOST_BYTES {
            let Some(oldest) = self.passing.first().copied() else {
                return;
            };
            self.lift(oldest);
            self.floor = self.floor.max(oldest);
        }
        // Keys whose frame has passed are forgotten, once there are more of them than frames.
        if self.at.len() > self.frames.len() + self.most_passing {
            self.at.retain(|_, place| self.frames.contains_key(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_api::dashboard::{Plane, Status, What};
    use aami_model::OrgId;

    use super::*;

    fn row(n: usize, status: &str) -> Draft {
        let what = What::Status(Status {
            status: status.into(),
            ..Status::default()
        });
        let key = Key::Node(format!("n{n}").parse().unwrap());
        Draft::new(Some(key), OrgId::default(), Stay::Row, Plane::State, &what)
    }

    fn event(text: &str) -> Draft {
        let what = What::Other(serde_json::json!({ "type": "x.y", "text": text }));
        Draft::new(None, OrgId::default(), Stay::Passing, Plane::State, &what)
    }

    #[test]
    fn a_row_has_one_frame_however_often_it_changes() {
        let mut board = Board::new("e", 100);
        board.lay(row(1, "online"));
        for seq in 101..2_000 {
            board.tell(seq, row(1, if seq % 2 == 0 { "online" } else { "offline" }));
        }
        let picture = board.picture();
        assert_eq!(picture.frames.len(), 1);
        assert_eq!((picture.newest, picture.floor), ((1_999, 0), (100, 0)));
        // What says the same is no news.
        board.tell(2_000, row(1, "offline"));
        assert_eq!(board.picture().newest, (1_999, 0));
    }

    #[test]
    fn what_passes_is_bounded_by_number_and_by_bytes_and_the_loss_is_known() {
        let mut board = Board::new("e", 0);
        board.lay(row(1, "online"));
        for seq in 1..=5_000 {
            board.tell(seq, event("x"));
        }
        let picture = board.picture();
        assert_eq!(picture.frames.len(), MOST_PASSING + 1);
        assert_eq!(picture.floor, (5_000 - MOST_PASSING as u64, 0));
        let large = "x".repeat(1024 * 1024);
        for seq in 5_001..5_041 {
            board.tell(seq, event(&large));
        }
        let bytes: usize = board.picture().frames.values().map(|frame| frame.len()).sum();
        assert!(bytes < MOST_BYTES + 1024, "{bytes}");
        assert!(board.passing_bytes + 1024 > bytes);
    }

    #[test]
    fn numbers_never_go_back() {
        let mut board = Board::new("e", 10);
        board.tell(64, row(1, "a"));
        board.tell(64, row(2, "a"));
        board.tell(60, row(3, "a"));
        board.reach(70);
        board.tell_live(row(4, "a"));
        let places: Vec<Place> = board.picture().frames.keys().copied().collect();
        assert_eq!(places, [(64, 0), (64, 1), (64, 2), (70, 3)]);
        assert_eq!(board.picture().newest, (70, 3));
    }
}
