//! Durations on the command line: `24h`, `1h30m`.

use std::str::FromStr;

/// A duration in whole seconds, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u64);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        aami_model::exporter::parse_duration(text)
            .map(|millis| millis / 1_000)
            .filter(|seconds| *seconds > 0)
            .map(Self)
            .ok_or("a duration is a number with d, h, m or s, such as 24h or 1h30m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_whole_seconds() {
        assert_eq!("24h".parse(), Ok(Seconds(86_400)));
        assert_eq!("1h30m".parse(), Ok(Seconds(5_400)));
        for text in ["", "24", "0s", "5ms", "-1h"] {
            assert!(text.parse::<Seconds>().is_err(), "{text:?}");
        }
    }
}
