//! Many hosts at once: what is done on them, in which order, and what became of each.
//!
//! - [`Fanout`] is one such undertaking: which [`Limits`] it keeps, who is told ([`Event`]), where what hosts say is
//!   kept ([`Keep`], [`Logs`]), what can be resumed ([`Journal`]). [`Fanout::run`] does it and answers a [`Report`].
//! - [`schedule`] decides who may start, who tries again and when it is enough: a state machine without a clock, a
//!   socket or a thread of its own.
//! - [`Report::summary`] tells a thousand hosts in a few lines, [`Report::alike`] groups those that said the same.
//!
//! What is done on a host is a function of [`Turn`] and [`Output`], so nothing here knows of SSH but the classes of
//! its errors. Nothing here prints, and no wait is without an end.

mod backoff;
mod brake;
mod drive;
mod event;
mod fault;
mod journal;
mod kept;
mod logs;
mod output;
mod pace;
mod report;
mod run;
pub mod schedule;
mod summary;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use brake::{Brake, Braked, Pull, brake};
pub use event::{Event, Outcome, Stop};
pub use fault::Fault;
pub use journal::{Journal, JournalError, Left};
pub use kept::Text;
pub use logs::{LogFolder, Logs};
pub use output::{Keep, Output};
pub use report::{HostReport, Report};
pub use run::{Fanout, Turn};
pub use summary::{Alike, Summary};

/// How much at once, for how long, how often, and when it is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many hosts at the same time.
    pub max_parallel: usize,
    /// How long one host may take, from its first attempt to the end of its last, pauses in between included, but
    /// not the time it waits for a place.
    pub deadline: Duration,
    /// How often a host is tried in all.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles with each further one.
    pub backoff_base: Duration,
    /// No pause is longer.
    pub backoff_max: Duration,
    /// The first so many hosts go before all others; if one of them fails, the others are not touched.
    pub canary: usize,
    /// Once more than this share of all hosts failed, no further ones are begun.
    pub stop_above: Option<Percent>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_parallel: 50,
            deadline: Duration::from_secs(20 * 60),
            attempts: 3,
            backoff_base: Duration::from_secs(2),
            backoff_max: Duration::from_secs(30),
            canary: 0,
            stop_above: None,
        }
    }
}

/// A share from 0 to 100 in the hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// Fails above 100.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 100 { Some(Self(number)) } else { None }
    }

    /// Whether `part` is more than this share of `whole`.
    pub(crate) fn exceeded_by(self, part: usize, whole: usize) -> bool {
        part as u128 * 100 > u128::from(self.0) * whole as u128
    }
}

/// `5` or `5%`.
impl FromStr for Percent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse()
            .ok()
            .filter(|_| plain)
            .and_then(Self::new)
            .ok_or("a share is a whole number from 0 to 100, such as 5%")
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

#[cfg(test)]
mod tests;
