//! Whether the loops move. One that hangs stops the watchdog from being fed, and the service manager starts the
//! daemon anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::command::LONGEST_COMMAND;

/// When a loop was last at its beginning, and how long one turn of it may take.
#[derive(Debug)]
pub(in super::super) struct Pulse {
    last: AtomicU64,
    longest: Duration,
}

impl Pulse {
    const fn new(longest: Duration) -> Self {
        Self {
            last: AtomicU64::new(0),
            longest,
        }
    }

    /// The loop is at its beginning.
    pub(in super::super) fn beat(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn is_beating(&self, now: Duration) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.saturating_sub(last) <= self.longest
    }
}

/// Those of all loops.
#[derive(Debug)]
pub(in super::super) struct Pulses {
    /// Whether there is a control plane, so that the link, its commands and rules are at work at all.
    has_uplink: bool,
    /// A turn may take as long as looking up a name and opening a connection.
    pub(in super::super) link: Pulse,
    /// A turn may take as long as all vendor tools together.
    pub(in super::super) watch: Pulse,
    pub(in super::super) kernel: Pulse,
    /// A turn may take as long as a command.
    pub(in super::super) command: Pulse,
    /// A turn may take as long as a slow Prometheus, several times.
    pub(in super::super) rules: Pulse,
}

impl Pulses {
    /// Of a daemon with or without a control plane.
    pub(in super::super) fn of(has_uplink: bool) -> Self {
        Self {
            has_uplink,
            link: Pulse::new(Duration::from_secs(150)),
            watch: Pulse::new(Duration::from_secs(400)),
            kernel: Pulse::new(Duration::from_secs(150)),
            command: Pulse::new(LONGEST_COMMAND + Duration::from_secs(150)),
            rules: Pulse::new(Duration::from_secs(400)),
        }
    }

    /// Whether every loop moves that there is.
    pub(in super::super) fn all_beat(&self, now: Duration) -> bool {
        let of_link = [&self.link, &self.command, &self.rules]
            .into_iter()
            .filter(|_| self.has_uplink);
        let mut all = of_link.chain([&self.watch, &self.kernel]);
        all.all(|pulse| pulse.is_beating(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_hangs_is_enough() {
        let pulses = Pulses::of(true);
        let later = LONGEST_COMMAND * 2;
        assert!(pulses.all_beat(Duration::from_secs(1)));
        let loops = [
            &pulses.link,
            &pulses.watch,
            &pulses.kernel,
            &pulses.command,
            &pulses.rules,
        ];
        for hangs in loops {
            for pulse in loops {
                pulse.beat(later);
            }
            assert!(pulses.all_beat(later));
            hangs.beat(Duration::ZERO);
            assert!(!pulses.all_beat(later), "{hangs:?}");
        }
    }

    #[test]
    fn loops_that_are_not_there_are_not_missed() {
        let pulses = Pulses::of(false);
        let later = LONGEST_COMMAND * 2;
        assert!(!pulses.all_beat(later));
        pulses.watch.beat(later);
        pulses.kernel.beat(later);
        assert!(pulses.all_beat(later));
    }
}
