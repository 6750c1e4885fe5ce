//! How far things are, told at most once a second each and so many a second in all. Pure: time comes in as a value.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aami_model::RunId;
use aami_model::run::{RunEvent, RunEventKind};
use serde::{Deserialize, Serialize};

/// How often one subject is told.
const EVERY: Duration = Duration::from_secs(1);
/// How many are told each second in all. Where more want to, each waits longer.
const A_SECOND: f64 = 200.0;
/// How many subjects are remembered.
const MOST: usize = 20_000;
const LONGEST_MESSAGE: usize = 200;

/// How far a step is, as its installer said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fraction {
    pub(crate) step: String,
    pub(crate) thousandths: u16,
    pub(crate) message: String,
}

impl Fraction {
    /// What a stranger says of a step: a number that is one, and one line.
    pub(super) fn new(step: &str, fraction: f64, message: &str) -> Self {
        let whole = if fraction.is_finite() {
            fraction.clamp(0.0, 1.0) * 1000.0
        } else {
            0.0
        };
        Self {
            step: step.to_owned(),
            // It is between 0 and 1000.
            thousandths: whole as u16,
            message: message
                .chars()
                .filter(|c| !c.is_control())
                .take(LONGEST_MESSAGE)
                .collect(),
        }
    }

    /// The last one in a report.
    pub(crate) fn last_of(events: &[RunEvent]) -> Option<Self> {
        events.iter().rev().find_map(|event| match &event.kind {
            RunEventKind::StepProgress {
                step,
                fraction,
                message,
            } => Some(Self::new(step, *fraction, message)),
            _ => None,
        })
    }

    /// The same, as it would be here had it been reported here.
    pub(crate) fn checked(&self) -> Self {
        Self::new(&self.step, f64::from(self.thousandths) / 1000.0, &self.message)
    }
}

/// The fractions of the runs at work.
#[derive(Debug, Default)]
pub(super) struct Fractions(HashMap<RunId, Fraction>);

impl Fractions {
    pub(super) fn note(&mut self, run: &RunId, fraction: Fraction) {
        if self.0.len() < MOST || self.0.contains_key(run) {
            self.0.insert(run.clone(), fraction);
        }
    }

    pub(super) fn of(&self, run: &RunId) -> Option<Fraction> {
        self.0.get(run).cloned()
    }

    pub(super) fn forget(&mut self, run: &RunId) {
        self.0.remove(run);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whose progress is to be told, and when.
#[derive(Debug)]
pub(super) struct Pace {
    due: BTreeSet<(Duration, RunId)>,
    /// When each may be told again; due already where it is in `due`.
    next: HashMap<RunId, Duration>,
    left: f64,
    at: Duration,
}

impl Pace {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            due: BTreeSet::new(),
            next: HashMap::new(),
            left: A_SECOND,
            at: now,
        }
    }

    /// There is news of a run.
    pub(super) fn ask(&mut self, run: &RunId, now: Duration) {
        // Room is made when runs end; what more there is shows its status only.
        if self.next.len() >= MOST && !self.next.contains_key(run) {
            return;
        }
        let at = *self.next.entry(run.clone()).or_insert(now);
        self.due.insert((at, run.clone()));
    }

    /// The runs whose time has come.
    pub(super) fn take(&mut self, now: Duration) -> Vec<RunId> {
        let since = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + since * A_SECOND).min(A_SECOND);
        self.at = now;
        let mut taken = Vec::new();
        while self.left >= 1.0
            && let Some((at, run)) = self.due.pop_first()
        {
            if at > now {
                self.due.insert((at, run));
                break;
            }
            self.left -= 1.0;
            self.next.insert(run.clone(), now + EVERY);
            taken.push(run);
        }
        taken
    }

    /// How long until the next one's time has come.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        let (at, _) = self.due.first()?;
        let budget = if self.left >= 1.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64((1.0 - self.left) / A_SECOND)
        };
        Some(at.saturating_sub(now).max(budget))
    }

    /// A run is over.
    pub(super) fn forget(&mut self, run: &RunId) {
        if let Some(at) = self.next.remove(run) {
            self.due.remove(&(at, run.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> RunId {
        format!("r{n}").parse().unwrap()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn one_subject_is_told_at_once_and_then_once_a_second() {
        let mut pace = Pace::new(ms(0));
        let mut told = Vec::new();
        for at in (0..5_000).step_by(10) {
            pace.ask(&id(1), ms(at));
            told.extend(pace.take(ms(at)).into_iter().map(|_| at));
        }
        assert_eq!(told, [0, 1_000, 2_000, 3_000, 4_000]);
        // What was asked last is told even when nothing follows.
        assert_eq!(pace.wait(ms(4_990)), Some(ms(10)));
        assert_eq!(pace.take(ms(5_000)), [id(1)]);
        assert_eq!((pace.take(ms(9_000)), pace.wait(ms(9_000))), (vec![], None));
    }

    #[test]
    fn many_wait_for_one_another_and_none_is_forgotten() {
        let mut pace = Pace::new(ms(0));
        (0..1_000).for_each(|n| pace.ask(&id(n), ms(0)));
        let mut told = BTreeSet::new();
        let mut seconds = 0;
        while let Some(wait) = pace.wait(ms(seconds * 1_000)) {
            assert!(wait <= ms(10), "{wait:?}");
            let taken = pace.take(ms(seconds * 1_000));
            assert!(taken.len() <= 200);
            told.extend(taken);
            seconds += 1;
        }
        assert_eq!((told.len(), seconds), (1_000, 5));
    }

    #[test]
    fn what_is_over_is_not_told_any_more_and_memory_stays_bounded() {
        let mut pace = Pace::new(ms(0));
        pace.ask(&id(1), ms(0));
        pace.forget(&id(1));
        assert_eq!((pace.take(ms(0)), pace.wait(ms(0))), (vec![], None));
        (0..30_000).for_each(|n| pace.ask(&id(n), ms(0)));
        assert!(pace.next.len() <= MOST && pace.due.len() <= MOST);
        for (fraction, thousandths) in [
            (0.5, 500),
            (-1.0, 0),
            (7.0, 1000),
            (f64::NAN, 0),
            (f64::INFINITY, 0),
        ] {
            assert_eq!(Fraction::new("s", fraction, "a\nb").thousandths, thousandths);
        }
        assert_eq!(Fraction::new("s", 0.0, "a\nb").message, "ab");
    }
}
