//! Bulk actions over many nodes: `/api/v1/batches`.

use aami_model::batch::{Batch, BatchAction, BatchStatus, Counts, NodeResult, Selection};
use aami_model::label::Labels;
use aami_model::node_status::NodeStatus;
use aami_model::{BatchId, OrgId, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// POST `/api/v1/batches`. Nodes are either named, or selected by group, labels and status, all of which must fit.
///
/// What is misspelt here would mean more nodes than were meant, so nothing unknown is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateBatch {
    /// What is done to each node.
    pub action: BatchAction,
    /// These nodes, by id or hostname; at most 1000, and not an empty list.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// The nodes of this group, by id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The nodes with all of these labels of their own.
    #[serde(default)]
    pub labels: Labels,
    /// The nodes in this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
    /// Says that every node is meant, where nothing else is said.
    #[serde(default)]
    pub all: bool,
    /// Only nodes of this tenant; of all that the caller sees where absent and the caller sees all, else of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
}

/// A list of names that is there names somebody: an empty one is not every node.
fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if names.is_empty() {
        return Err(D::Error::custom(
            "`nodes` names nobody; leave it out to select nodes otherwise",
        ));
    }
    Ok(names)
}

impl CreateBatch {
    /// This action on nobody yet.
    pub fn new(action: BatchAction) -> Self {
        Self {
            action,
            nodes: Vec::new(),
            group: None,
            labels: Labels::default(),
            status: None,
            all: false,
            org: None,
        }
    }
}

/// A batch as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchView {
    /// Its id.
    pub id: BatchId,
    /// The tenant whose nodes it may touch; every tenant's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// What is done.
    pub action: BatchAction,
    /// To which nodes.
    pub selection: Selection,
    /// How far it is.
    pub status: BatchStatus,
    /// Why it ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// How many nodes it meant when it began. Those that changed since may count otherwise in the end.
    pub total: u32,
    /// What came of those that had their turn.
    pub counts: Counts,
    /// Whose word it is, e.g. `key:abc`.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last got on.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl From<&Batch> for BatchView {
    fn from(batch: &Batch) -> Self {
        Self {
            id: batch.id.clone(),
            org: batch.org.clone(),
            action: batch.action.clone(),
            selection: batch.selection.clone(),
            status: batch.status,
            status_reason: batch.status_reason.clone(),
            total: batch.total,
            counts: batch.counts,
            created_by: batch.created_by.clone(),
            created_at: batch.created_at,
            updated_at: batch.updated_at,
            ended_at: batch.ended_at,
        }
    }
}

/// GET `/api/v1/batches/{id}/results`: what came of each node, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchResults {
    /// A page of them.
    pub items: Vec<NodeResult>,
    /// Hand this back as `page_token` for the next page; absent on the last one there is so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
