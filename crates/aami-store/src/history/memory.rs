//! History in memory: for tests and simulation.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::record::Gathering;
use super::{History, HistoryPage, HistoryQuery, Keep, Kind, Reading, Record, check};
use crate::error::StoreError;

#[derive(Default)]
struct Kept {
    records: BTreeMap<u64, Record>,
    pruned: u64,
}

/// A history that ends with the process.
#[derive(Default)]
pub struct MemoryHistory {
    kinds: Mutex<BTreeMap<Kind, Kept>>,
}

impl MemoryHistory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<Kind, Kept>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl History for MemoryHistory {
    async fn append(&self, records: Vec<Record>) -> Result<usize, StoreError> {
        check(&records)?;
        let mut kinds = self.kinds();
        let mut new = 0;
        for record in records {
            let kept = kinds.entry(record.kind).or_default();
            if record.seq > kept.pruned && !kept.records.contains_key(&record.seq) {
                kept.records.insert(record.seq, record);
                new += 1;
            }
        }
        Ok(new)
    }

    async fn read(&self, query: HistoryQuery) -> Result<HistoryPage, StoreError> {
        let kinds = self.kinds();
        let empty = Kept::default();
        let kept = kinds.get(&query.kind).unwrap_or(&empty);
        let range: Box<dyn Iterator<Item = &Record>> = match query.reading {
            Reading::After(seq) => Box::new(
                kept.records
                    .range((Bound::Excluded(seq), Bound::Unbounded))
                    .map(|(_, record)| record),
            ),
            Reading::Before(seq) => Box::new(kept.records.range(..seq).rev().map(|(_, record)| record)),
        };
        let mut gathering = Gathering::new(query.limit);
        let more = range
            .filter(|record| query.wants(record))
            .any(|record| !gathering.offer(record.clone()));
        Ok(gathering.finish(query.reading, more, kept.pruned))
    }

    async fn last(&self, kind: Kind) -> Result<Option<u64>, StoreError> {
        Ok(self
            .kinds()
            .get(&kind)
            .and_then(|kept| kept.records.keys().next_back().copied()))
    }

    async fn reached(&self, kind: Kind) -> Result<u64, StoreError> {
        let kinds = self.kinds();
        let reached = kinds.get(&kind).map(|kept| {
            let last = kept.records.keys().next_back().copied();
            last.unwrap_or(0).max(kept.pruned)
        });
        Ok(reached.unwrap_or(0))
    }

    async fn lack(&self, kind: Kind, through: u64) -> Result<(), StoreError> {
        let mut kinds = self.kinds();
        let kept = kinds.entry(kind).or_default();
        kept.pruned = kept.pruned.max(through);
        Ok(())
    }

    async fn prune(&self, kind: Kind, keep: Keep) -> Result<u64, StoreError> {
        let mut kinds = self.kinds();
        let Some(kept) = kinds.get_mut(&kind) else {
            return Ok(0);
        };
        let mut removed = 0;
        while let Some(oldest) = kept.records.first_entry() {
            let old = keep.since.is_some_and(|since| oldest.get().at < since);
            let seq = *oldest.key();
            let many = keep
                .newest
                .is_some_and(|newest| kept.records.len() as u64 > newest);
            if !(old || many) {
                break;
            }
            kept.records.remove(&seq);
            kept.pruned = kept.pruned.max(seq);
            removed += 1;
        }
        Ok(removed)
    }
}
