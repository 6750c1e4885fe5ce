//! Whether a node's clock is right, by what its heartbeats say. One that was held up on its way seems to come from a
//! clock that is behind, so of each minute the best counts.

use std::time::Duration;

use crate::app::connections::Off;

/// How long is listened before it is judged.
const MINUTE: Duration = Duration::from_secs(60);

/// What was heard since it was judged last.
pub(super) struct Clock {
    since: Duration,
    best: Option<Off>,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self {
            since: Duration::ZERO,
            best: None,
        }
    }

    /// Takes what a heartbeat said; answers how far the clock is off, once a minute.
    pub(super) fn take(&mut self, off: Off, now: Duration) -> Option<Off> {
        let Some(best) = self.best else {
            (self.since, self.best) = (now, Some(off));
            return None;
        };
        let best = best.min(off);
        let is_over = now.saturating_sub(self.since) >= MINUTE;
        self.best = (!is_over).then_some(best);
        is_over.then_some(best)
    }
}

#[cfg(test)]
mod tests {
    use aami_model::Timestamp;

    use super::*;

    /// What is judged of heartbeats, each with when it is heard and what it says, in seconds.
    fn judged(heard: &[(u64, i64)]) -> Vec<Off> {
        let mut clock = Clock::new();
        let heard = heard.iter().filter_map(|(at, says)| {
            let now = Timestamp::EPOCH.plus(Duration::from_secs(*at));
            clock.take(
                Off::of(Timestamp::from_millis(says * 1000), now),
                Duration::from_secs(*at),
            )
        });
        heard.collect()
    }

    fn off(seconds: i64) -> Off {
        let base = Timestamp::from_millis(1_000_000);
        Off::of(Timestamp::from_millis(1_000_000 + seconds * 1000), base)
    }

    #[test]
    fn a_clock_that_is_off_is_found_within_two_minutes() {
        let ahead: Vec<_> = (1..8).map(|n| (n * 30, n as i64 * 30 + 100)).collect();
        assert_eq!(judged(&ahead), [off(100), off(100)]);
        let behind: Vec<_> = (10..14).map(|n| (n * 30, n as i64 * 30 - 100)).collect();
        assert_eq!(judged(&behind), [off(-100)]);
    }

    #[test]
    fn heartbeats_that_were_held_up_are_no_fault_of_the_clocks() {
        // Three waited while the control plane stood still, and are heard at once.
        let heard = [
            (10, 10),
            (400, 100),
            (400, 130),
            (400, 160),
            (430, 430),
            (460, 460),
            (490, 490),
        ];
        assert_eq!(judged(&heard), [off(0), off(0)]);
        // Those that begin a minute are judged by what follows them.
        assert_eq!(judged(&heard[1..]), [off(0)]);
    }
}
