//! What can happen to a run and to a step: one table each, as pure functions.
//!
//! What a host tells of a run may have been lost on the way in part, so the end of a run is believed although nobody
//! heard of its beginning. What is never believed: that a run ended as something that is no end, that it was called
//! off by itself, and anything at all once it is over.

use serde::{Deserialize, Serialize};

use super::RunEventKind;

/// The lifecycle of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum RunStatus {
    /// Opened, nothing has happened yet.
    Pending,
    /// At work.
    Running,
    /// Every step holds.
    Completed,
    /// A step failed for good.
    Failed,
    /// Stopped in the middle; can be resumed.
    Interrupted,
    /// Called off by an operator.
    Cancelled,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Interrupted,
        Self::Cancelled,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more can happen to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

/// What happened to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunTrigger {
    /// Its installer began, or went on in the next program.
    Started,
    /// Its installer told something of a step.
    StepTold,
    /// Its installer says that it ended like this.
    Ended(RunStatus),
    /// An operator called it off.
    CalledOff,
}

impl RunTrigger {
    /// Every trigger.
    pub const ALL: [Self; 9] = [
        Self::Started,
        Self::StepTold,
        Self::Ended(RunStatus::Pending),
        Self::Ended(RunStatus::Running),
        Self::Ended(RunStatus::Completed),
        Self::Ended(RunStatus::Failed),
        Self::Ended(RunStatus::Interrupted),
        Self::Ended(RunStatus::Cancelled),
        Self::CalledOff,
    ];

    /// What an event means for its run.
    pub const fn of(event: &RunEventKind) -> Self {
        match event {
            RunEventKind::RunStarted { .. } => Self::Started,
            RunEventKind::StepStarted { .. }
            | RunEventKind::StepProgress { .. }
            | RunEventKind::StepNote { .. }
            | RunEventKind::StepCompleted { .. }
            | RunEventKind::StepFailed { .. } => Self::StepTold,
            RunEventKind::RunFinished { status, .. } => Self::Ended(*status),
        }
    }

    /// What people read in a refusal.
    const fn describe(self) -> &'static str {
        match self {
            Self::Started => "begin",
            Self::StepTold => "tell of its steps",
            Self::Ended(RunStatus::Pending) => "end as pending",
            Self::Ended(RunStatus::Running) => "end as running",
            Self::Ended(RunStatus::Completed) => "complete",
            Self::Ended(RunStatus::Failed) => "fail",
            Self::Ended(RunStatus::Interrupted) => "be interrupted",
            Self::Ended(RunStatus::Cancelled) => "call itself off",
            Self::CalledOff => "be called off",
        }
    }
}

/// What a trigger leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<S> {
    /// It is in this status now.
    Moved(S),
    /// It is there already.
    Stays,
}

/// Why a trigger is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {} cannot {}", from.name(), trigger.describe())]
pub struct Refusal {
    /// The status the run is in.
    pub from: RunStatus,
    /// What happened.
    pub trigger: RunTrigger,
}

/// The table of runs.
pub const fn next(from: RunStatus, trigger: RunTrigger) -> Result<Outcome<RunStatus>, Refusal> {
    use RunStatus::{Cancelled, Completed, Failed, Interrupted, Pending, Running};
    use RunTrigger as T;

    match (from, trigger) {
        (_, T::Ended(Pending | Running | Cancelled)) => Err(Refusal { from, trigger }),
        (Completed, T::Ended(Completed)) | (Cancelled, T::CalledOff) => Ok(Outcome::Stays),
        (Completed | Cancelled, _) => Err(Refusal { from, trigger }),

        (Running, T::Started) | (Failed, T::Ended(Failed)) | (Interrupted, T::Ended(Interrupted)) => {
            Ok(Outcome::Stays)
        }
        (Pending | Failed | Interrupted, T::Started) => Ok(Outcome::Moved(Running)),
        (Pending | Running | Failed | Interrupted, T::StepTold) => Ok(Outcome::Stays),
        // Also from failed and interrupted: it was resumed, and the word of that was lost.
        (Pending | Running | Failed | Interrupted, T::Ended(to @ (Completed | Failed | Interrupted))) => {
            Ok(Outcome::Moved(to))
        }
        (Pending | Running | Failed | Interrupted, T::CalledOff) => Ok(Outcome::Moved(Cancelled)),
    }
}

/// The lifecycle of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum StepStatus {
    /// Not begun.
    #[default]
    Pending,
    /// Begun. After a crash this means "unknown", and the step is probed.
    InProgress,
    /// Holds.
    Completed,
    /// Failed.
    Failed,
}

