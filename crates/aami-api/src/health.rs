//! Health.

use serde::{Deserialize, Serialize};

/// GET `/api/v1/health`, `/health`, `/health/ready`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`, or `degraded` with the reason in `detail`.
    pub status: String,
    /// Always `aami`: how a client tells a control plane from whatever else answers at an address.
    pub service: String,
    /// The control plane's version.
    pub version: String,
    /// Why it is degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// GET `/api/v1/status`: the whole in a few numbers, for people and for `aami status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Status {
    /// The control plane's version.
    pub version: String,
    /// Its cluster's name.
    pub cluster: String,
    /// `sqlite`, `etcd` or `memory`.
    pub store: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Nodes by status, only those seen by the caller.
    pub nodes: std::collections::BTreeMap<String, u64>,
    /// How many scrape targets Prometheus is told of, only those seen by the caller.
    pub targets: u64,
    /// Prometheuses by how their alert rules stand (`loaded`, `pending`, `waiting`, `failed`), only those seen by the
    /// caller.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub rules: std::collections::BTreeMap<String, u64>,
    /// How long ago Prometheus last asked, in seconds; absent when it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery_asked_seconds: Option<u64>,
}
