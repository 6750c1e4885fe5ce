//! What one replica tells another: JSON, as large as a node's socket takes at most.

use aami_api::link::Resources;
use aami_model::{NodeId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::dashboards::Fraction;

/// How many nodes one frame tells of.
pub(super) const NODES: usize = 256;
/// How many runs one frame tells of.
pub(super) const RUNS: usize = 1024;
/// The largest that is taken: 64 GPUs a node fit.
pub(super) const LARGEST: usize = 8 * 1024 * 1024;

/// What is new. Nothing at all says that the replica is there.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Frame {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) nodes: Vec<NodeHeard>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) runs: Vec<RunAt>,
}

/// When a node was last heard, and what it said of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeHeard {
    pub(crate) id: NodeId,
    pub(crate) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resources: Option<Box<Resources>>,
}

/// How far the step of a run is.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunAt {
    pub(super) id: RunId,
    pub(super) fraction: Fraction,
}
