//! Commands: what a node is told to do, and how that went.

use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::{CommandId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// How long a command may take where nobody says otherwise, in seconds.
pub const USUAL_TIMEOUT: u32 = 300;
/// The longest a command may take, in seconds.
pub const LONGEST_TIMEOUT: u32 = 3600;

/// POST `/api/v1/nodes/{id}/commands`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GiveCommand {
    /// What.
    pub command: NodeCommand,
    /// How long it may take, in seconds, from when the node takes it: 5 to [`LONGEST_TIMEOUT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

/// A command as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CommandView {
    /// Its id.
    pub id: CommandId,
    /// The node it was given to.
    pub node_id: NodeId,
    /// What.
    pub command: NodeCommand,
    /// How far it is.
    pub status: CommandStatus,
    /// How long it may take, in seconds.
    pub timeout_seconds: u32,
    /// When it was given.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When the node took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The code of what went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What it gave; in lists left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// The commands of a node, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Commands {
    /// At most as many as are kept.
    pub commands: Vec<CommandView>,
}
