//! A fact that happened, with a sequence number.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EventId, OrgId, Timestamp};

/// How many events one transaction may tell; the sequence number leaves six bits for them.
pub const MOST_EVENTS_A_TRANSACTION: u64 = 64;

/// An event as it is told and kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Event {
    /// Ascending and unique, but not dense.
    pub seq: u64,
    /// Its id, the same wherever it is delivered.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What, e.g. `node.connected`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The tenant it belongs to; `every` where it belongs to all of them at once.
    pub org: OrgId,
    /// What it is about, e.g. `node:abc`.
    pub subject: String,
    /// Who caused it, e.g. `key:abc`.
    pub actor: String,
    /// What is worth knowing about it.
    #[serde(default)]
    pub data: Value,
}

/// The sequence number of the event at `index` in the transaction that was committed at `revision`.
/// A restored store sets `epoch_base` above every revision it ever gave.
pub const fn seq(epoch_base: u64, revision: u64, index: u64) -> u64 {
    (epoch_base + revision) * MOST_EVENTS_A_TRANSACTION + index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_transaction_come_before_those_of_the_next() {
        assert!(seq(0, 5, MOST_EVENTS_A_TRANSACTION - 1) < seq(0, 6, 0));
        assert!(seq(0, 5, 0) < seq(0, 5, 1));
    }
}
