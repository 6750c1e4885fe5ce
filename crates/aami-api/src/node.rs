//! Nodes (also answered under `targets`, the older name), their exporters, and verifying them.

use std::collections::BTreeMap;

use aami_model::exporter::ExporterKind;
use aami_model::finding::Finding;
use aami_model::label::Labels;
use aami_model::machine::SystemInfo;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::silence::Silence;
use aami_model::{GroupId, NodeId, OrgId, Timestamp, TokenId, UserId};
use serde::{Deserialize, Serialize};

use crate::link::Resources;
use crate::register::{ExporterInfo, ExporterView};

/// A node as it is shown: never its keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// Whose it is within the tenant, where it is somebody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Its host name.
    pub hostname: String,
    /// Where its exporters are scraped.
    pub ip_address: String,
    /// Its lifecycle.
    pub status: NodeStatus,
    /// Since when.
    pub status_since: Timestamp,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// When its status is expected to have changed by, where one is expected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_until: Option<Timestamp>,
    /// Whether that time is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stuck: bool,
    /// Until when its maintenance lasts, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_until: Option<Timestamp>,
    /// Whether its alerts are silenced, where an Alertmanager is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
    /// Whether its agent is connected at this moment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connected: bool,
    /// Since when, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_since: Option<Timestamp>,
    /// Whether it was reached when that was last looked at: by its agent's connection, or, where it has none, by the
    /// scrapes of its exporters. It is what it comes back to from maintenance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reachable: bool,
    /// When it last said anything, as far as this control plane has heard it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// How busy it is, as it last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The version of its agent, as of its last connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Whether it runs by the configuration of its groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigStanding>,
    /// What is wrong with it, the gravest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Its own labels.
    pub labels: Labels,
    /// Its groups.
    pub groups: Vec<GroupId>,
    /// Its metrics endpoints.
    pub exporters: Vec<ExporterView>,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_info: Option<SystemInfo>,
    /// What its registrant wanted kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// Its machine-id, as it reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// When it was first known.
    pub created_at: Timestamp,
    /// When it enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled_at: Option<Timestamp>,
    /// The token it enrolled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
}

/// Which configuration a node is to run by, and which it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ConfigStanding {
    /// The revision its groups give; absent where they say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The revision it said last that it runs by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
    /// Why it did not take the one it was given last, where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl From<&Node> for NodeView {
    /// What is stored of a node; what is only known while it is connected is left out.
    fn from(node: &Node) -> Self {
        Self {
            id: node.id.clone(),
            org: node.org.clone(),
            user: node.user.clone(),
            hostname: node.hostname.to_string(),
            ip_address: node.ip_address.to_string(),
            status: node.status,
            status_since: node.status_since,
            status_reason: node.status_reason.clone(),
            expected_until: node.expected_until(),
            stuck: false,
            maintenance_until: node.maintenance_until,
            silence: None,
            connected: false,
            connected_since: None,
            reachable: node.reachable,
            last_seen: None,
            resources: None,
            agent_version: None,
            config: None,
            findings: Vec::new(),
            labels: node.labels.clone(),
            groups: node.groups.clone(),
            exporters: node
                .exporters
                .iter()
                .map(|e| ExporterView::of(&node.id, e))
                .collect(),
            system_info: node.system_info.clone(),
            metadata: node.metadata.clone(),
            machine_id: node.identity.machine_id.clone(),
            created_at: node.created_at,
            enrolled_at: node.enrolled_at,
            token: node.token.clone(),
        }
    }
}

/// POST `/api/v1/nodes`: declares a node that will enrol later, or one that never will.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateNode {
    /// Its host name.
    pub hostname: String,
    /// Where its exporters are scraped; stays as named.
    pub ip_address: String,
    /// Its own labels.
    pub labels: Labels,
    /// Its groups, by id or name.
    pub groups: Vec<String>,
    /// Its metrics endpoints.
    pub exporters: Vec<ExporterInfo>,
    /// Anything worth keeping.
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// The tenant; the caller's own where absent.
    pub org: Option<OrgId>,
    /// Whose it is within the tenant; the caller's where absent.
    pub user: Option<UserId>,
}

/// PATCH `/api/v1/nodes/{id}`: what is given replaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchNode {
    /// A new address; pins it.
    pub ip_address: Option<String>,
    /// New labels, all of them.
    pub labels: Option<Labels>,
    /// New groups, all of them, by id or name.
    pub groups: Option<Vec<String>>,
    /// New metadata, all of it.
    pub metadata: Option<BTreeMap<String, serde_json::Value>>,
    /// Whose it is from now on; empty means nobody's in particular.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// POST `/api/v1/nodes/{id}/maintenance` and the like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reason {
    /// Why.
    pub reason: Option<String>,
    /// Maintenance: until when, by the control plane's clock; then the node comes back by itself.
    pub until: Option<Timestamp>,
}

/// POST `/api/v1/exporters`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateExporter {
    /// The node it runs on.
    pub node_id: NodeId,
    /// The exporter.
    #[serde(flatten)]
    pub exporter: ExporterInfo,
}

/// GET `/api/v1/exporters/found`: an exporter that a node's agent found and nobody registered. POST
/// `/api/v1/exporters` with its node, type and port takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FoundView {
    /// The node it runs on.
    pub node_id: NodeId,
    /// The node's host name.
    pub hostname: String,
    /// What it would be registered as.
    #[serde(rename = "type")]
    pub exporter: ExporterKind,
    /// What it is called; several are of the type `custom`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it listens.
    pub port: u16,
}

/// PATCH `/api/v1/exporters/{id}`: what is given replaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PatchExporter {
    /// Whether Prometheus is told of it.
    pub enabled: Option<bool>,
    /// Where its metrics are.
    pub metrics_path: Option<String>,
    /// How often to scrape it.
    pub scrape_interval: Option<String>,
}

/// The answer of POST `/api/v1/nodes/{id}/verify`: whether the control plane itself reaches each exporter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Verified {
    /// The node.
    pub node_id: NodeId,
    /// Its status after this.
    pub status: NodeStatus,
    /// Whether every exporter answered. True for a node without exporters.
    pub verified: bool,
    /// Each exporter.
    pub exporters: Vec<Probe>,
}

/// How one exporter answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Probe {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ExporterKind,
    /// What was fetched.
    pub url: String,
    /// Whether metrics came back.
    pub ok: bool,
    /// Where it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
    /// One sentence.
    pub detail: String,
}

/// The hop at which fetching metrics ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Hop {
    /// No route to the address.
    Route,
    /// The connection was refused: nothing listens there, or a firewall rejects.
    Refused,
    /// The connection was never answered: a firewall drops, or the host is down.
    Timeout,
    /// It connected, but did not answer in time.
    Slow,
    /// It answered with another status than 200.
    Status,
    /// It answered, but not with metrics.
    NotMetrics,
    /// The address may not be fetched from here.
    AddressRefused,
}
