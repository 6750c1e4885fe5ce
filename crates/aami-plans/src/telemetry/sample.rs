//! What a run's events are as numbers.
//!
//! The families are those of the textfile and of `/metrics`: `aami_install_step_status` (0 pending, 1 in
//! progress, 2 completed, 3 failed), `aami_install_step_attempts`, `aami_install_step_duration_seconds`,
//! `aami_install_progress_ratio` and `aami_install_started_timestamp`.

use aami_model::Timestamp;
use aami_model::run::{RunEvent, RunEventKind, StepStatus};

use super::About;

/// One number with the time at which it was true.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The family.
    pub name: &'static str,
    /// The step it is about, where it is about one.
    pub step: Option<String>,
    /// The plan.
    pub plan: String,
    /// The number.
    pub value: f64,
    /// When it was true.
    pub at: Timestamp,
}

pub(super) const STATUS: &str = "aami_install_step_status";
pub(super) const ATTEMPTS: &str = "aami_install_step_attempts";
pub(super) const DURATION: &str = "aami_install_step_duration_seconds";
pub(super) const PROGRESS: &str = "aami_install_progress_ratio";
pub(super) const STARTED: &str = "aami_install_started_timestamp";

/// What each family means and its unit (UCUM), for those who want to be told.
pub(super) const FAMILIES: [(&str, &str, &str); 5] = [
    (
        STATUS,
        "How a step of the last run stands: 0 pending, 1 in progress, 2 completed, 3 failed.",
        "1",
    ),
    (ATTEMPTS, "Which try of the step the last run made.", "1"),
    (DURATION, "How long a step of the last run took.", "s"),
    (PROGRESS, "The share of the last run's steps that hold.", "1"),
    (STARTED, "When the last run began, in seconds since 1970.", "s"),
];

impl Sample {
    /// Its labels, in the order of their names; an empty one is none.
    pub(super) fn labels<'a>(&'a self, about: &'a About) -> Vec<(&'static str, &'a str)> {
        [
            ("cluster", about.cluster.as_str()),
            ("host", about.host.as_str()),
            ("plan", self.plan.as_str()),
            ("step", self.step.as_deref().unwrap_or_default()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
    }
}

/// How a run stands, in numbers.
#[derive(Debug, Default)]
pub(super) struct Standing {
    plan: String,
    started_at: Option<Timestamp>,
    steps: Vec<Step>,
    ended: bool,
}

#[derive(Debug)]
struct Step {
    id: String,
    status: StepStatus,
    attempts: u32,
    took_ms: Option<u64>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds and counts of a run are far below 2^53"
)]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

const fn number(status: StepStatus) -> f64 {
    match status {
        StepStatus::Pending => 0.0,
        StepStatus::InProgress => 1.0,
        StepStatus::Completed => 2.0,
        StepStatus::Failed => 3.0,
    }
}

impl Standing {
    /// Takes an event in; answers with the numbers it changed.
    pub(super) fn take(&mut self, event: &RunEvent) -> Vec<Sample> {
        match &event.kind {
            RunEventKind::RunStarted { plan, steps } => {
                *self = Self {
                    plan: plan.clone(),
                    started_at: Some(event.at),
                    steps: steps
                        .iter()
                        .map(|step| Step {
                            id: step.id.clone(),
                            status: StepStatus::Pending,
                            attempts: 0,
                            took_ms: None,
                        })
                        .collect(),
                    ended: false,
                };
                self.all(event.at)
            }
            RunEventKind::StepStarted { step, attempt } => self.step(step, event.at, |step| {
                (step.status, step.attempts, step.took_ms) = (StepStatus::InProgress, *attempt, None);
            }),
            RunEventKind::StepCompleted {
                step, duration_ms, ..
            } => self.step(step, event.at, |step| {
                (step.status, step.took_ms) = (StepStatus::Completed, Some(*duration_ms));
            }),
            RunEventKind::StepFailed {
                step, duration_ms, ..
            } => self.step(step, event.at, |step| {
                (step.status, step.took_ms) = (StepStatus::Failed, Some(*duration_ms));
            }),
            RunEventKind::RunFinished { .. } => {
                self.ended = true;
                self.all(event.at)
            }
            RunEventKind::StepProgress { .. } | RunEventKind::StepNote { .. } => Vec::new(),
        }
    }

    /// Whether a run is at work.
    pub(super) const fn is_at_work(&self) -> bool {
        self.started_at.is_some() && !self.ended
    }

