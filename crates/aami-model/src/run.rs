//! One execution of a plan on one host: its status, its steps, and the numbered stream of events
//! that every renderer (terminal, plain lines, JSON lines, metrics, the control plane) reads.

mod status;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
pub use status::{Outcome, Refusal, RunStatus, RunTrigger, StepStatus, StepTrigger, next};

/// A step as it stands in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StepSummary {
    /// Stable name, `[a-z0-9_]+`, e.g. `node_exporter`.
    pub id: String,
    /// What people read, e.g. `Installing node_exporter`.
    pub title: String,
}

/// How a step ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum StepOutcome {
    /// It was not so, and was made so.
    Changed,
    /// It was so already; nothing was done.
    AlreadySo,
    /// It does not apply to this host.
    NotApplicable,
}

/// One thing that happened in a run. The stream is numbered from 1 without a gap, so a reader that
/// lost its connection continues after the last number it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunEvent {
    /// 1, 2, 3, ...
    pub seq: u64,
    /// When, by the clock of the host the run is on.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: RunEventKind,
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum RunEventKind {
    /// The first event of every run.
    RunStarted {
        /// The plan's name, e.g. `node`.
        plan: String,
        /// Its steps in the order shown.
        steps: Vec<StepSummary>,
    },
    /// A step began.
    StepStarted {
        /// Which.
        step: String,
        /// 1 for the first try on this host, 2 for the second, ...
        attempt: u32,
    },
    /// A long step is this far; at most once a second.
    StepProgress {
        /// Which.
        step: String,
        /// 0.0 to 1.0.
        fraction: f64,
        /// What it is doing.
        message: String,
    },
    /// One fact worth showing below the step (`8x H100`), or a warning.
    StepNote {
        /// Which.
        step: String,
        /// One line.
        message: String,
        /// Whether it should worry the reader.
        #[serde(default)]
        warning: bool,
    },
    /// A step holds now.
    StepCompleted {
        /// Which.
        step: String,
        /// Changed, or so already.
        outcome: StepOutcome,
        /// How long it took.
        duration_ms: u64,
    },
    /// A step failed.
    StepFailed {
        /// Which.
        step: String,
        /// The symbol of the code, e.g. `PORT_IN_USE`.
        code: String,
        /// One sentence.
        message: String,
        /// What to do next.
        hint: String,
        /// What there is to compare, for programs: `expected` and `actual` of a checksum.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        details: BTreeMap<String, String>,
        /// How long it took.
        duration_ms: u64,
    },
    /// The last event of every run that ended.
    RunFinished {
        /// Completed, failed or interrupted; no other is an end that a run can tell of itself.
        status: RunStatus,
        /// How long the whole took.
        duration_ms: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event = RunEvent {
            seq: 3,
            at: Timestamp::EPOCH,
            kind: RunEventKind::StepCompleted {
                step: "register".into(),
                outcome: StepOutcome::Changed,
                duration_ms: 12,
            },
        };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(
            json,
            r#"{"seq":3,"at":"1970-01-01T00:00:00.000Z","type":"step_completed","step":"register","outcome":"changed","duration_ms":12}"#
        );
        assert_eq!(serde_json::from_str::<RunEvent>(&json).unwrap(), event);
    }
}
