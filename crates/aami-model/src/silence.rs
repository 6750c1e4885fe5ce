//! Whether the alerts about a node in maintenance are silenced, as people are told.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How far silencing a node's alerts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum SilenceState {
    /// Alertmanager has not been told yet.
    Pending,
    /// Alertmanager holds the silence.
    Active,
    /// The maintenance is over, and Alertmanager has not been told yet.
    Ending,
    /// Alertmanager did not take it; it is tried again.
    Failed,
}

impl SilenceState {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Ending => "ending",
            Self::Failed => "failed",
        }
    }
}

/// The silence of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Silence {
    /// How far it is.
    pub state: SilenceState,
    /// Why it is not in place, or what is not silenced, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// When Alertmanager lets it end by itself. While the maintenance lasts it is extended in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
