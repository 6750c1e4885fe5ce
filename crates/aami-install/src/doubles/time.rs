//! A clock that moves only when it is waited for, and randomness that repeats.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aami_model::Timestamp;

use crate::host::{Clock, Random};

/// A clock that stands still but for [`Clock::wait`].
#[derive(Debug, Default)]
pub struct StillClock {
    waited: Mutex<Duration>,
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        // 2026-11-20T12:00:00Z, when nobody has waited yet.
        Timestamp::from_millis(1_795_176_000_000).plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        *self
            .waited
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait(&self, duration: Duration) {
        *self
            .waited
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) += duration;
    }
}

/// The same bytes in the same order every time.
#[derive(Debug, Default)]
pub struct Sequence(AtomicU64);

impl Random for Sequence {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        for byte in bytes {
            // The high bits of a Weyl sequence: no cryptography, only no pattern a reader trips over.
            let n = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            *byte = (n >> 56) as u8;
        }
        Ok(())
    }
}
