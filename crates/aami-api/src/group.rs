//! Groups.

use aami_model::OrgId;
use aami_model::agent_config::AgentConfig;
use aami_model::label::Labels;
use serde::{Deserialize, Serialize};

/// POST `/api/v1/groups`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateGroup {
    /// Unique within the tenant.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Labels its nodes carry.
    pub labels: Labels,
    /// How the agents of its nodes behave.
    pub agents: AgentConfig,
    /// The tenant; the caller's own where absent.
    pub org: Option<OrgId>,
}

/// PATCH `/api/v1/groups/{id}`: what is given replaces. The name stays: the id follows from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchGroup {
    /// A new description.
    pub description: Option<String>,
    /// New labels, all of them.
    pub labels: Option<Labels>,
    /// How the agents of its nodes behave, all of it.
    pub agents: Option<AgentConfig>,
}
