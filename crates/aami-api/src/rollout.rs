//! The update of a group's agents: what is wanted, and how far it is.

use std::collections::BTreeMap;

use aami_model::rollout::{RolloutPlan, RolloutStatus, Tally};
use aami_model::{GroupId, NodeId, OrgId, Timestamp};
use serde::{Deserialize, Serialize};

/// So many nodes that went back are named.
pub const MOST_NAMED: usize = 50;

/// PUT `/api/v1/groups/{id}/rollout`: begins an update, or one to another version.
pub type SetRollout = RolloutPlan;

/// A rollout as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutView {
    /// The group whose agents are updated.
    pub group: GroupId,
    /// Its name.
    pub group_name: String,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// What is wanted, and how carefully.
    #[serde(flatten)]
    pub plan: RolloutPlan,
    /// How far it is.
    pub status: RolloutStatus,
    /// Since when.
    pub status_since: Timestamp,
    /// Why it stopped, where it did; else what it waits for.
    pub reason: String,
    /// When it began.
    pub began_at: Timestamp,
    /// Who began it.
    pub created_by: String,
    /// Its nodes in numbers.
    pub nodes: Tally,
    /// How many nodes have which agent.
    pub versions: BTreeMap<String, u32>,
    /// Those that went back to their old agent, at most [`MOST_NAMED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedUpdate>,
}

/// A node whose agent could not be updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FailedUpdate {
    /// Which.
    pub node_id: NodeId,
    /// Its host name.
    pub hostname: String,
    /// The code of what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// GET `/api/v1/rollouts`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rollouts {
    /// One a group at most, in the order of the groups' ids.
    pub rollouts: Vec<RolloutView>,
}
