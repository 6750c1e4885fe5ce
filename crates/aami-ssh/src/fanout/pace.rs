//! How many at once: less when there is congestion, and slowly more again.

use std::time::Duration;

/// Counts how attempts went and says how many may run at the same time.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    most: usize,
    allowed: usize,
    /// Attempts begun before this were begun at the old pace, and say nothing of the present one.
    since: Duration,
    congested: usize,
    fine: usize,
}

impl Pace {
    /// The share of attempts that may meet congestion: one host that is busy by itself slows nobody else.
    const ONE_IN: usize = 10;

    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            allowed: most,
            since: Duration::ZERO,
            congested: 0,
            fine: 0,
        }
    }

    pub(super) const fn allowed(&self) -> usize {
        self.allowed
    }

    /// An attempt that began then met congestion. Half as many from now on, where it was no exception.
    pub(super) fn met_congestion(&mut self, began: Duration, now: Duration) {
        if began < self.since {
            return;
        }
        self.congested += 1;
        // Two at least: nothing is learned from one.
        if self.congested >= 2 && self.congested * Self::ONE_IN > self.congested + self.fine {
            self.allowed = (self.allowed / 2).max(1);
            self.turn(now);
        }
    }

    /// An attempt that began then met none. After as many of them as run at once, a tenth more.
    pub(super) fn met_none(&mut self, began: Duration) {
        if began < self.since {
            return;
        }
        self.fine += 1;
        if self.fine >= self.allowed && self.congested * Self::ONE_IN <= self.congested + self.fine {
            let more = (self.most / 10).max(1);
            self.allowed = (self.allowed + more).min(self.most);
            (self.congested, self.fine) = (0, 0);
        }
    }

    const fn turn(&mut self, now: Duration) {
        (self.congested, self.fine) = (0, 0);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_busy_host_slows_nobody_else() {
        let mut pace = Pace::new(100);
        for _ in 0..20 {
            pace.met_congestion(at(1), at(2));
            for _ in 0..50 {
                pace.met_none(at(1));
            }
        }
        assert_eq!(pace.allowed(), 100);
    }

    #[test]
    fn congestion_halves_once_for_all_who_began_together() {
        let mut pace = Pace::new(100);
        for _ in 0..100 {
            pace.met_congestion(at(1), at(2));
        }
        assert_eq!(pace.allowed(), 50);
        for _ in 0..2 {
            pace.met_congestion(at(3), at(4));
        }
        assert_eq!(pace.allowed(), 25);
        for round in 5..40 {
            pace.met_congestion(at(round), at(round));
            pace.met_congestion(at(round), at(round));
        }
        assert_eq!(pace.allowed(), 1, "somebody may always try");
    }

    #[test]
    fn the_pace_comes_back() {
        let mut pace = Pace::new(100);
        pace.met_congestion(at(1), at(2));
        pace.met_congestion(at(1), at(2));
        assert_eq!(pace.allowed(), 50);
        for _ in 0..50 {
            pace.met_none(at(3));
        }
        assert_eq!(pace.allowed(), 60);
        for _ in 0..1_000 {
            pace.met_none(at(3));
        }
        assert_eq!(pace.allowed(), 100);
    }
}
