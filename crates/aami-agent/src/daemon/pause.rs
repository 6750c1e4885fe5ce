//! How long to stay away from the control plane. Ten thousand nodes lose it in the same second; none of them may
//! come back in the same one.

use std::time::Duration;

/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(300);
/// What the first pause after a failure is drawn from; doubled with each.
const FIRST: Duration = Duration::from_secs(2);
/// No pause is shorter, so that a control plane that accepts and drops is not asked without end.
const SHORTEST: Duration = Duration::from_millis(250);
/// What a node that was refused waits at least, and as much again at most on top.
const RARELY: Duration = Duration::from_secs(900);
/// No control plane spreads a return over more.
const WIDEST_SPREAD: Duration = Duration::from_secs(600);

/// A number from 0 up to 1.
pub(super) type Random<'a> = &'a mut dyn FnMut() -> f64;

/// How often it failed in a row, and over how long the control plane wants returns spread.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pauses {
    failures: u32,
    spread: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            failures: 0,
            spread: Duration::from_secs(10),
        }
    }
}

impl Pauses {
    /// What the control plane said about a return after a loss.
    pub(super) fn spread_over(&mut self, spread: Duration) {
        self.spread = spread.min(WIDEST_SPREAD);
    }

    /// The connection stood long enough to count.
    pub(super) const fn forget(&mut self) {
        self.failures = 0;
    }

    /// After a connection was lost or could not be made: first within the spread, then ever longer.
    pub(super) fn next(&mut self, random: Random<'_>) -> Duration {
        let most = match self.failures {
            0 => self.spread,
            n => FIRST.saturating_mul(1 << n.min(10)).min(LONGEST),
        };
        self.failures = self.failures.saturating_add(1);
        most.mul_f64(random()).max(SHORTEST)
    }

    /// After a drain: within its own spread.
    pub(super) fn drained(&mut self, spread: Duration, random: Random<'_>) -> Duration {
        self.failures = 0;
        spread.min(WIDEST_SPREAD).mul_f64(random()).max(SHORTEST)
    }

    /// After a refusal that time alone does not change.
    pub(super) fn refused(random: Random<'_>) -> Duration {
        RARELY + RARELY.mul_f64(random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_return_is_within_the_spread_and_the_next_ones_ever_further_up_to_five_minutes() {
        let mut pauses = Pauses::default();
        pauses.spread_over(Duration::from_secs(40));
        let mut most = || 0.999_999;
        let drawn: Vec<u64> = (0..12).map(|_| pauses.next(&mut most).as_secs()).collect();
        assert_eq!(drawn[..4], [39, 3, 7, 15]);
        assert_eq!(drawn.last(), Some(&299));
        pauses.forget();
        assert_eq!(pauses.next(&mut most).as_secs(), 39);
    }

    #[test]
    fn no_pause_is_nothing_and_no_spread_is_boundless() {
        let mut pauses = Pauses::default();
        let mut least = || 0.0;
        assert_eq!(pauses.next(&mut least), SHORTEST);
        pauses.spread_over(Duration::from_secs(u64::from(u32::MAX)));
        let mut most = || 0.999;
        pauses.forget();
        assert!(pauses.next(&mut most) <= WIDEST_SPREAD);
        assert!(pauses.drained(Duration::MAX, &mut most) <= WIDEST_SPREAD);
    }

    #[test]
    fn who_was_refused_asks_once_in_a_quarter_of_an_hour_at_most() {
        assert_eq!(Pauses::refused(&mut || 0.0), RARELY);
        assert!(Pauses::refused(&mut || 0.999) < RARELY * 2);
    }
}
