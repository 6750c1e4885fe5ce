//! Which step runs when: each after those it needs, independent ones at the same time, none after
//! the first failure.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use aami_model::run::StepOutcome;

use super::report::{RunReport, StepReport, Verdict};
use super::work;
use crate::context::{Shared, Survey};
use crate::plan::Plan;
use crate::step::{Probe, StepError};

/// Where a step is in a run.
enum Place {
    Waiting,
    Running,
    Ended(Verdict),
}

struct Board {
    places: Vec<Place>,
    stopped: bool,
}

/// Probes every step, then runs those that do not hold with at most `parallel` at once.
pub(super) fn run(plan: &Plan, shared: &Shared<'_>, parallel: usize) -> RunReport {
    let probes: Vec<_> = plan
        .steps()
        .iter()
        .map(|step| {
            if shared.cancel.is_cancelled() {
                Err(StepError::Interrupted)
            } else {
                work::probe(step.as_ref(), Survey::new(shared))
            }
        })
        .collect();
    let places = plan.steps().iter().map(|_| Place::Waiting).collect();
    let board = (
        Mutex::new(Board {
            places,
            stopped: false,
        }),
        Condvar::new(),
    );
    std::thread::scope(|scope| {
        for _ in 1..parallel.min(plan.steps().len()) {
            scope.spawn(|| worker(plan, shared, &probes, &board));
        }
        worker(plan, shared, &probes, &board);
    });
    let places = board
        .0
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .places;
    let reports = plan.steps().iter().zip(places).map(|(step, place)| StepReport {
        id: step.id().to_owned(),
        verdict: match place {
            Place::Ended(verdict) => verdict,
            Place::Waiting | Place::Running => Verdict::NotBegun,
        },
    });
    RunReport::of(reports.collect())
}

fn locked(board: &(Mutex<Board>, Condvar)) -> MutexGuard<'_, Board> {
    board.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn worker(
    plan: &Plan,
    shared: &Shared<'_>,
    probes: &[Result<Probe, StepError>],
    board: &(Mutex<Board>, Condvar),
) {
    while let Some((at, again)) = next(plan, shared, board) {
        let verdict = work::step(plan.steps()[at].as_ref(), shared, &probes[at], again);
        let mut board_now = locked(board);
        board_now.stopped |= !matches!(verdict, Verdict::Ended(_));
        board_now.places[at] = Place::Ended(verdict);
        board.1.notify_all();
    }
}

/// Whether a step that this one needs, or one that that needs, changed something in this run.
fn is_after_a_change(plan: &Plan, places: &[Place], at: usize) -> bool {
    let changed = |need: usize| matches!(places[need], Place::Ended(Verdict::Ended(StepOutcome::Changed)));
    let mut needs = plan.needs(at).iter();
    needs.any(|need| changed(*need) || is_after_a_change(plan, places, *need))
}

/// The next step whose needs all hold, and whether one of them changed in this run, so that what was
/// probed in the beginning is old. Waits while others are at work; `None` when nothing is left.
fn next(plan: &Plan, shared: &Shared<'_>, board: &(Mutex<Board>, Condvar)) -> Option<(usize, bool)> {
    let mut now = locked(board);
    loop {
        if now.stopped || shared.cancel.is_cancelled() {
            shared.ledger().catch_up(shared.host);
            return None;
        }
        let held = |need: &usize| matches!(now.places[*need], Place::Ended(Verdict::Ended(_)));
        let ready = (0..now.places.len())
            .find(|at| matches!(now.places[*at], Place::Waiting) && plan.needs(*at).iter().all(held));
        if let Some(at) = ready {
            let again = is_after_a_change(plan, &now.places, at);
            now.places[at] = Place::Running;
            return Some((at, again));
        }
        shared.ledger().catch_up(shared.host);
        if !now.places.iter().any(|place| matches!(place, Place::Running)) {
            return None;
        }
        now = board.1.wait(now).unwrap_or_else(PoisonError::into_inner);
    }
}