impl StepStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Pending, Self::InProgress, Self::Completed, Self::Failed];

    /// The table of steps. It refuses nothing: a probe alone may show that a step holds or cannot be done, without
    /// its having begun, and a run that is resumed or repaired looks at each of its steps again.
    pub const fn next(self, trigger: StepTrigger) -> Outcome<Self> {
        match (self, trigger) {
            (Self::InProgress, StepTrigger::Begun)
            | (Self::Completed, StepTrigger::Completed)
            | (Self::Failed, StepTrigger::Failed) => Outcome::Stays,
            (Self::Pending | Self::Completed | Self::Failed, StepTrigger::Begun) => {
                Outcome::Moved(Self::InProgress)
            }
            (Self::Pending | Self::InProgress | Self::Failed, StepTrigger::Completed) => {
                Outcome::Moved(Self::Completed)
            }
            (Self::Pending | Self::InProgress | Self::Completed, StepTrigger::Failed) => {
                Outcome::Moved(Self::Failed)
            }
        }
    }
}

/// What happened to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepTrigger {
    /// It began, for the first time or again.
    Begun,
    /// It holds.
    Completed,
    /// It failed.
    Failed,
}

impl StepTrigger {
    /// Every trigger.
    pub const ALL: [Self; 3] = [Self::Begun, Self::Completed, Self::Failed];
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A cell of a grid: where it leads, `.` where it stays, `x` where it is refused.
    fn cell(outcome: Result<Outcome<RunStatus>, Refusal>) -> &'static str {
        match outcome {
            Ok(Outcome::Moved(to)) => to.name(),
            Ok(Outcome::Stays) => ".",
            Err(_) => "x",
        }
    }

    #[test]
    fn the_table_of_runs_holds_cell_by_cell() {
        use RunStatus::{Cancelled, Completed, Failed, Interrupted, Pending, Running};
        use RunTrigger::{CalledOff, Ended, Started, StepTold};
        let (run, done, fail, cut, off) = ("running", "completed", "failed", "interrupted", "cancelled");
        // pending, running, completed, failed, interrupted, cancelled
        let grid = [
            (Started, [run, ".", "x", run, run, "x"]),
            (StepTold, [".", ".", "x", ".", ".", "x"]),
            (Ended(Pending), ["x", "x", "x", "x", "x", "x"]),
            (Ended(Running), ["x", "x", "x", "x", "x", "x"]),
            (Ended(Completed), [done, done, ".", done, done, "x"]),
            (Ended(Failed), [fail, fail, "x", ".", fail, "x"]),
            (Ended(Interrupted), [cut, cut, "x", cut, ".", "x"]),
            (Ended(Cancelled), ["x", "x", "x", "x", "x", "x"]),
            (CalledOff, [off, off, "x", off, off, "."]),
        ];
        assert_eq!(grid.map(|(trigger, _)| trigger), RunTrigger::ALL);
        for (trigger, cells) in grid {
            for (from, wanted) in RunStatus::ALL.into_iter().zip(cells) {
                assert_eq!(cell(next(from, trigger)), wanted, "{from:?} {trigger:?}");
            }
        }
    }

    #[test]
    fn the_table_of_steps_holds_cell_by_cell() {
        use Outcome::{Moved, Stays};
        use StepStatus::{Completed, Failed, InProgress};
        // pending, in progress, completed, failed
        let grid = [
            [Moved(InProgress), Stays, Moved(InProgress), Moved(InProgress)],
            [Moved(Completed), Moved(Completed), Stays, Moved(Completed)],
            [Moved(Failed), Moved(Failed), Moved(Failed), Stays],
        ];
        for (trigger, cells) in StepTrigger::ALL.into_iter().zip(grid) {
            for (from, wanted) in StepStatus::ALL.into_iter().zip(cells) {
                assert_eq!(from.next(trigger), wanted, "{from:?} {trigger:?}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_and_why() {
        let refusal = next(RunStatus::Completed, RunTrigger::Ended(RunStatus::Failed)).unwrap_err();
        assert_eq!(refusal.to_string(), "a run that is completed cannot fail");
    }

    proptest! {
        #[test]
        fn whatever_is_told_of_it_a_run_that_is_over_stays_over(
            start in 0..RunStatus::ALL.len(),
            story in proptest::collection::vec(0..RunTrigger::ALL.len(), 0..30),
        ) {
            let mut status = RunStatus::ALL[start];
            for index in story {
                let trigger = RunTrigger::ALL[index];
                let was = status;
                if let Ok(Outcome::Moved(to)) = next(status, trigger) {
                    prop_assert_ne!(to, status, "a move goes somewhere");
                    prop_assert_ne!(to, RunStatus::Pending, "nothing begins anew");
                    prop_assert_eq!(next(to, trigger).ok(), Some(Outcome::Stays), "repeated, it is no news");
                    status = to;
                }
                prop_assert!(!was.is_final() || status == was, "{:?} {:?}", was, trigger);
                prop_assert_eq!(
                    status == RunStatus::Cancelled && was != status,
                    trigger == RunTrigger::CalledOff && was != status,
                    "only an operator calls a run off"
                );
            }
        }
    }
}
