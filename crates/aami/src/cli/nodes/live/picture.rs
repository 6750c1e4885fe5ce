//! What many nodes at work look like: as lines for a terminal, redrawn while things change, and as sentences that
//! stay. Pure: events and the time go in, text comes out.

use std::collections::BTreeSet;
use std::time::Duration;

use aami_ssh::Stream;
use aami_ssh::fanout::{Event, Fault, Outcome, Stop};

use crate::cli::table::harmless;

/// How long what a node says may be in its line; a terminal cuts it further.
const SAID: usize = 120;

/// A text that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stays {
    /// What a node said on standard output: data.
    Data(String),
    /// What a node said on standard error, and what went wrong.
    Complaint(String),
    /// Everything else.
    Remark(String),
}

/// How it stands on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Waiting,
    Running {
        attempt: u32,
        since: Duration,
        said: String,
    },
    Pausing {
        until: Duration,
        why: String,
    },
    Ok,
    Failed(String),
    NotDone(&'static str),
}

/// How it stands on all of them.
pub(super) struct Picture {
    names: Vec<String>,
    nodes: Vec<Standing>,
    /// When each was begun.
    begun: Vec<Option<Duration>>,
    /// Those that are neither waiting for their turn nor done, in the order of their names.
    busy: BTreeSet<usize>,
    ok: usize,
    failed: usize,
    not_done: usize,
    stopping: bool,
    /// Whether names stand before what nodes say, and how it stands is told in sentences.
    sentences: bool,
}

impl Picture {
    /// All of them wait. `sentences` for where lines are not redrawn.
    pub(super) fn new(names: &[String], sentences: bool) -> Self {
        Self {
            names: names.iter().map(|name| harmless(name)).collect(),
            nodes: vec![Standing::Waiting; names.len()],
            begun: vec![None; names.len()],
            busy: BTreeSet::new(),
            ok: 0,
            failed: 0,
            not_done: 0,
            stopping: false,
            sentences,
        }
    }

    /// Takes an event in. Out: what stays of it.
    pub(super) fn saw(&mut self, event: Event, now: Duration) -> Option<Stays> {
        match event {
            Event::Started { host, attempt } => {
                self.begun.get_mut(host)?.get_or_insert(now);
                self.put(
                    host,
                    Standing::Running {
                        attempt,
                        since: now,
                        said: String::new(),
                    },
                );
                None
            }
            Event::Progress { host, text } => {
                let text = harmless(&text);
                let line = self.sentence(host, now, &text);
                self.said(host, &text);
                line
            }
            Event::Line { host, stream, text } => {
                let text = harmless(&text);
                self.said(host, &text);
                let line = format!("{}: {text}", self.name(host));
                Some(match stream {
                    Stream::Stdout => Stays::Data(line),
                    Stream::Stderr => Stays::Complaint(line),
                })
            }
            Event::Retrying {
                host,
                attempt,
                after,
                fault,
            } => {
                let why = told(&fault);
                let line = format!(
                    "attempt {attempt} failed ({why}), the next one in {}",
                    seconds(after)
                );
                self.put(
                    host,
                    Standing::Pausing {
                        until: now + after,
                        why,
                    },
                );
                self.sentence(host, now, &line)
            }
            Event::NoLog { host, why } => Some(Stays::Complaint(format!(
                "{}: its log cannot be written: {}",
                self.name(host),
                harmless(&why)
            ))),
            Event::Cut { host } => Some(Stays::Complaint(format!(
                "{}: something was left running there that holds the output; what it says from now on is not shown",
                self.name(host)
            ))),
            Event::Parallel { hosts } => Some(Stays::Remark(format!(
                "congestion: {hosts} nodes at the same time from now on"
            )))
            .filter(|_| !self.stopping),
            Event::CanaryPassed { hosts } => Some(Stays::Remark(format!(
                "the first {hosts} {} went well; the others begin",
                if hosts == 1 { "node" } else { "nodes" }
            ))),
            Event::Stopping { why, left } => {
                self.stopping = true;
                Some(Stays::Remark(self.stopping(why, left)))
            }
            Event::Ended { host, outcome } => self.ended(host, &outcome, now),
        }
    }

    fn stopping(&self, why: Stop, left: usize) -> String {
        let running = self.busy.len();
        match why {
            Stop::Told => format!(
                "stopping: {running} nodes that were begun are finished, {left} are not begun; Ctrl-C again cuts off \
                 what runs"
            ),
            Stop::Canary | Stop::Failures(_) => {
                format!("{why}: {running} are finished, {left} are not begun")
            }
        }
    }

