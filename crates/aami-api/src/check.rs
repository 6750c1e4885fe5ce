//! Checks: small scripts that nodes run, whose results become metrics.
//!
//! Definitions are written by admins under `/api/v1/checks`. A node asks `/api/v1/checks/node` with its
//! own credential which of them are meant for it, and keeps what it got by the hash.

use aami_model::check::{CheckDefinition, CheckSignature, RunAs};
use aami_model::label::Labels;
use aami_model::{CheckId, NodeId, OrgId};
use serde::{Deserialize, Serialize};

/// POST `/api/v1/checks`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateCheck {
    /// Its name; together with group and selector unique within the tenant.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The group whose nodes run it, by id or name; every node where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Labels a node must carry to run it.
    pub selector: Labels,
    /// How often it runs, in seconds; 60 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
    /// How long it may take, in seconds; 10 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// What runs the script, an absolute path; `/bin/sh` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// The text of the script, at most 64 KiB.
    pub script: String,
    /// What the script is given.
    pub args: Vec<String>,
    /// As whom it wants to run.
    pub run_as: RunAs,
    /// Who vouches for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<CheckSignature>,
    /// Whether it runs; it does where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The tenant; the caller's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
}

/// PATCH `/api/v1/checks/{id}`: what is given replaces. Name and scope stay: the id follows from them. A
/// signature is good for one definition: where what it covers changes, it goes unless a new one is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchCheck {
    /// A new description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A new interval, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
    /// A new timeout, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Another interpreter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// A new script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// New arguments, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Another user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// A new signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<CheckSignature>,
    /// On or off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// One check as a node is told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodeCheck {
    /// Its id.
    pub id: CheckId,
    /// Whether it runs. One that does not also switches off a check of that name the node brought along.
    pub enabled: bool,
    /// SHA-256 over the definition's canonical bytes, lower-case hex. A node computes it anew and runs
    /// nothing whose bytes give another one.
    pub sha256: String,
    /// What runs.
    #[serde(flatten)]
    pub definition: CheckDefinition,
}

/// GET `/api/v1/checks/node?hostname=&have=`: what is meant for one node, in the order of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodeChecks {
    /// The node.
    pub node_id: NodeId,
    /// Names this set: SHA-256 over id, hash, signature and switch of each. Ask with `have=` this next time.
    pub set_sha256: String,
    /// Whether the set is still the one named with `have=`; then `checks` is empty, since it is known.
    #[serde(default)]
    pub unchanged: bool,
    /// The checks, one a name.
    #[serde(default)]
    pub checks: Vec<NodeCheck>,
}
