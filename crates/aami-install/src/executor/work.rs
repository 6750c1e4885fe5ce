//! One step of a run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use aami_model::code;
use aami_model::run::{RunEventKind, StepOutcome, StepStatus};

use super::report::Verdict;
use crate::context::{Shared, StepContext, Survey};
use crate::step::{Probe, Step, StepError};
use crate::undo::millis;

/// Probes a step; a panic in it is its failure.
pub(super) fn probe(step: &dyn Step, survey: Survey<'_>) -> Result<Probe, StepError> {
    caught(step.id(), || step.probe(&survey))
}

/// Brings one step to its end. `early` is what the probe in the beginning said, `again` whether it
/// must be asked once more.
pub(super) fn step(
    step: &dyn Step,
    shared: &Shared<'_>,
    early: &Result<Probe, StepError>,
    again: bool,
) -> Verdict {
    let host = shared.host;
    let started = host.clock.elapsed();
    let survey = Survey::new(shared);
    let probed = match early {
        Ok(found) if !again => Ok(found.clone()),
        // What could not be probed in the beginning may be clear now.
        _ => probe(step, survey),
    };
    let mut begun = false;
    let outcome = match probed {
        Ok(Probe::NotApplicable(why)) => {
            emit(
                shared,
                RunEventKind::StepNote {
                    step: step.id().to_owned(),
                    message: why,
                    warning: false,
                },
            );
            Ok(StepOutcome::NotApplicable)
        }
        Ok(Probe::Holds) => claim(step, shared).map(|()| StepOutcome::AlreadySo),
        Ok(Probe::Missing(_)) => {
            begun = true;
            begin(step, shared);
            let mut context = StepContext::new(shared, step.id());
            caught(step.id(), || step.apply(&mut context))
        }
        Err(error) => Err(error),
    };
    let duration_ms = millis(host.clock.elapsed().saturating_sub(started));
    match outcome {
        Ok(outcome) => {
            let note = |state: &mut crate::state::StepState, now| {
                if begun || state.status != StepStatus::Completed {
                    state.completed_at = Some(now);
                }
                state.status = StepStatus::Completed;
                state.error = None;
            };
            shared.ledger().note(host, step.id(), note);
            emit(
                shared,
                RunEventKind::StepCompleted {
                    step: step.id().to_owned(),
                    outcome,
                    duration_ms,
                },
            );
            Verdict::Ended(outcome)
        }
        Err(error) => failed(step, shared, error, duration_ms),
    }
}

fn failed(step: &dyn Step, shared: &Shared<'_>, error: StepError, duration_ms: u64) -> Verdict {
    let verdict = Verdict::from(error);
    if let Verdict::Failed { code, message, hint } = &verdict {
        shared.ledger().note(shared.host, step.id(), |state, _| {
            state.status = StepStatus::Failed;
            state.error = Some(format!("{}: {message}", code.symbol));
        });
        let (step, code) = (step.id().to_owned(), code.symbol.to_owned());
        let (message, hint) = (message.clone(), hint.clone());
        emit(
            shared,
            RunEventKind::StepFailed {
                step,
                code,
                message,
                hint,
                details: BTreeMap::new(),
                duration_ms,
            },
        );
    }
    verdict
}

fn begin(step: &dyn Step, shared: &Shared<'_>) {
    let mut ledger = shared.ledger();
    let attempt = ledger.attempts(step.id()).saturating_add(1);
    ledger.note(shared.host, step.id(), |state, now| {
        state.status = StepStatus::InProgress;
        state.started_at = Some(now);
        state.completed_at = None;
        state.attempts = attempt;
        state.error = None;
    });
    drop(ledger);
    emit(
        shared,
        RunEventKind::StepStarted {
            step: step.id().to_owned(),
            attempt,
        },
    );
}

/// A step that holds because another plan of ours made it so: its share is recorded, so that
/// uninstalling the other leaves it.
fn claim(step: &dyn Step, shared: &Shared<'_>) -> Result<(), StepError> {
    let effects = step.desired(&Survey::new(shared)).unwrap_or_default();
    let mut ledger = shared.ledger();
    effects.iter().for_each(|effect| ledger.confirm(&effect.key()));
    let unclaimed = effects.iter().any(|effect| ledger.unclaimed(effect));
    drop(ledger);
    if unclaimed {
        StepContext::new(shared, step.id()).perform(&effects)?;
    }
    Ok(())
}

fn caught<T>(id: &str, work: impl FnOnce() -> Result<T, StepError>) -> Result<T, StepError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(StepError::new(
            code::STEP_FAILED,
            format!("the step {id} broke off: {text}"),
        ))
    })
}

fn emit(shared: &Shared<'_>, kind: RunEventKind) {
    shared.stream.emit(shared.host, kind);
}