    fn ended(&mut self, host: usize, outcome: &Outcome, now: Duration) -> Option<Stays> {
        let took = self
            .begun
            .get(host)
            .copied()
            .flatten()
            .map(|begun| now.saturating_sub(begun));
        let (standing, line) = match outcome {
            Outcome::Ok => {
                self.ok += 1;
                (
                    Standing::Ok,
                    format!("ok ({})", seconds(took.unwrap_or_default())),
                )
            }
            Outcome::Failed(fault) => {
                self.failed += 1;
                let why = told(fault);
                (Standing::Failed(why.clone()), why)
            }
            Outcome::NotStarted(_) => {
                self.not_done += 1;
                // These are told together.
                self.put(host, Standing::NotDone("not started"));
                return None;
            }
            Outcome::Interrupted => {
                self.not_done += 1;
                (Standing::NotDone("cut off"), "cut off in the middle".to_owned())
            }
        };
        self.put(host, standing);
        let failed = matches!(outcome, Outcome::Failed(_));
        match self.sentence(host, now, &line) {
            Some(Stays::Remark(sentence)) if failed => Some(Stays::Complaint(sentence)),
            Some(sentence) => Some(sentence),
            // It stays, for on a terminal with many nodes its line is gone soon.
            None if failed => Some(Stays::Complaint(format!("{}: {line}", self.name(host)))),
            None => None,
        }
    }

    /// A sentence about a node, where there are sentences.
    fn sentence(&self, host: usize, now: Duration, text: &str) -> Option<Stays> {
        self.sentences
            .then(|| Stays::Remark(format!("[{:>5}] {}: {text}", seconds(now), self.name(host))))
    }

    fn said(&mut self, host: usize, text: &str) {
        if let Some(Standing::Running { said, .. }) = self.nodes.get_mut(host) {
            *said = text.chars().take(SAID).collect();
        }
    }

    fn put(&mut self, host: usize, standing: Standing) {
        if let Some(node) = self.nodes.get_mut(host) {
            match standing {
                Standing::Running { .. } | Standing::Pausing { .. } => self.busy.insert(host),
                Standing::Waiting | Standing::Ok | Standing::Failed(_) | Standing::NotDone(_) => {
                    self.busy.remove(&host)
                }
            };
            *node = standing;
        }
    }

    fn name(&self, host: usize) -> &str {
        self.names.get(host).map_or("?", String::as_str)
    }

    /// The lines as they are now, at most `height`: one for each node where that fits, else for those that are busy;
    /// the last one counts.
    pub(super) fn lines(&self, height: usize, now: Duration) -> Vec<String> {
        let room = height.saturating_sub(1);
        let shown: Vec<usize> = if self.names.len() <= room {
            (0..self.names.len()).collect()
        } else {
            self.busy.iter().copied().take(room).collect()
        };
        let width = shown
            .iter()
            .map(|host| self.name(*host).chars().count())
            .max()
            .unwrap_or(0);
        let mut lines: Vec<String> = shown.iter().map(|host| self.line(*host, width, now)).collect();
        lines.push(self.total(shown.len(), now));
        lines
    }

    fn line(&self, host: usize, width: usize, now: Duration) -> String {
        let name = self.name(host);
        match &self.nodes[host] {
            Standing::Waiting => format!("· {name:width$}  waiting"),
            Standing::Running { attempt, since, said } => {
                let again = if *attempt > 1 {
                    format!(", attempt {attempt}")
                } else {
                    String::new()
                };
                let took = seconds(now.saturating_sub(*since));
                let said = if said.is_empty() { "running" } else { said };
                format!("{} {name:width$}  {took:>5}{again}  {said}", turning(now))
            }
            Standing::Pausing { until, why } => {
                format!(
                    "… {name:width$}  again in {}: {why}",
                    seconds(until.saturating_sub(now))
                )
            }
            Standing::Ok => format!("✓ {name:width$}  ok"),
            Standing::Failed(why) => format!("✗ {name:width$}  {why}"),
            Standing::NotDone(how) => format!("- {name:width$}  {how}"),
        }
    }

    fn total(&self, shown: usize, now: Duration) -> String {
        let all = self.names.len();
        let done = self.ok + self.failed + self.not_done;
        let mut text = format!("{done}/{all} nodes, {} ok", self.ok);
        for (count, what) in [(self.failed, "failed"), (self.not_done, "not done")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        let hidden = self.busy.len().saturating_sub(shown);
        if shown < all && hidden > 0 {
            text.push_str(&format!(", {hidden} more at work"));
        }
        text.push_str(&format!("  {}", seconds(now)));
        text
    }
}

fn told(fault: &Fault) -> String {
    format!("{} {}", fault.code.id(), harmless(&fault.sentence))
}

/// `3.2 s`, `75 s`, `12 min`.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        whole @ 10..600 => format!("{whole} s"),
        whole => format!("{} min", whole / 60),
    }
}

/// A sign of life.
fn turning(now: Duration) -> char {
    const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    usize::try_from(now.as_millis() / 100)
        .ok()
        .and_then(|turn| FRAMES.get(turn % FRAMES.len()).copied())
        .unwrap_or('⠋')
}

#[cfg(test)]
mod tests;
