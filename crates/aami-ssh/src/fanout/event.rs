//! What happens, as it happens, for whoever draws it. Hosts are numbers: their place in the list of names.

use std::fmt;
use std::time::Duration;

use super::{Fault, Percent};
use crate::Stream;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An attempt begins.
    Started {
        /// Where.
        host: usize,
        /// Which one, from 1.
        attempt: u32,
    },
    /// What the work says of how far it is.
    Progress {
        /// Where.
        host: usize,
        /// In a few words.
        text: String,
    },
    /// A line of what the host said; a very long one comes in pieces.
    Line {
        /// Where.
        host: usize,
        /// From which stream.
        stream: Stream,
        /// The line without its end. It may hold control characters.
        text: String,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// Where.
        host: usize,
        /// Which one failed, from 1.
        attempt: u32,
        /// The pause.
        after: Duration,
        /// Why it failed.
        fault: Fault,
    },
    /// Its log cannot be written; the work goes on.
    NoLog {
        /// Where.
        host: usize,
        /// The system's words.
        why: String,
    },
    /// The command has ended there, and something it left running holds its output: that is not waited for.
    Cut {
        /// Where.
        host: usize,
    },
    /// From now on so many at once, because of congestion or its end.
    Parallel {
        /// How many.
        hosts: usize,
    },
    /// Every canary went well; the others begin.
    CanaryPassed {
        /// How many there were.
        hosts: usize,
    },
    /// No host is begun any more.
    Stopping {
        /// Why.
        why: Stop,
        /// How many were not begun.
        left: usize,
    },
    /// A host is done with, once for each.
    Ended {
        /// Where.
        host: usize,
        /// How.
        outcome: Outcome,
    },
}

/// How it ended on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Ok,
    /// Not; no attempt is left, or none could help.
    Failed(Fault),
    /// It was never begun.
    NotStarted(Stop),
    /// It was cut off in the middle.
    Interrupted,
}

impl Outcome {
    /// Whether all is done there.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// Why no host is begun any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// The brake was pulled.
    Told,
    /// A canary failed.
    Canary,
    /// More hosts than this share failed.
    Failures(Percent),
}

/// After "not started: ".
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told => f.write_str("stopped before their turn"),
            Self::Canary => f.write_str("stopped because one of the first hosts failed"),
            Self::Failures(share) => write!(f, "stopped because more than {share} of the hosts failed"),
        }
    }
}
