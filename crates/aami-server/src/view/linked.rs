//! The part of the picture that connected nodes fill: who holds their sockets, what they reported, what they were
//! told to do.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use aami_api::link::FoundExporter;
use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::finding::Finding;
use aami_model::rollout::{RolloutPlan, RolloutStatus};
use aami_model::{CommandId, GroupId, NodeId, OrgId, Timestamp};
use aami_store::{Entry, Key};
use data_encoding::BASE64;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use super::document::{DocumentError, decode};
use super::snapshot::{Held, Touched};
use super::table::{Table, apply};
use crate::peers::Calling;

/// The most a packed text unfolds to; more than anything that is ever packed.
const MOST_UNPACKED: u64 = 4 * 1024 * 1024;

/// Which replica holds a node's socket. Written once a connection: its revision is the connection's generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConnDocument {
    pub(crate) replica: String,
    /// Tells this connection from every other, also where the answer to its transaction is lost.
    pub(crate) nonce: String,
    pub(crate) at: Timestamp,
    pub(crate) agent_version: String,
    pub(crate) arch: String,
    pub(crate) boot_id: String,
    /// The beginning of the SHA-256 of the credential it was opened with.
    #[serde(default)]
    pub(crate) credential: String,
}

impl ConnDocument {
    /// What is kept of a credential's SHA-256: enough to tell a node's credentials apart.
    pub(crate) fn short(credential_hash: &str) -> &str {
        credential_hash.get(..16).unwrap_or(credential_hash)
    }
}

/// What a node reported, and how far its reports have been taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReportedDocument {
    pub(crate) spool: String,
    pub(crate) received: u64,
    pub(crate) findings: Vec<Finding>,
    /// What the control plane itself found about the node.
    pub(crate) observed: Vec<Finding>,
    pub(crate) checks: BTreeMap<String, CheckDocument>,
    pub(crate) xids: Allowance,
    /// Of events of every kind.
    pub(crate) events: Allowance,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inventory_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config_refused: Option<String>,
    pub(crate) discovered: Vec<FoundExporter>,
    /// How the last try to update its agent ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update: Option<TriedDocument>,
    /// The updates of its agent that it did not take since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) untaken: Option<UntakenDocument>,
}

/// How a node's try to update its agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TriedDocument {
    pub(crate) version: String,
    pub(crate) ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) message: String,
    pub(crate) at: Timestamp,
}

/// How often a node did not take an update it was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UntakenDocument {
    pub(crate) version: String,
    pub(crate) times: u32,
    pub(crate) at: Timestamp,
}

/// The update of a group's agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RolloutDocument {
    pub(crate) group: GroupId,
    pub(crate) org: OrgId,
    pub(crate) plan: RolloutPlan,
    pub(crate) status: RolloutStatus,
    pub(crate) status_since: Timestamp,
    /// Why it stopped, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Whether its canaries have stood.
    #[serde(default)]
    pub(crate) past_canaries: bool,
    /// Tries before this are forgotten: an operator let it go on since then.
    pub(crate) tries_since: Timestamp,
    pub(crate) began_at: Timestamp,
    pub(crate) created_by: String,
}

/// How one check of a node ended last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckDocument {
    pub(crate) status: String,
    pub(crate) at: Timestamp,
}

/// How many events a node has raised, since when, and how many were folded since the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Allowance {
    pub(crate) used: u32,
    pub(crate) since: Option<Timestamp>,
    pub(crate) folded: u64,
}

/// What a node's host is, packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InventoryDocument {
    pub(crate) sha256: String,
    pub(crate) at: Timestamp,
    pub(crate) packed: Packed,
}

/// Something a node was told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommandDocument {
    pub(crate) id: CommandId,
    pub(crate) org: OrgId,
    pub(crate) node: NodeId,
    pub(crate) command: NodeCommand,
    pub(crate) status: CommandStatus,
    pub(crate) timeout_seconds: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accepted_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Packed>,
}

/// A text, deflated, as base64: documents are JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Packed(String);

impl Packed {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        // Writing into memory cannot fail.
        let _ = encoder.write_all(bytes);
        Self(BASE64.encode(&encoder.finish().unwrap_or_default()))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let packed = BASE64.decode(self.0.as_bytes()).unwrap_or_default();
        let mut bytes = Vec::new();
        let _ = DeflateDecoder::new(&packed[..])
            .take(MOST_UNPACKED)
            .read_to_end(&mut bytes);
        bytes
    }
}

