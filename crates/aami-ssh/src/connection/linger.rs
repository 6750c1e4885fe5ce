//! How long a channel is listened to after its command's end.
//!
//! What the command had said may still be on its way then, and what it left running in the background may hold the
//! channel open for ever, silent or not. So silence is not waited out for long, and talk has an end as well.

use std::time::Duration;

use tokio::time::Instant;

/// How long it may be silent.
const SILENT: Duration = Duration::from_secs(2);
/// How long it is listened to in all, without the time that is taken to take it.
const ALL: Duration = Duration::from_secs(5);

/// The time after a command's end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linger {
    /// When silence has been long enough.
    silent: Instant,
    /// When it is enough in any case.
    all: Instant,
    /// How much longer whoever takes it may take in all.
    patience: Duration,
}

impl Linger {
    /// From now on; whoever takes what comes may take so long in all.
    pub(super) fn new(now: Instant, patience: Duration) -> Self {
        Self {
            silent: now + SILENT,
            all: now + ALL,
            patience,
        }
    }

    /// When it ends, if nothing more is heard.
    pub(super) fn until(self) -> Instant {
        self.silent.min(self.all)
    }

    /// Something came, and was taken by now. Out: when it ends now.
    pub(super) fn heard(&mut self, came: Instant, taken: Instant) -> Instant {
        // The host waits while it is taken, so that time is not the host's.
        let took = taken.saturating_duration_since(came).min(self.patience);
        self.patience -= took;
        self.all += took;
        self.silent = taken + SILENT;
        self.until()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn silence_ends_it_soon_and_talk_without_end_later() {
        let begin = Instant::now();
        let mut linger = Linger::new(begin, LIMIT);
        assert_eq!(linger.until(), begin + SILENT);
        // Given one that says something every second, when it goes on for ever, it has the same end.
        let mut now = begin;
        for _ in 0..100 {
            now += Duration::from_secs(1);
            linger.heard(now, now);
        }
        assert_eq!(linger.until(), begin + ALL);
    }

    #[test]
    fn whoever_takes_it_slowly_gets_all_of_it_and_cannot_take_for_ever() {
        let begin = Instant::now();
        let mut linger = Linger::new(begin, LIMIT);
        let mut now = begin;
        // Given pieces that wait for a slow taker, twenty seconds each,
        for _ in 0..3 {
            let came = now;
            now += Duration::from_secs(20);
            assert!(linger.heard(came, now) > now, "the next one is waited for");
        }
        // when the limit is used up, then no more time is given.
        let came = now;
        now += Duration::from_secs(20);
        assert!(linger.heard(came, now) < now);
        assert_eq!(linger.until(), begin + ALL + LIMIT);
    }
}
