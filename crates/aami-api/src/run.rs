//! Runs: what an installer reports while it works.

use aami_model::hostname::Hostname;
use aami_model::run::{RunEvent, RunStatus, StepOutcome, StepStatus};
use aami_model::{NodeId, OrgId, RunId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};

/// POST `/api/v1/runs`: a run of an installation that no bootstrap token began, such as a server's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OpenRun {
    /// What the host is called that it is on.
    pub hostname: Hostname,
    /// The tenant it belongs to; the caller's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
}

/// POST `/api/v1/runs/{id}/events`. Events already known are skipped, so a batch may be repeated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReportEvents {
    /// At most 256, ascending by `seq`.
    pub events: Vec<RunEvent>,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reported {
    /// Every event up to this number is known.
    pub accepted_through: u64,
}

/// A run as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// The node it works on, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    /// What that node is called, or the host where it is no node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The token it was opened with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// Its plan, once it has reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Its lifecycle.
    pub status: RunStatus,
    /// Its steps.
    pub steps: Vec<RunStep>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When its last try began, by its host's clock, once it has reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it last reported.
    pub updated_at: Timestamp,
    /// The number of the last event known.
    pub last_event: u64,
}

/// A step of a run as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunStep {
    /// Its stable name.
    pub id: String,
    /// What people read.
    pub title: String,
    /// Where it stands.
    pub status: StepStatus,
    /// Which try.
    pub attempts: u32,
    /// When its last try began, by its host's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How long its last try took, once that has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How it ended well, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StepOutcome>,
    /// Why it failed, if it did: `CODE: sentence`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
