//! Prometheuses: who evaluates rules, what each should have loaded, and what it has.
//!
//! Whoever delivers asks [`NodePrometheuses`] with the node's own credential, takes the [`RuleBundle`] where its hash is
//! another than the one it has, brings it in, and says how that went with a [`LoadReport`].

use aami_model::prometheus::{LoadResult, Loading, Prometheus, RuleState};
use aami_model::rule_file::{RuleFile, canonical};
use aami_model::{NodeId, OrgId, PrometheusId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// POST `/api/v1/prometheuses`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreatePrometheus {
    /// Unique within the tenant.
    pub name: String,
    /// Where it answers, as the control plane reaches it: `http://HOST:9090`.
    pub url: String,
    /// Where the Alertmanager it tells answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alertmanager_url: Option<String>,
    /// The node it runs on, by id or hostname; that node's agent brings it its rules.
    pub node: String,
    /// The groups whose nodes it watches, by ids or names; all of the tenant's where there is none.
    pub groups: Vec<String>,
    /// The tenant; the caller's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
}

/// PATCH `/api/v1/prometheuses/{id}`: what is given replaces. The name stays: the id follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchPrometheus {
    /// Another address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Another Alertmanager; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alertmanager_url: Option<String>,
    /// Another node, by id or hostname.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The groups, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// A Prometheus as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PrometheusView {
    /// The Prometheus.
    #[serde(flatten)]
    pub prometheus: Prometheus,
    /// Who brings it its rules: `local`, or the node's hostname.
    pub delivered_by: String,
    /// The names of its groups.
    #[serde(default)]
    pub group_names: Vec<String>,
    /// Wanted against loaded.
    pub state: RuleState,
    /// The hash of the bundle it should have; empty where that cannot be said now, and `last` says why.
    pub wanted: String,
    /// What was last said of loading rules, or why there are none to load; none where nobody said anything yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Loading>,
}

/// GET `/api/v1/prometheuses/{id}/bundle`: all rules one Prometheus should have. `ETag` is the hash; with
/// `If-None-Match` the answer is 304 where it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleBundle {
    /// SHA-256 over [`aami_model::rule_file::canonical`], lower-case hex. Whoever takes it computes it anew.
    pub sha256: String,
    /// The files, in the order of their names. What else of ours lies in the folder is to go.
    pub files: Vec<RuleFile>,
}

/// The hash of a bundle with these files, as [`RuleBundle::sha256`] has it.
pub fn bundle_sha256(files: &[RuleFile]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(canonical(files)))
}

/// One Prometheus that a node delivers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodePrometheus {
    /// Its id.
    pub id: PrometheusId,
    /// Its name.
    pub name: String,
    /// Where it answers, as the control plane reaches it. A node asks only what its own configuration names.
    pub url: String,
    /// The hash of the bundle it should have. None where that cannot be said now: it keeps what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The bundle that was last reported as loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<String>,
}

/// GET `/api/v1/prometheuses/node`, with a node's own credential: what it delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodePrometheuses {
    /// The node.
    pub node_id: NodeId,
    /// Those it delivers to, in the order of their ids; mostly none.
    #[serde(default)]
    pub items: Vec<NodePrometheus>,
}

/// POST `/api/v1/prometheuses/{id}/loaded`: how bringing a bundle in went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LoadReport {
    /// The bundle.
    pub sha256: String,
    /// What became of it.
    pub result: LoadResult,
    /// The condition, where it is waiting or failed: its symbol, such as `ALERT_RULES_NOT_LOADED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What is wrong, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Rules that are loaded and cannot be evaluated, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
}
