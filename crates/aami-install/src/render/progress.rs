//! How far a run is, folded from its events.

use std::time::Duration;

use aami_model::Timestamp;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome};

/// How far a run is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The plan.
    pub plan: String,
    /// When the run began.
    pub started_at: Option<Timestamp>,
    /// When the latest event was.
    pub updated_at: Option<Timestamp>,
    /// Its steps, in order.
    pub steps: Vec<StepView>,
    /// How it ended, once it has.
    pub ended: Option<(RunStatus, Duration)>,
}

/// How far a step is.
#[derive(Debug, Clone)]
pub struct StepView {
    /// Its id.
    pub id: String,
    /// What people read.
    pub title: String,
    /// Where it is.
    pub stage: Stage,
    /// What it said, in order.
    pub lines: Vec<Line>,
    /// How long it took, once it ended.
    pub took: Option<Duration>,
    /// How often it was begun, by this run and those before; 0 where this run has not begun it.
    pub attempts: u32,
}

/// Where a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Not begun.
    Waiting,
    /// At work: how far, 0.0 to 1.0, and on what.
    Running(f64, String),
    /// It holds.
    Ended(StepOutcome),
    /// It failed: code, sentence, hint.
    Failed(String, String, String),
}

/// Something a step said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub text: String,
    /// Whether it should worry the reader.
    pub warning: bool,
}

impl Progress {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event in. Events about steps that were never announced are passed over.
    pub fn take(&mut self, event: &RunEvent) {
        self.updated_at = Some(event.at);
        match &event.kind {
            RunEventKind::RunStarted { plan, steps } => {
                let view = |step: &aami_model::run::StepSummary| StepView {
                    id: step.id.clone(),
                    title: step.title.clone(),
                    stage: Stage::Waiting,
                    lines: Vec::new(),
                    took: None,
                    attempts: 0,
                };
                let steps = steps.iter().map(view).collect();
                *self = Self {
                    plan: plan.clone(),
                    started_at: Some(event.at),
                    updated_at: Some(event.at),
                    steps,
                    ended: None,
                };
            }
            RunEventKind::StepStarted { step, attempt } => self.change(step, |view| {
                view.stage = Stage::Running(0.0, String::new());
                view.attempts = *attempt;
            }),
            RunEventKind::StepProgress {
                step,
                fraction,
                message,
            } => {
                self.change(step, |view| {
                    view.stage = Stage::Running(*fraction, message.clone())
                });
            }
            RunEventKind::StepNote {
                step,
                message,
                warning,
            } => {
                let line = Line {
                    text: message.clone(),
                    warning: *warning,
                };
                self.change(step, |view| view.lines.push(line));
            }
            RunEventKind::StepCompleted {
                step,
                outcome,
                duration_ms,
            } => self.change(step, |view| {
                view.stage = Stage::Ended(*outcome);
                view.took = Some(Duration::from_millis(*duration_ms));
            }),
            RunEventKind::StepFailed {
                step,
                code,
                message,
                hint,
                duration_ms,
                ..
            } => self.change(step, |view| {
                view.stage = Stage::Failed(code.clone(), message.clone(), hint.clone());
                view.took = Some(Duration::from_millis(*duration_ms));
            }),
            RunEventKind::RunFinished { status, duration_ms } => {
                self.ended = Some((*status, Duration::from_millis(*duration_ms)));
            }
        }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut StepView)) {
        if let Some(view) = self.steps.iter_mut().find(|step| step.id == id) {
            change(view);
        }
    }

    /// The step's number as people count, and how many there are.
    pub(super) fn number(&self, id: &str) -> Option<(usize, usize)> {
        let at = self.steps.iter().position(|step| step.id == id)?;
        Some((at + 1, self.steps.len()))
    }
}

/// `320 ms`, `4.2 s`, `3 min 05 s`.
pub(super) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}