/// A control plane among those that share the store, on its lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReplicaDocument {
    /// The version of documents it reads.
    pub(crate) reads: u32,
    /// How nodes and people reach it.
    pub(crate) url: String,
    /// How the others call it; one of before they did has nothing here.
    #[serde(default)]
    pub(crate) peer: Calling,
}

/// What is known of connected nodes.
#[derive(Clone, Default)]
pub(crate) struct Linked {
    pub(crate) conns: Table<NodeId, ConnDocument>,
    pub(crate) reported: Table<NodeId, ReportedDocument>,
    pub(crate) inventories: Table<NodeId, InventoryDocument>,
    pub(crate) commands: Table<CommandId, CommandDocument>,
    /// The same by node: there are many in the fleet and few of each.
    commands_by_node: OrdSet<(NodeId, CommandId)>,
    pub(crate) rollouts: Table<GroupId, RolloutDocument>,
    replicas: OrdMap<String, Arc<Calling>>,
}

impl Linked {
    /// Who holds a node's socket, and since which generation.
    pub(crate) fn conn(&self, node: &NodeId) -> Option<&Arc<Held<ConnDocument>>> {
        self.conns.get(node)
    }

    /// Whether a replica's lease holds.
    pub(crate) fn is_alive(&self, replica: &str) -> bool {
        self.replicas.contains_key(replica)
    }

    /// How a replica is called whose lease holds.
    pub(crate) fn replica(&self, id: &str) -> Option<&Arc<Calling>> {
        self.replicas.get(id)
    }

    /// All of them.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = (&String, &Arc<Calling>)> {
        self.replicas.iter()
    }

    /// The commands of a node, the newest first.
    pub(crate) fn commands_of<'a>(
        &'a self,
        node: &'a NodeId,
    ) -> impl Iterator<Item = &'a Arc<Held<CommandDocument>>> {
        let from = (node.clone(), CommandId::lowest());
        let own = self
            .commands_by_node
            .range(from..)
            .take_while(move |(owner, _)| owner == node);
        let found: Vec<_> = own.filter_map(|(_, id)| self.commands.get(id)).collect();
        found.into_iter().rev()
    }

    fn place_command(
        &mut self,
        key: &Key,
        id: &CommandId,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        let before = self.commands.get(id).map(|held| held.doc.node.clone());
        apply(&mut self.commands, key, id.as_str(), entry)?;
        let after = self.commands.get(id).map(|held| held.doc.node.clone());
        if before == after {
            return Ok(());
        }
        if let Some(node) = before {
            self.commands_by_node.remove(&(node, id.clone()));
        }
        if let Some(node) = after {
            self.commands_by_node.insert((node, id.clone()));
        }
        Ok(())
    }

    /// Takes in a change under one of the rooms that are kept here.
    pub(super) fn apply(
        &mut self,
        room: &str,
        key: &Key,
        id: &str,
        entry: Option<&Entry>,
        touched: &mut Touched,
    ) -> Result<(), DocumentError> {
        match room {
            "conn" => {
                apply(&mut self.conns, key, id, entry)?;
                touched.conns.extend(id.parse::<NodeId>());
            }
            "findings" => apply(&mut self.reported, key, id, entry)?,
            "inventories" => apply(&mut self.inventories, key, id, entry)?,
            "commands" => {
                if let Ok(id) = id.parse::<CommandId>() {
                    self.place_command(key, &id, entry)?;
                    touched.commands.insert(id);
                }
            }
            "rollouts" => {
                apply(&mut self.rollouts, key, id, entry)?;
                // What its nodes are to be configured to follows from it.
                touched.groups.extend(id.parse::<GroupId>());
            }
            "replicas" => match entry {
                Some(entry) => {
                    let document: ReplicaDocument = decode(key, &entry.value)?;
                    self.replicas.insert(id.to_owned(), Arc::new(document.peer));
                }
                None => {
                    self.replicas.remove(id);
                }
            },
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_unfolds_to_itself_and_garbage_to_nothing() {
        let text = "one line after the other\n".repeat(1000);
        let packed = Packed::of(text.as_bytes());
        assert!(packed.0.len() < text.len() / 10);
        assert_eq!(packed.bytes(), text.as_bytes());
        assert_eq!(Packed("no base64!".to_owned()).bytes(), b"");
    }
}
