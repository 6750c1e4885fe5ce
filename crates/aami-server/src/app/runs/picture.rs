//! What is kept of a run: each event a stranger reports is taken into the picture, and what failed is read from it.

use std::collections::BTreeMap;

use aami_model::Timestamp;
use aami_model::run::{self, Outcome, RunEvent, RunEventKind, RunStatus, RunTrigger, StepTrigger};
use serde_json::{Value, json};

use crate::view::document::{RunDocument, StepDocument};

const MOST_STEPS: usize = 64;
/// How many details of a failure are told.
const MOST_DETAILS: usize = 16;

/// One line of a stranger's text, kept short.
fn line(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect()
}

/// Takes one event into the picture of a run, or says why it cannot be true. Unknown steps are ignored: the plan said
/// which there are.
pub(super) fn absorb(run: &mut RunDocument, event: &RunEvent, now: Timestamp) -> Result<(), run::Refusal> {
    let was = run.status;
    if let Outcome::Moved(to) = run::next(was, RunTrigger::of(&event.kind))? {
        run.status = to;
    }
    let find = |run: &mut RunDocument, id: &str| run.steps.iter().position(|step| step.id == id);
    match &event.kind {
        RunEventKind::RunStarted { plan, steps } => {
            run.plan = Some(line(plan, 64));
            // The script fetches the agent, which goes on in the same run with steps of its own.
            if was != RunStatus::Running || run.started_at.is_none() {
                run.started_at = Some(event.at);
            }
            for step in steps {
                let id = line(&step.id, 64);
                if run.steps.len() < MOST_STEPS && run.steps.iter().all(|known| known.id != id) {
                    run.steps.push(StepDocument {
                        id,
                        title: line(&step.title, 120),
                        ..StepDocument::default()
                    });
                }
            }
        }
        RunEventKind::StepStarted { step, attempt } => {
            if let Some(at) = find(run, step) {
                let step = &mut run.steps[at];
                step.take(StepTrigger::Begun);
                step.attempts = *attempt;
                step.started_at = Some(event.at);
                (step.duration_ms, step.outcome) = (None, None);
            }
        }
        RunEventKind::StepCompleted {
            step,
            outcome,
            duration_ms,
        } => {
            if let Some(at) = find(run, step) {
                let step = &mut run.steps[at];
                step.take(StepTrigger::Completed);
                (step.outcome, step.duration_ms, step.error) = (Some(*outcome), Some(*duration_ms), None);
                step.details.clear();
            }
        }
        RunEventKind::StepFailed {
            step,
            code,
            message,
            details,
            duration_ms,
            ..
        } => {
            if let Some(at) = find(run, step) {
                let step = &mut run.steps[at];
                step.take(StepTrigger::Failed);
                step.duration_ms = Some(*duration_ms);
                step.error = Some(format!("{}: {}", line(code, 64), line(message, 500)));
                step.details = few(details);
            }
        }
        RunEventKind::RunFinished { .. }
        | RunEventKind::StepProgress { .. }
        | RunEventKind::StepNote { .. } => {}
    }
    run.last_event = event.seq;
    run.updated_at = now;
    Ok(())
}

impl StepDocument {
    fn take(&mut self, trigger: StepTrigger) {
        if let Outcome::Moved(to) = self.status.next(trigger) {
            self.status = to;
        }
    }
}

/// What failed: the step that did, else what was just reported of no step of the plan.
pub(super) struct Failure {
    step: String,
    code: String,
    message: String,
    details: BTreeMap<String, String>,
}

impl Failure {
    pub(super) fn of(run: &RunDocument, reported: &[RunEvent]) -> Self {
        let in_step = run.steps.iter().find_map(|step| {
            let (code, message) = step.error.as_deref()?.split_once(": ")?;
            Some((
                step.id.clone(),
                code.to_owned(),
                message.to_owned(),
                step.details.clone(),
            ))
        });
        let elsewhere = || {
            reported.iter().rev().find_map(|event| match &event.kind {
                RunEventKind::StepFailed {
                    step,
                    code,
                    message,
                    details,
                    ..
                } => Some((line(step, 64), line(code, 64), line(message, 500), few(details))),
                _ => None,
            })
        };
        let (step, code, message, details) = in_step.or_else(elsewhere).unwrap_or_else(|| {
            let message = "the installation ended without saying why".to_owned();
            (
                String::new(),
                "INSTALLATION_FAILED".to_owned(),
                message,
                BTreeMap::new(),
            )
        });
        Self {
            step,
            code,
            message,
            details,
        }
    }

    pub(super) fn sentence(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }

    /// Adds it to what is told: the error as receivers compare it, and beside it the step it was in.
    pub(super) fn tell(&self, data: &mut Value) {
        data["error"] = json!({ "code": self.code, "message": self.message, "details": self.details });
        data["step"] = json!(self.step);
    }
}

/// A stranger's details, few and short.
fn few(details: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let short = |(name, value): (&String, &String)| (line(name, 64), line(value, 500));
    details.iter().take(MOST_DETAILS).map(short).collect()
}
