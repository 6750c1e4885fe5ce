//! How a run came out.

use aami_model::run::{RunStatus, StepOutcome};
use aami_model::{Code, Exit, code};

use crate::effect::{Described, EffectError};
use crate::path::HostPath;
use crate::step::StepError;

/// How one step came out.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It holds.
    Ended(StepOutcome),
    /// It failed.
    Failed {
        /// The condition.
        code: Code,
        /// One sentence.
        message: String,
        /// What to do next.
        hint: String,
    },
    /// The run was called off in the middle of it.
    Interrupted,
    /// The run ended before it began.
    NotBegun,
}

/// One step of a run that ended.
#[derive(Debug, Clone)]
pub struct StepReport {
    /// Its id.
    pub id: String,
    /// How it came out.
    pub verdict: Verdict,
}

/// A run that ended.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// Completed, failed or interrupted.
    pub status: RunStatus,
    /// Every step, in the order of the plan.
    pub steps: Vec<StepReport>,
    /// Every effect that was brought about, in the order it was.
    pub executed: Vec<Described>,
    /// Whether anything was written on the host, the plan's own memory included.
    pub wrote: bool,
    /// Where a receipt that could not be read lies now.
    pub set_aside: Option<HostPath>,
    /// Why the run as a whole failed, where no step did.
    failure: Option<(Code, String)>,
}

impl RunReport {
    pub(super) fn of(steps: Vec<StepReport>) -> Self {
        let any = |wanted: fn(&Verdict) -> bool| steps.iter().any(|step| wanted(&step.verdict));
        let status = if any(|verdict| matches!(verdict, Verdict::Failed { .. })) {
            RunStatus::Failed
        } else if any(|verdict| matches!(verdict, Verdict::Interrupted | Verdict::NotBegun)) {
            RunStatus::Interrupted
        } else {
            RunStatus::Completed
        };
        Self {
            status,
            steps,
            executed: Vec::new(),
            wrote: false,
            set_aside: None,
            failure: None,
        }
    }

    pub(super) fn fail_whole(&mut self, error: &EffectError) {
        self.status = RunStatus::Failed;
        self.failure = Some((error.code(), error.to_string()));
    }

    /// The condition to end with and its sentence; `None` when every step holds.
    pub fn failure(&self) -> Option<(Code, String)> {
        let failed = self.steps.iter().find_map(|step| match &step.verdict {
            Verdict::Failed { code, message, .. } => Some((*code, message.clone())),
            _ => None,
        });
        failed.or_else(|| self.failure.clone()).or_else(|| {
            let interrupted = self.status == RunStatus::Interrupted;
            interrupted.then(|| (code::INTERRUPTED, self.how_far()))
        })
    }

    /// Where a run that was called off has come to.
    fn how_far(&self) -> String {
        let at = |wanted: fn(&Verdict) -> bool| self.steps.iter().find(|step| wanted(&step.verdict));
        let place = match at(|verdict| matches!(verdict, Verdict::Interrupted)) {
            Some(step) => format!("in the step {}", step.id),
            None => at(|verdict| matches!(verdict, Verdict::NotBegun))
                .map_or_else(String::new, |step| format!("before the step {}", step.id)),
        };
        let ended = |step: &&StepReport| matches!(step.verdict, Verdict::Ended(_));
        let (through, all) = (self.steps.iter().filter(ended).count(), self.steps.len());
        format!(
            "the run was interrupted {place}, with {through} of {all} steps through; what it changed is recorded"
        )
    }

    /// How a command that ran this ends.
    pub fn exit(&self) -> Exit {
        self.failure().map_or(Exit::Ok, |(code, _)| code.exit)
    }
}

impl From<StepError> for Verdict {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Interrupted => Self::Interrupted,
            other => Self::Failed {
                code: other.code(),
                message: sentence(&other),
                hint: other.hint(),
            },
        }
    }
}

/// The error and what caused it, once each, on one line.
fn sentence(error: &StepError) -> String {
    let mut all = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let text = next.to_string();
        if !all.contains(&text) {
            all.push_str(": ");
            all.push_str(&text);
        }
        cause = next.source();
    }
    all
}
