//! A named set of nodes with labels. A node names its groups; a group never lists its nodes.

use serde::{Deserialize, Serialize};

use crate::agent_config::AgentConfig;
use crate::label::Labels;
use crate::{GroupId, OrgId, Timestamp};

/// A named set of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// Unique within the tenant.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels every node of it carries, unless the node's own say otherwise.
    #[serde(default)]
    pub labels: Labels,
    /// How the agents of its nodes behave. Of several groups, a later one of the node's own list wins.
    #[serde(default, skip_serializing_if = "AgentConfig::is_silent")]
    pub agents: AgentConfig,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whether a text may name a group, a token or a key: 1 to 64 characters, no control characters, no
/// white space at either end.
pub fn name_fits(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= 64
        && name.trim() == name
        && !name.chars().any(char::is_control)
}
