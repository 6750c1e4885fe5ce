//! What can happen to a task, the installation of an operating system on one machine.

use serde::{Deserialize, Serialize};

/// The lifecycle of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum TaskStatus {
    /// Asked for.
    Pending,
    /// A region holds it.
    Ready,
    /// Its boot file was fetched.
    Booting,
    /// The machine reported its hardware; an operator must approve.
    PendingApproval,
    /// Approved for exactly the hardware reported.
    Approved,
    /// The disk is being written.
    Installing,
    /// Done.
    Completed,
    /// Failed.
    Failed,
    /// An operator said no.
    Rejected,
    /// Called off.
    Cancelled,
}

impl TaskStatus {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Ready,
        Self::Booting,
        Self::PendingApproval,
        Self::Approved,
        Self::Installing,
        Self::Completed,
        Self::Failed,
        Self::Rejected,
        Self::Cancelled,
    ];
}

/// What happened to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskTrigger {
    /// A region took it.
    Claimed,
    /// Its boot file was fetched.
    BootFetched,
    /// The machine reported.
    Reported,
    /// An operator approved the report.
    Approved,
    /// An operator rejected it.
    Rejected,
    /// The first write to the disk.
    WriteBegan,
    /// The installed system answered.
    Finished,
    /// A stage failed for good.
    Failed,
    /// An operator called it off.
    Cancelled {
        /// Even though the disk is being written; it is marked incomplete.
        force: bool,
    },
    /// An operator wants it again: new boot token, new approval.
    Retried,
}

impl TaskTrigger {
    /// Every trigger.
    pub const ALL: [Self; 11] = [
        Self::Claimed,
        Self::BootFetched,
        Self::Reported,
        Self::Approved,
        Self::Rejected,
        Self::WriteBegan,
        Self::Finished,
        Self::Failed,
        Self::Cancelled { force: false },
        Self::Cancelled { force: true },
        Self::Retried,
    ];
}

/// Why a trigger is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from:?} does not take {trigger:?}")]
pub struct TaskRefusal {
    /// The status the task is in.
    pub from: TaskStatus,
    /// What happened.
    pub trigger: TaskTrigger,
}

/// The table. The same status back means: nothing to do.
pub const fn next(from: TaskStatus, trigger: TaskTrigger) -> Result<TaskStatus, TaskRefusal> {
    use TaskStatus as S;
    use TaskTrigger as T;
    match (from, trigger) {
        (S::Pending | S::Ready, T::Claimed) => Ok(S::Ready),
        (S::Ready | S::Booting, T::BootFetched) => Ok(S::Booting),
        (S::Booting | S::PendingApproval, T::Reported) => Ok(S::PendingApproval),
        (S::PendingApproval | S::Approved, T::Approved) => Ok(S::Approved),
        (S::PendingApproval | S::Rejected, T::Rejected) => Ok(S::Rejected),
        (S::Approved | S::Installing, T::WriteBegan) => Ok(S::Installing),
        (S::Installing | S::Completed, T::Finished) => Ok(S::Completed),
        (S::Installing | S::Approved | S::Booting | S::Ready | S::Failed, T::Failed) => Ok(S::Failed),
        (
            S::Pending | S::Ready | S::Booting | S::PendingApproval | S::Approved | S::Cancelled,
            T::Cancelled { .. },
        )
        | (S::Installing, T::Cancelled { force: true }) => Ok(S::Cancelled),
        (S::Failed | S::Rejected | S::Cancelled | S::Pending, T::Retried) => Ok(S::Pending),
        _ => Err(TaskRefusal { from, trigger }),
    }
}

/// How far an installation is, in percent of the whole, when a stage is `fraction` done.
pub fn overall_percent(stage: InstallStage, fraction: f64) -> f64 {
    let (from, to) = stage.range();
    from + (to - from) * fraction.clamp(0.0, 1.0)
}

/// The stages of writing an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallStage {
    /// 0 to 20 %.
    Partitioning,
    /// 20 to 60 %.
    Downloading,
    /// 60 to 90 %.
    Installing,
    /// 90 to 100 %.
    Configuring,
}

impl InstallStage {
    const fn range(self) -> (f64, f64) {
        match self {
            Self::Partitioning => (0.0, 20.0),
            Self::Downloading => (20.0, 60.0),
            Self::Installing => (60.0, 90.0),
            Self::Configuring => (90.0, 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_writes_a_disk_without_an_approval() {
        for from in TaskStatus::ALL {
            let reached = next(from, TaskTrigger::WriteBegan) == Ok(TaskStatus::Installing);
            assert_eq!(
                reached,
                matches!(from, TaskStatus::Approved | TaskStatus::Installing),
                "{from:?}"
            );
        }
    }

    #[test]
    fn a_disk_being_written_is_only_left_by_force() {
        let cancel = |force| next(TaskStatus::Installing, TaskTrigger::Cancelled { force });
        assert!(cancel(false).is_err());
        assert_eq!(cancel(true), Ok(TaskStatus::Cancelled));
    }

    proptest! {
        #[test]
        fn a_completed_task_stays_completed(story in proptest::collection::vec(0..TaskTrigger::ALL.len(), 0..20)) {
            let mut status = TaskStatus::Completed;
            for index in story {
                status = next(status, TaskTrigger::ALL[index]).unwrap_or(status);
            }
            prop_assert_eq!(status, TaskStatus::Completed);
        }

        #[test]
        fn progress_never_runs_backwards(a in 0.0..1.0_f64, b in 0.0..1.0_f64) {
            let stages = [InstallStage::Partitioning, InstallStage::Downloading, InstallStage::Installing, InstallStage::Configuring];
            for pair in stages.windows(2) {
                prop_assert!(overall_percent(pair[0], a) <= overall_percent(pair[1], b));
            }
        }
    }
}
