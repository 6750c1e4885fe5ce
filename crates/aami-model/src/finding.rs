//! One observation about a node's health, with what to do about it.
//!
//! A node reports all its findings at once: what it no longer reports is over. They change no status: health and
//! reachability are separate.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// At most this many findings a node has; what is more is left out, the gravest are kept.
pub const MOST_FINDINGS: usize = 64;
/// The longest sentence of one, in characters.
pub const LONGEST_TEXT: usize = 500;

/// How grave it is. The order is the order of gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Needs somebody, not now.
    Warning,
    /// Work on this node is lost or wrong.
    Critical,
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Finding {
    /// What it is, `UPPER_SNAKE`, e.g. `GPU_COUNT_CHANGED`; one finding a code and subject.
    pub code: String,
    /// What it is about on this node, e.g. a PCI address; empty for the node itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// How grave it is.
    pub severity: Severity,
    /// One sentence with the figures.
    pub summary: String,
    /// What to do about it, one sentence.
    pub action: String,
    /// Since when it holds, by the node's clock.
    pub since: Timestamp,
}
