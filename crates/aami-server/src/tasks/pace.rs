//! By which clock the history is pruned. A clock that jumped years ahead must not cost every record at once.

use std::time::Duration;

use aami_model::Timestamp;

/// How far the clock may be ahead of the newest record and still be believed at a start: a control plane may
/// have been switched off, or had nothing to tell, for a while.
const AGREES: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far the clock may run ahead of the time that has passed since.
const SLACK: Duration = Duration::from_secs(3600);

/// A moment on the clock that was believed, and how long this process had run then.
#[derive(Debug, Default)]
pub(super) struct Pace {
    believed: Option<(Timestamp, Duration)>,
}

impl Pace {
    /// The time to prune by, which is never after `now`; and whether the clock is not believed. At first it must
    /// agree with the `newest` record there is; from then on it must go on no faster than time, `ran` being how
    /// long this process has.
    pub(super) fn judge(
        &mut self,
        now: Timestamp,
        newest: Option<Timestamp>,
        ran: Duration,
    ) -> (Timestamp, bool) {
        let (anchor, then) = *self.believed.get_or_insert_with(|| match newest {
            Some(newest) if now.since(newest) > AGREES => (newest, ran),
            _ => (now, ran),
        });
        let latest = anchor.plus(ran.saturating_sub(then)).plus(SLACK);
        if now > latest {
            (latest, true)
        } else {
            (now, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn day(number: u32) -> Timestamp {
        Timestamp::EPOCH.plus(DAY * number)
    }

    #[test]
    fn a_clock_that_agrees_is_believed_and_goes_on() {
        let mut pace = Pace::default();
        assert_eq!(
            pace.judge(day(100), Some(day(99)), Duration::ZERO),
            (day(100), false)
        );
        assert_eq!(pace.judge(day(130), Some(day(130)), DAY * 30), (day(130), false));
        assert_eq!(
            Pace::default().judge(day(100), None, Duration::ZERO),
            (day(100), false)
        );
    }

    #[test]
    fn a_clock_years_ahead_at_a_start_prunes_by_the_newest_record() {
        let mut pace = Pace::default();
        assert_eq!(
            pace.judge(day(5_000), Some(day(100)), Duration::ZERO),
            (day(100).plus(SLACK), true)
        );
        // What is written meanwhile carries the wrong time, and changes nothing.
        assert_eq!(
            pace.judge(day(5_001), Some(day(5_001)), DAY),
            (day(101).plus(SLACK), true)
        );
        // Once it is set right it is believed again.
        assert_eq!(pace.judge(day(102), Some(day(5_001)), DAY * 2), (day(102), false));
    }

    #[test]
    fn a_jump_in_the_middle_is_not_followed() {
        let mut pace = Pace::default();
        pace.judge(day(100), Some(day(100)), Duration::ZERO);
        assert_eq!(
            pace.judge(day(5_000), Some(day(100)), DAY),
            (day(101).plus(SLACK), true)
        );
        // Back is always allowed: less is pruned.
        assert_eq!(pace.judge(day(50), Some(day(100)), DAY), (day(50), false));
    }
}
