//! Events and audit entries.

use aami_model::event::Event;
use aami_model::{OrgId, Timestamp};
use serde::{Deserialize, Serialize};

/// GET `/api/v1/events?after=SEQ`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Events {
    /// Ascending by `seq`.
    pub events: Vec<Event>,
    /// Ask for `after` this next time, whether or not anything came.
    pub last_seq: u64,
    /// Events up to this number are kept no longer, or not all of them; 0 while all are. Whoever asked for `after` less
    /// than this may have missed some, and begins anew from what is there now.
    #[serde(default)]
    pub pruned_through: u64,
}

/// One mutating call, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Ascending and unique.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The tenant it was in.
    pub org: OrgId,
    /// Who, e.g. `key:abc`.
    pub actor: String,
    /// What, e.g. `node.retire`.
    pub action: String,
    /// To what, e.g. `node:abc`.
    pub subject: String,
    /// What is worth knowing about it; never a secret.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// GET `/api/v1/audit?after=SEQ`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Audit {
    /// Ascending by `seq`.
    pub entries: Vec<AuditEntry>,
    /// Ask for `after` this next time.
    pub last_seq: u64,
    /// Entries up to this number are kept no longer, or not all of them; 0 while all are.
    #[serde(default)]
    pub pruned_through: u64,
}
