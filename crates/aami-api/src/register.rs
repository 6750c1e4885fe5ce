//! Registration: a machine becomes a node.

use std::collections::BTreeMap;

use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;
use aami_model::machine::SystemInfo;
use aami_model::{RunId, TokenId};
use serde::{Deserialize, Serialize};

use crate::node::NodeView;

/// POST `/api/v1/bootstrap/register`. Authorised by the token it carries (in the body, or as a bearer).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RegisterRequest {
    /// The bootstrap token; may stand in the Authorization header instead.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The machine's host name.
    pub hostname: String,
    /// Where its exporters are reached.
    pub ip_address: String,
    /// Its own labels.
    pub labels: Labels,
    /// Anything worth keeping; at most 16 KiB.
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// Its metrics endpoints.
    pub exporters: Vec<ExporterInfo>,
    /// What it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_info: Option<SystemInfo>,
    /// The Ed25519 public key it made, 32 bytes as base64. Then the header `AAMI-Proof` must carry a
    /// signature over `aami-register-1\n` and the exact body bytes, as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_key: Option<String>,
    /// SHA-256 of the credential it made, lower-case hex; required with `node_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_hash: Option<String>,
    /// The fingerprint of its hardware, lower-case hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Its machine-id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// The run that installs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}

impl std::fmt::Debug for RegisterRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisterRequest")
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// One exporter of a registering node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExporterInfo {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ExporterKind,
    /// Its TCP port.
    pub port: u16,
    /// Where its metrics are; `/metrics` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_path: Option<String>,
    /// How often to scrape it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrape_interval: Option<String>,
    /// Anything worth keeping about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, serde_json::Value>,
}

impl ExporterInfo {
    /// An exporter with the usual path.
    pub const fn new(kind: ExporterKind, port: u16) -> Self {
        Self {
            kind,
            port,
            metrics_path: None,
            scrape_interval: None,
            config: BTreeMap::new(),
        }
    }

    /// As it is kept.
    pub fn into_exporter(self) -> Exporter {
        let mut exporter = Exporter::new(self.kind, self.port);
        if let Some(path) = self.metrics_path.filter(|path| !path.is_empty()) {
            exporter.metrics_path = path;
        }
        exporter.scrape_interval = self.scrape_interval.filter(|text| !text.is_empty());
        exporter.config = self.config;
        exporter
    }
}

/// The answer to a registration.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Registered {
    /// The node.
    pub node: NodeView,
    /// Its exporters, each with its id.
    pub exporters: Vec<ExporterView>,
    /// What the token is good for now.
    pub token: TokenUsage,
    /// The node's credential, where the control plane made it (a request without `node_key`). Shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Whether the control plane holds the hash of the credential the node made.
    pub credential_confirmed: bool,
    /// Whether the node was known already and nothing was used up.
    pub known: bool,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registered")
            .field("node", &self.node.id)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

/// How far a token is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenUsage {
    /// Its public half.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// How many nodes may enrol.
    pub max_uses: u32,
    /// How many have.
    pub used: u32,
    /// How many more may.
    pub remaining: u32,
}

/// An exporter as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExporterView {
    /// `<node id>.<type>-<port>`.
    pub id: String,
    /// The node it runs on.
    pub node_id: aami_model::NodeId,
    /// The exporter.
    #[serde(flatten)]
    pub exporter: Exporter,
}

impl ExporterView {
    /// An exporter of `node`.
    pub fn of(node: &aami_model::NodeId, exporter: &Exporter) -> Self {
        Self {
            id: format!("{node}.{}", exporter.name()),
            node_id: node.clone(),
            exporter: exporter.clone(),
        }
    }
}
