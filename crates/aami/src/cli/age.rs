//! How long ago something was, short enough for a column.

use std::time::Duration;

use aami_model::Timestamp;

/// `5s`, `3m`, `2h`, `4d`; what is still to come counts as `0s`.
pub(crate) fn age(now: Timestamp, at: Timestamp) -> String {
    short(now.since(at))
}

/// How long until `at`; `-` when it is past.
pub(crate) fn left(now: Timestamp, at: Timestamp) -> String {
    if at <= now {
        "-".to_owned()
    } else {
        short(at.since(now))
    }
}

/// A duration in its largest whole unit.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_unit_that_still_tells_something() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_800, "2d"),
        ] {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
        let now = Timestamp::from_millis(10_000);
        assert_eq!(age(now, Timestamp::from_millis(60_000)), "0s");
        assert_eq!(left(now, now), "-");
    }
}
