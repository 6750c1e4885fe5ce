//! A duration as Prometheus writes it, kept as it was written.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aami_model::exporter::parse_duration;

/// A Prometheus duration: `15d`, `1h30m`, `0s`. What was written is what is handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromDuration {
    text: String,
    millis: u64,
}

/// Why a text is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a number with y, w, d, h, m, s or ms, larger units first, such as 15d or 1h30m")]
pub struct NotADuration;

impl PromDuration {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How long it is.
    pub const fn duration(&self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

impl FromStr for PromDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        // Years and weeks, which come first, are Prometheus' as well; the rest is read where every duration is.
        let mut rest = text;
        let mut millis = 0_u64;
        for (unit, length) in [('y', 365 * 86_400_000_u64), ('w', 7 * 86_400_000)] {
            if let Some((number, after)) = rest.split_once(unit) {
                if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(NotADuration);
                }
                let number: u64 = number.parse().map_err(|_| NotADuration)?;
                millis = number
                    .checked_mul(length)
                    .and_then(|more| millis.checked_add(more))
                    .ok_or(NotADuration)?;
                rest = after;
            }
        }
        if !rest.is_empty() {
            millis = parse_duration(rest)
                .and_then(|more| millis.checked_add(more))
                .ok_or(NotADuration)?;
        } else if text.is_empty() {
            return Err(NotADuration);
        }
        Ok(Self {
            text: text.to_owned(),
            millis,
        })
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_prometheus_own() {
        for (text, millis) in [
            ("15d", 15 * 86_400_000),
            ("1y2w3d", (365 + 14 + 3) * 86_400_000),
            ("2w", 14 * 86_400_000),
            ("0s", 0),
            ("500ms", 500),
        ] {
            let read: PromDuration = text.parse().unwrap();
            assert_eq!(read.duration(), Duration::from_millis(millis), "{text}");
            assert_eq!(read.to_string(), text);
        }
        for text in [
            "",
            "15",
            "d",
            "1w1y",
            "1d1w",
            "-1d",
            "1.5h",
            "99999999999999999999y",
            "1 d",
            "y",
        ] {
            assert_eq!(text.parse::<PromDuration>(), Err(NotADuration), "{text:?}");
        }
    }
}
