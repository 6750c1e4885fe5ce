//! A managed, installed system.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::exporter::Exporter;
use crate::hostname::Hostname;
use crate::label::Labels;
use crate::machine::SystemInfo;
use crate::node_status::NodeStatus;
use crate::{GroupId, NodeId, OrgId, Timestamp, TokenId, UserId};

/// A node as it is kept. Its exporters live inside it; groups are named, never listed from the other
/// side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// Whose it is within the tenant, where it is somebody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Unique within the tenant.
    pub hostname: Hostname,
    /// Where its exporters are scraped.
    pub ip_address: IpAddr,
    /// Whether the address was named by an operator and stays.
    #[serde(default)]
    pub address_pinned: bool,
    /// Its lifecycle.
    pub status: NodeStatus,
    /// Since when.
    pub status_since: Timestamp,
    /// Why, where there is a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// Whether the last scrape proof succeeded; what `resume` returns to.
    #[serde(default)]
    pub reachable: bool,
    /// Until when its maintenance lasts, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_until: Option<Timestamp>,
    /// Its own labels.
    #[serde(default)]
    pub labels: Labels,
    /// The labels it named when it last registered. What it names anew replaces; what an operator changed
    /// since stays, however often it says the same again.
    #[serde(default)]
    pub reported_labels: Labels,
    /// Anything its registrant wanted kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, serde_json::Value>,
    /// Its groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupId>,
    /// Its metrics endpoints.
    #[serde(default)]
    pub exporters: Vec<Exporter>,
    /// What it said about its system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_info: Option<SystemInfo>,
    /// Who it is.
    #[serde(default)]
    pub identity: Identity,
    /// When it was first known.
    pub created_at: Timestamp,
    /// When it enrolled, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled_at: Option<Timestamp>,
    /// The token it enrolled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
}

impl Node {
    /// When its status is expected to have changed by, where one is expected to.
    pub fn expected_until(&self) -> Option<Timestamp> {
        match (self.status, self.maintenance_until) {
            (NodeStatus::Maintenance, Some(until)) => Some(until),
            (status, _) => status.usual_stay().map(|stay| self.status_since.plus(stay)),
        }
    }
}

/// By what a node is told from every other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Its Ed25519 public key, base64; the node made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_key: Option<String>,
    /// SHA-256 of its credential, lower-case hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_hash: Option<String>,
    /// The fingerprint of its hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Its machine-id: evidence, not identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Until when an operator allows it to enrol again with another key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reenrol_until: Option<Timestamp>,
    /// Keys and hashes of credentials that were rotated away: they never speak for this node again. The newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
}

/// How many keys and credentials are remembered as revoked.
const MOST_REVOKED: usize = 16;

impl Identity {
    /// Takes key and credential away for good: what may be in other hands opens nothing any more.
    pub fn revoke(&mut self) {
        let gone = [self.node_key.take(), self.credential_hash.take()];
        self.revoked.extend(gone.into_iter().flatten());
        let over = self.revoked.len().saturating_sub(MOST_REVOKED);
        self.revoked.drain(..over);
        self.reenrol_until = None;
    }

    /// Whether this key or hash of a credential was rotated away.
    pub fn has_revoked(&self, proof: &str) -> bool {
        self.revoked.iter().any(|gone| gone == proof)
    }
}
