//! Watchers that cut a run off: a process killed at the n-th checkpoint, a disk full from the n-th
//! write on.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::checkpoint::{Act, Watch};

/// Kills at one checkpoint: from then on nothing more can be changed, not even to clean up.
#[derive(Debug)]
pub struct CutOff {
    at: u64,
    seen: AtomicU64,
    dead: AtomicBool,
    passed: Mutex<Vec<(Act, String)>>,
}

impl CutOff {
    /// Kills at the checkpoint with this number, counted from 0.
    pub const fn at(at: u64) -> Self {
        Self {
            at,
            seen: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            passed: Mutex::new(Vec::new()),
        }
    }

    /// Never kills, only counts.
    pub const fn never() -> Self {
        Self::at(u64::MAX)
    }

    /// Whether it has killed.
    pub fn has_killed(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Every checkpoint passed so far, the one it killed at last.
    pub fn passed(&self) -> Vec<(Act, String)> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watch for CutOff {
    fn at(&self, act: Act, subject: &str) -> io::Result<()> {
        let killed = || Err(io::Error::other("killed"));
        if self.has_killed() {
            return killed();
        }
        self.passed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((act, subject.to_owned()));
        if self.seen.fetch_add(1, Ordering::SeqCst) == self.at {
            self.dead.store(true, Ordering::SeqCst);
            return killed();
        }
        Ok(())
    }
}

/// A disk with room for so many writes and no more. Names can still be given and removed.
#[derive(Debug)]
pub struct FullDisk {
    room: u64,
    seen: AtomicU64,
}

impl FullDisk {
    /// Room for `room` writes.
    pub const fn after(room: u64) -> Self {
        Self {
            room,
            seen: AtomicU64::new(0),
        }
    }

    /// Whether somebody was refused.
    pub fn was_hit(&self) -> bool {
        self.seen.load(Ordering::SeqCst) > self.room
    }
}

impl Watch for FullDisk {
    fn at(&self, act: Act, _subject: &str) -> io::Result<()> {
        if act.takes_space() && self.seen.fetch_add(1, Ordering::SeqCst) >= self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}
