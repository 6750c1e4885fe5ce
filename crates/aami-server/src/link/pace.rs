//! How fast a node may speak: what is too fast waits, so that the network holds it back.

use std::time::Duration;

/// How many frames a second, and how many at once.
const RATE: f64 = 50.0;
const BURST: f64 = 200.0;
/// A large frame counts as one for every so many bytes.
const PIECE: f64 = 16.0 * 1024.0;

/// A bucket of frames.
pub(super) struct Pace {
    left: f64,
    at: Duration,
}

impl Pace {
    pub(super) const fn new(now: Duration) -> Self {
        Self { left: BURST, at: now }
    }

    /// Takes a frame of so many bytes; answers how long to wait before it is dealt with.
    pub(super) fn take(&mut self, bytes: usize, now: Duration) -> Duration {
        let since = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + since * RATE).min(BURST);
        self.at = now;
        // No frame is so large that the number would not fit.
        self.left -= 1.0 + f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / PIECE;
        if self.left >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.left / RATE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_speaks_too_fast_is_held_back_to_the_rate() {
        let mut pace = Pace::new(Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..1_200 {
            now += pace.take(100, now);
        }
        // The burst is free; the other thousand come at fifty a second.
        assert!((19..=22).contains(&now.as_secs()), "{now:?}");
        // After a rest it may speak at once again.
        now += Duration::from_secs(10);
        assert_eq!(pace.take(100, now), Duration::ZERO);
        // A megabyte counts as many.
        assert!(pace.take(1024 * 1024, now) == Duration::ZERO);
    }
}
