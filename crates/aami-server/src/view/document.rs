//! How documents are written: JSON objects that begin with their version, `{"v":1,...}`.
//!
//! This program writes version 1 and reads 1. The member comes first so that a reader can tell the
//! version before it believes anything else.

use std::cell::RefCell;
use std::collections::BTreeMap;

use aami_model::event::Event;
use aami_model::hostname::Hostname;
use aami_model::run::{RunStatus, StepOutcome, StepStatus};
use aami_model::{NodeId, OrgId, RunId, Timestamp, TokenId};
use aami_store::Key;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version written.
const VERSION: u32 = 1;
const HEAD: &[u8] = b"{\"v\":1,";
/// How much of the room for writing is kept from one document to the next.
const MOST_KEPT: usize = 64 * 1024;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// A version this program does not know.
    #[error("the document under {key} has version {version}; this program reads version {VERSION}")]
    Version {
        /// Where it stands.
        key: Key,
        /// What it says.
        version: u32,
    },
    /// Not a document.
    #[error("the document under {key} cannot be read")]
    Malformed {
        /// Where it stands.
        key: Key,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

thread_local! {
    /// Where documents are written before they are copied to their size: what is kept holds no room to grow.
    static DRAFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes a document. Every document of ours is a JSON object.
pub(crate) fn encode<T: Serialize>(document: &T) -> Bytes {
    // The object's own brace is where the comma of the head goes.
    let comma = HEAD.len() - 1;
    DRAFT.with_borrow_mut(|draft| {
        draft.clear();
        draft.extend_from_slice(&HEAD[..comma]);
        let written = serde_json::to_writer(&mut *draft, document);
        match draft.get(HEAD.len()) {
            Some(b'"') if written.is_ok() => draft[comma] = b',',
            _ => {
                draft.truncate(comma);
                draft.push(b'}');
            }
        }
        let bytes = Bytes::copy_from_slice(draft);
        draft.shrink_to(MOST_KEPT);
        bytes
    })
}

/// Reads a document.
pub(crate) fn decode<T: DeserializeOwned>(key: &Key, bytes: &[u8]) -> Result<T, DocumentError> {
    let malformed = |source| DocumentError::Malformed {
        key: key.clone(),
        source,
    };
    if !bytes.starts_with(HEAD) {
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        if head.v != VERSION {
            return Err(DocumentError::Version {
                key: key.clone(),
                version: head.v,
            });
        }
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

/// What an index key holds: the thing it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pointer {
    pub(crate) node: NodeId,
}

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunDocument {
    pub(crate) id: RunId,
    pub(crate) org: OrgId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<NodeId>,
    /// Which enrolment of the node this run made: with the next one it has no more to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node_enrolled_at: Option<Timestamp>,
    /// Whether its token was made for that node and it has not registered as yet: its reports move the node, and it
    /// speaks for nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) announced: bool,
    /// What the host is called, where whoever opened the run said so and no token began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<Hostname>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<TokenId>,
    /// SHA-256 of its credential, lower-case hex. It is taken for as long as the run is not over.
    pub(crate) credential_hash: String,
    pub(crate) expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<String>,
    pub(crate) status: RunStatus,
    #[serde(default)]
    pub(crate) steps: Vec<StepDocument>,
    pub(crate) created_at: Timestamp,
    /// When its last try began, by its host's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
    #[serde(default)]
    pub(crate) last_event: u64,
}

impl RunDocument {
    /// A run that was just opened: nothing is known of it but the hash of its credential, and until when that is taken.
    pub(crate) fn opened(
        id: RunId,
        org: OrgId,
        credential_hash: String,
        at: Timestamp,
        until: Timestamp,
    ) -> Self {
        Self {
            id,
            org,
            node: None,
            node_enrolled_at: None,
            announced: false,
            host: None,
            token: None,
            credential_hash,
            expires_at: until,
            plan: None,
            status: RunStatus::Pending,
            steps: Vec::new(),
            created_at: at,
            started_at: None,
            updated_at: at,
            last_event: 0,
        }
    }
}

/// A step of a run as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepDocument {
    pub(crate) id: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) status: StepStatus,
    #[serde(default)]
    pub(crate) attempts: u32,
    /// By its host's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<StepOutcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// What there is to compare where it failed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) details: BTreeMap<String, String>,
}

/// What one transaction tells: written with it, copied to the history after it, then removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutboxDocument {
    pub(crate) at: Timestamp,
    pub(crate) org: OrgId,
    pub(crate) actor: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<Event>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audit: Option<AuditDocument>,
}

/// One mutating call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AuditDocument {
    pub(crate) action: String,
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) data: serde_json::Value,
}

/// That an `Idempotency-Key` was used, for what, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdempotencyDocument {
    pub(crate) request_hash: String,
    pub(crate) subject: String,
    pub(crate) at: Timestamp,
}

/// `meta/cluster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClusterDocument {
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

/// `meta/copied`: the numbers up to which nothing is left in the outbox, for it was copied to the history of whoever led.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopiedDocument {
    pub(crate) event: u64,
    pub(crate) audit: u64,
}

/// `meta/epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochDocument {
    pub(crate) epoch: String,
    pub(crate) base: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_begins_with_its_version() {
        assert_eq!(encode(&serde_json::json!({})), "{\"v\":1}");
        let key: Key = "s/meta/epoch".parse().unwrap();
        let bytes = encode(&EpochDocument {
            epoch: "e".into(),
            base: 7,
        });
        assert_eq!(&bytes[..], br#"{"v":1,"epoch":"e","base":7}"#);
        assert_eq!(decode::<EpochDocument>(&key, &bytes).unwrap().base, 7);
    }

    #[test]
    fn a_document_of_a_later_version_is_refused_not_guessed() {
        let key: Key = "s/meta/epoch".parse().unwrap();
        let error = decode::<EpochDocument>(&key, br#"{"v":9,"epoch":"e","base":7}"#).unwrap_err();
        assert!(
            matches!(error, DocumentError::Version { version: 9, .. }),
            "{error}"
        );
    }
}
