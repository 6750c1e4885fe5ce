//! What a node may be told to do: a closed list, and there is no free-form command in it.
//!
//! Whoever steals an operator's key can ask for these and nothing else: no command carries a program, a path or an
//! address.

use serde::{Deserialize, Serialize};

use crate::exporter::ExporterKind;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NodeCommand {
    /// Run all checks now. The timer stays their only runner: it is triggered.
    RunChecks,
    /// Look at the hardware again and report it.
    RefreshInventory,
    /// Gather what helps to find a fault: states and logs, without secrets, bounded.
    Diagnose,
    /// Restart an exporter that we installed.
    RestartExporter {
        /// Which.
        exporter: ExporterKind,
    },
    /// Replace the agent by the release of this version: signature verified, tried, and taken back where it does not
    /// come up.
    UpdateAgent {
        /// The version, e.g. `1.4.0`.
        version: String,
    },
    /// What a newer control plane wants and we do not know. A node meets it, nobody asks for it: it is not on the wire.
    #[serde(skip)]
    Unknown,
}

impl NodeCommand {
    /// Its name on the wire and in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RunChecks => "run_checks",
            Self::RefreshInventory => "refresh_inventory",
            Self::Diagnose => "diagnose",
            Self::RestartExporter { .. } => "restart_exporter",
            Self::UpdateAgent { .. } => "update_agent",
            Self::Unknown => "unknown",
        }
    }
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum CommandStatus {
    /// Given, and not yet taken by the node.
    Sent,
    /// The node took it.
    Accepted,
    /// Done.
    Completed,
    /// It failed, or the node refused it.
    Failed,
    /// The node did not answer in time, or its connection ended; it may or may not have been done.
    Unknown,
}
