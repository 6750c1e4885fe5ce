//! What happened: records that are appended and never changed.
//!
//! [`History`] holds what would be too much for the store and needs no transaction: events, audit
//! entries, tails of step logs, attempts of delivery. A record's number comes from whoever appends it;
//! appending one again does nothing, so a copier that died may begin anew.
//!
//! It decides nothing: what is kept for how long, and who may read what, its callers say.

mod memory;
mod record;
mod sqlite;

use aami_model::Timestamp;
use async_trait::async_trait;

pub use memory::MemoryHistory;
pub use record::{HistoryPage, HistoryQuery, Kind, Reading, Record, STEP_LOG_TAIL, step_log_tail};
pub use sqlite::SqliteHistory;

use crate::error::StoreError;

/// Append-only records, ordered by number within each [`Kind`].
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// Makes records durable, all or none; answers how many are new. One whose kind and number is known
    /// is left as it is, one older than what was pruned is dropped. At most [`MOST_APPENDED`] at once.
    async fn append(&self, records: Vec<Record>) -> Result<usize, StoreError>;

    /// One page of records of one kind.
    async fn read(&self, query: HistoryQuery) -> Result<HistoryPage, StoreError>;

    /// The greatest number of a kind; `None` when there is no record of it.
    async fn last(&self, kind: Kind) -> Result<Option<u64>, StoreError>;

    /// The greatest number of a kind that was ever here, pruned since or not; 0 when there was none.
    async fn reached(&self, kind: Kind) -> Result<u64, StoreError>;

    /// Notes that records up to this number may be missing without ever having been here. What is here stays; readers
    /// are told as of what was pruned.
    async fn lack(&self, kind: Kind, through: u64) -> Result<(), StoreError>;

    /// Removes the oldest records of a kind, up to the first that `keep` keeps; answers how many. Works
    /// in pieces, so that others append meanwhile.
    async fn prune(&self, kind: Kind, keep: Keep) -> Result<u64, StoreError>;
}

/// The most records of one [`History::append`], and of one page.
pub const MOST_APPENDED: usize = 1024;

/// Which records of a kind are kept: those that every limit given keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Those from this point in time on.
    pub since: Option<Timestamp>,
    /// This many of the newest.
    pub newest: Option<u64>,
}

fn check(records: &[Record]) -> Result<(), StoreError> {
    if records.len() > MOST_APPENDED {
        return Err(StoreError::Limit {
            what: "records",
            found: records.len(),
            limit: MOST_APPENDED,
        });
    }
    match records.iter().map(|record| record.json.len()).max() {
        Some(found) if found > record::LARGEST => Err(StoreError::Limit {
            what: "bytes in one record",
            found,
            limit: record::LARGEST,
        }),
        _ => Ok(()),
    }
}