    fn step(&mut self, id: &str, at: Timestamp, change: impl FnOnce(&mut Step)) -> Vec<Sample> {
        let Some(index) = self.steps.iter().position(|step| step.id == id) else {
            return Vec::new();
        };
        change(&mut self.steps[index]);
        let mut samples = self.of_step(&self.steps[index], at);
        samples.push(self.progress(at));
        samples
    }

    /// Everything there is to tell, as of `at`.
    pub(super) fn all(&self, at: Timestamp) -> Vec<Sample> {
        let Some(started) = self.started_at else {
            return Vec::new();
        };
        let started = seconds(u64::try_from(started.millis()).unwrap_or(0));
        let mut samples = vec![self.sample(STARTED, None, started, at), self.progress(at)];
        samples.extend(self.steps.iter().flat_map(|step| self.of_step(step, at)));
        samples
    }

    fn of_step(&self, step: &Step, at: Timestamp) -> Vec<Sample> {
        let of = |name, value| self.sample(name, Some(&step.id), value, at);
        let mut samples = vec![
            of(STATUS, number(step.status)),
            of(ATTEMPTS, f64::from(step.attempts)),
        ];
        samples.extend(step.took_ms.map(|millis| of(DURATION, seconds(millis))));
        samples
    }

    fn progress(&self, at: Timestamp) -> Sample {
        let count = |steps: usize| f64::from(u32::try_from(steps).unwrap_or(u32::MAX));
        let held = self
            .steps
            .iter()
            .filter(|step| step.status == StepStatus::Completed);
        let share = count(held.count()) / count(self.steps.len().max(1));
        self.sample(PROGRESS, None, share, at)
    }

    fn sample(&self, name: &'static str, step: Option<&str>, value: f64, at: Timestamp) -> Sample {
        Sample {
            name,
            step: step.map(str::to_owned),
            plan: self.plan.clone(),
            value,
            at,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use aami_model::run::{RunStatus, StepOutcome, StepSummary};

    use super::*;

    /// A run of two steps, of which the second fails; one event a second from 1970 on.
    pub(in crate::telemetry) fn a_run() -> Vec<RunEvent> {
        let step = |id: &str| StepSummary {
            id: id.into(),
            title: id.into(),
        };
        let kinds = vec![
            RunEventKind::RunStarted {
                plan: "node".into(),
                steps: vec![step("a"), step("b")],
            },
            RunEventKind::StepStarted {
                step: "a".into(),
                attempt: 1,
            },
            RunEventKind::StepCompleted {
                step: "a".into(),
                outcome: StepOutcome::Changed,
                duration_ms: 250,
            },
            RunEventKind::StepStarted {
                step: "b".into(),
                attempt: 2,
            },
            RunEventKind::StepFailed {
                step: "b".into(),
                code: "DISK_FULL".into(),
                message: "no room".into(),
                hint: String::new(),
                duration_ms: 1_500,
            },
            RunEventKind::RunFinished {
                status: RunStatus::Failed,
                duration_ms: 2_000,
            },
        ];
        (1..)
            .zip(kinds)
            .map(|(seq, kind)| RunEvent {
                seq,
                at: Timestamp::from_millis(i64::try_from(seq).unwrap() * 1_000),
                kind,
            })
            .collect()
    }

    #[test]
    fn each_event_tells_the_numbers_it_changed() {
        let mut standing = Standing::default();
        let mut told = Vec::new();
        for event in a_run() {
            for sample in standing.take(&event) {
                assert_eq!(sample.at, event.at);
                let step = sample.step.clone().unwrap_or_default();
                told.push((event.seq, sample.name, step, sample.value));
            }
        }
        for wanted in [
            (1, STARTED, "", 1.0),
            (1, STATUS, "b", 0.0),
            (2, STATUS, "a", 1.0),
            (3, STATUS, "a", 2.0),
            (3, DURATION, "a", 0.25),
            (3, PROGRESS, "", 0.5),
            (4, ATTEMPTS, "b", 2.0),
            (5, STATUS, "b", 3.0),
            (6, STATUS, "a", 2.0),
            (6, DURATION, "b", 1.5),
        ] {
            let (seq, name, step, value) = wanted;
            assert!(
                told.contains(&(seq, name, step.to_owned(), value)),
                "{wanted:?} is missing"
            );
        }
        assert!(!standing.is_at_work());
    }
}
