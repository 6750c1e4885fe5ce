//! One thing that happened, and how such are asked for.

use std::fmt;

use aami_model::{OrgId, Timestamp};
use bytes::Bytes;

use super::MOST_APPENDED;

/// What a record is about. Each kind has its own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A fact that happened.
    Event,
    /// Who changed what.
    Audit,
    /// The tail of what a step of a run printed.
    StepLog,
    /// An attempt to tell somebody of an event.
    Delivery,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Event, Self::Audit, Self::StepLog, Self::Delivery];

    /// Its name, as it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Audit => "audit",
            Self::StepLog => "step_log",
            Self::Delivery => "delivery",
        }
    }
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// Its number: unique within its kind, ascending, not dense.
    pub seq: u64,
    /// When it happened, by the clock of whoever noticed.
    pub at: Timestamp,
    /// Whose it is.
    pub org: OrgId,
    /// The id of what it happened to: a node, a run, a webhook.
    pub subject: String,
    /// The rest, as a JSON document. This room does not read it.
    pub json: Bytes,
}

// The document is long, and what a step printed is nobody's business but the reader's.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, bytes) = (self.kind.name(), self.json.len());
        write!(
            f,
            "{kind} {} at {} of {}/{} ({bytes} bytes)",
            self.seq, self.at, self.org, self.subject
        )
    }
}

/// The largest document of one record, in bytes: a step log's tail, escaped at its worst, and its frame.
pub(super) const LARGEST: usize = 512 * 1024;

/// Where a page begins and in which direction it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Numbers greater than this one, ascending.
    After(u64),
    /// Numbers less than this one, descending. `u64::MAX` begins with the newest.
    Before(u64),
}

/// Which records are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Of this kind.
    pub kind: Kind,
    /// From here on.
    pub reading: Reading,
    /// At most so many.
    pub limit: usize,
    /// Only of these organisations; `None` for all, none of them when empty.
    pub orgs: Option<Vec<OrgId>>,
    /// Only about this.
    pub subject: Option<String>,
}

impl HistoryQuery {
    /// All of a kind, `limit` (1 to [`MOST_APPENDED`]) at a time.
    pub fn new(kind: Kind, reading: Reading, limit: usize) -> Self {
        Self {
            kind,
            reading,
            limit: limit.clamp(1, MOST_APPENDED),
            orgs: None,
            subject: None,
        }
    }

    /// Only records of these organisations.
    #[must_use]
    pub fn of(mut self, orgs: Vec<OrgId>) -> Self {
        self.orgs = Some(orgs);
        self
    }

    /// Only records about this.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    pub(super) fn wants(&self, record: &Record) -> bool {
        self.orgs.as_ref().is_none_or(|orgs| orgs.contains(&record.org))
            && self
                .subject
                .as_ref()
                .is_none_or(|subject| *subject == record.subject)
    }
}

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// In the order asked for. May be fewer than asked for while more follow.
    pub records: Vec<Record>,
    /// How to go on; `None` when there was no more. Who waits for new ones goes on after the last.
    pub next: Option<Reading>,
    /// Of the records up to this number some were pruned or never came. Who read on from less has missed something.
    pub pruned: u64,
}

/// Gathers records until a page is full: by count, or by bytes.
pub(super) struct Gathering {
    records: Vec<Record>,
    bytes: usize,
    limit: usize,
}

impl Gathering {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            limit: limit.clamp(1, MOST_APPENDED),
        }
    }

    /// Takes a record; refuses it when the page is full without it.
    pub(super) fn offer(&mut self, record: Record) -> bool {
        const PAGE_BYTES: usize = 2 * 1024 * 1024;
        let full = self.records.len() >= self.limit
            || (!self.records.is_empty() && self.bytes + record.json.len() > PAGE_BYTES);
        if !full {
            self.bytes += record.json.len();
            self.records.push(record);
        }
        !full
    }

    pub(super) fn finish(self, reading: Reading, more: bool, pruned: u64) -> HistoryPage {
        let next = self.records.last().filter(|_| more).map(|last| match reading {
            Reading::After(_) => Reading::After(last.seq),
            Reading::Before(_) => Reading::Before(last.seq),
        });
        HistoryPage {
            records: self.records,
            next,
            pruned,
        }
    }
}

/// How much of a step's log is kept here, in bytes. The whole of it stays on the node.
pub const STEP_LOG_TAIL: usize = 64 * 1024;

/// The end of a log that is kept: at most [`STEP_LOG_TAIL`] bytes, beginning with a whole line, or with
/// a whole character when the last line alone is longer.
pub fn step_log_tail(log: &str) -> &str {
    let Some(cut) = log.len().checked_sub(STEP_LOG_TAIL).filter(|cut| *cut > 0) else {
        return log;
    };
    let start = (cut..log.len())
        .find(|at| log.is_char_boundary(*at))
        .unwrap_or(log.len());
    let tail = &log[start..];
    if log[..start].ends_with('\n') {
        return tail;
    }
    match tail.find('\n') {
        Some(end) if end + 1 < tail.len() => &tail[end + 1..],
        _ => tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_is_kept_whole() {
        assert_eq!(step_log_tail("one\ntwo"), "one\ntwo");
        assert_eq!(step_log_tail(""), "");
    }

    #[test]
    fn a_long_log_keeps_whole_lines_of_its_end() {
        // Given lines of ten bytes, more than are kept
        let log: String = (0..10_000).map(|n| format!("line {n:04}\n")).collect();
        let tail = step_log_tail(&log);
        assert!(
            tail.len() <= STEP_LOG_TAIL && tail.len() > STEP_LOG_TAIL - 10,
            "{} bytes",
            tail.len()
        );
        assert!(tail.starts_with("line ") && tail.ends_with("line 9999\n"));
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let log = "ä".repeat(STEP_LOG_TAIL) + "x\n";
        let tail = step_log_tail(&log);
        assert!(tail.len() <= STEP_LOG_TAIL && tail.len() >= STEP_LOG_TAIL - 1 && tail.ends_with("äx\n"));
    }
}
