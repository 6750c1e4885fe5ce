//! One bulk action over many nodes: what is done, to which of them, how far it is, and what came of each.
//!
//! A batch is worked through in the order of the nodes' ids, a bounded piece at a time; [`Batch::turn`] says which.
//! Which nodes a selection means is judged when their turn comes, among those that were known when it began.

use serde::{Deserialize, Serialize};

use crate::label::Labels;
use crate::node_status::NodeStatus;
use crate::{BatchId, NodeId, OrgId, Timestamp};

/// The most nodes one batch may name one by one. More are selected by group or label.
pub const MOST_NAMED: usize = 1000;
/// How many results one page holds: so many nodes are done between two notes of how far it is.
pub const PAGE: usize = 64;

/// What is done to each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum BatchAction {
    /// Takes it out: still scraped, but silent.
    Maintenance {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Until when; then it comes back by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Brings it back.
    Resume,
    /// Takes it out for good.
    Retire {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Takes a retired one back.
    Restore,
    /// Changes its labels; those that are not named stay.
    Label {
        /// These are set.
        #[serde(default)]
        set: Labels,
        /// These are taken away.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<String>,
    },
}

impl BatchAction {
    /// Its name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Maintenance { .. } => "maintenance",
            Self::Resume => "resume",
            Self::Retire { .. } => "retire",
            Self::Restore => "restore",
            Self::Label { .. } => "label",
        }
    }
}

/// Which nodes are meant: those named, or those that fit all the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Selection {
    /// These, in ascending order; at most [`MOST_NAMED`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeId>,
    /// Of this group, by id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// With all of these labels of their own.
    pub labels: Labels,
    /// In this status when their turn comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum BatchStatus {
    /// Being worked through.
    Running,
    /// Every node had its turn.
    Completed,
    /// Ended before that, by somebody or because it may no longer go on; what was done stays.
    Cancelled,
}

impl BatchStatus {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Running, Self::Completed, Self::Cancelled]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// What came of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NodeOutcome {
    /// It was changed.
    Done,
    /// It was as wanted already.
    Unchanged,
    /// It was refused, and the result says why.
    Refused,
}

impl NodeOutcome {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Done, Self::Unchanged, Self::Refused]
            .into_iter()
            .find(|outcome| outcome.name() == name)
    }
}

/// What came of one node, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NodeResult {
    /// Which.
    pub node: NodeId,
    /// What it was called; empty where it is no more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// What came of it.
    pub outcome: NodeOutcome,
    /// Its status afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
    /// The code it was refused with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it was refused, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How many nodes came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Counts {
    /// Were changed.
    pub done: u32,
    /// Were as wanted already.
    pub unchanged: u32,
    /// Were refused.
    pub refused: u32,
}

impl Counts {
    /// How many had their turn.
    pub const fn all(self) -> u32 {
        self.done + self.unchanged + self.refused
    }

    /// Counts one more.
    pub const fn add(&mut self, outcome: NodeOutcome) {
        match outcome {
            NodeOutcome::Done => self.done += 1,
            NodeOutcome::Unchanged => self.unchanged += 1,
            NodeOutcome::Refused => self.refused += 1,
        }
    }
}

/// A batch as it is kept. Its results are in pages of their own, so that this stays small however many nodes there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
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
    /// How many nodes it meant when it began.
    pub total: u32,
    /// What came of those that had their turn.
    pub counts: Counts,
    /// How many pages of results there are.
    pub pages: u32,
    /// Whose turn it is now, at most [`PAGE`]: noted before the first of them is touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turn: Vec<NodeId>,
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

impl Batch {
    /// Whether there is something left to be done or to be noted.
    pub fn is_open(&self) -> bool {
        self.status == BatchStatus::Running || !self.turn.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_reads_back_and_one_nobody_knows_is_none() {
        for text in [
            r#"{"kind":"maintenance","reason":"fans"}"#,
            r#"{"kind":"resume"}"#,
            r#"{"kind":"label","set":{"rack":"A1"},"remove":["row"]}"#,
        ] {
            let action: BatchAction = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&action).unwrap(), text);
        }
        assert!(serde_json::from_str::<BatchAction>(r#"{"kind":"purge"}"#).is_err());
        assert!(serde_json::from_str::<BatchAction>(r#"{"kind":"run","command":"reboot"}"#).is_err());
    }

    #[test]
    fn every_node_counts_once() {
        let mut counts = Counts::default();
        for outcome in [NodeOutcome::Done, NodeOutcome::Refused, NodeOutcome::Done] {
            counts.add(outcome);
        }
        assert_eq!(
            (counts.done, counts.unchanged, counts.refused, counts.all()),
            (2, 0, 1, 3)
        );
    }
}
