//! The backend that keeps everything in memory: for tests and simulation. It refuses whatever the
//! others would refuse.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::Store;
use crate::apply::{Applied, Commit, Rows, apply};
use crate::entry::{Entry, Revision};
use crate::error::StoreError;
use crate::key::{Key, Prefix};
use crate::lease::{Lease, LeaseId, bounded};
use crate::limits::Limits;
use crate::page::{Gathering, Page, PageRequest};
use crate::ring::{Past, Ring, RingSize};
use crate::txn::{Txn, TxnOutcome};
use crate::watch::WatchStream;

/// Here the ring is the log: what falls out of it is compacted.
const LOG: RingSize = RingSize {
    commits: 100_000,
    bytes: 64 * 1024 * 1024,
};

/// A store in memory. Copies share it; it ends with the last of them.
#[derive(Clone)]
pub struct MemoryStore {
    rows: Arc<Mutex<Table>>,
    ring: Arc<Ring>,
}

#[derive(Default)]
struct Table {
    rows: BTreeMap<Key, (Entry, Option<LeaseId>)>,
    leases: HashMap<LeaseId, Running>,
    last_lease: i64,
}

struct Running {
    ttl: Duration,
    deadline: Instant,
}

impl Rows for Table {
    type Error = Infallible;

    fn get(&mut self, key: &Key) -> Result<Option<Entry>, Infallible> {
        Ok(self.rows.get(key).map(|(entry, _)| entry.clone()))
    }

    fn lease_lives(&mut self, lease: LeaseId) -> Result<bool, Infallible> {
        Ok(self.leases.contains_key(&lease))
    }

    fn put(&mut self, entry: &Entry, lease: Option<LeaseId>) -> Result<(), Infallible> {
        self.rows.insert(entry.key.clone(), (entry.clone(), lease));
        Ok(())
    }

    fn delete(&mut self, key: &Key) -> Result<(), Infallible> {
        self.rows.remove(key);
        Ok(())
    }
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            rows: Arc::default(),
            ring: Ring::new(LOG, Revision::FIRST, Revision::ZERO),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies under the table's lock, so that the order in the ring is the order of revisions.
    fn commit(&self, table: &mut Table, txn: &Txn) -> Result<TxnOutcome, StoreError> {
        let Ok(applied) = apply(table, txn, self.ring.head().next());
        match applied {
            Applied::Conflict(compared) => Ok(TxnOutcome::Conflict(compared)),
            Applied::LeaseEnded(lease) => Err(StoreError::LeaseEnded { lease }),
            Applied::Unchanged => Ok(TxnOutcome::Committed(self.ring.head())),
            Applied::Changed(commit) => {
                let revision = commit.revision;
                self.ring.publish(vec![Arc::new(commit)]);
                Ok(TxnOutcome::Committed(revision))
            }
        }
    }

    fn end(&self, table: &mut Table, lease: LeaseId) {
        if table.leases.remove(&lease).is_none() {
            return;
        }
        let held = table.rows.iter().filter(|(_, (_, of))| *of == Some(lease));
        let txn = held.fold(Txn::new(), |txn, (key, _)| txn.delete(key.clone()));
        // Deletions ask nothing, so nothing can refuse them.
        let _ = self.commit(table, &txn);
    }

    /// The undo of every change under `prefix` since `revision`, by key.
    fn undo(&self, prefix: &Prefix, revision: Revision) -> Result<BTreeMap<Key, Option<Entry>>, StoreError> {
        let mut undo = BTreeMap::new();
        if revision == self.ring.head() {
            return Ok(undo);
        }
        if revision < self.ring.compacted() || revision > self.ring.head() {
            return Err(StoreError::Compacted { asked: revision });
        }
        let since = self.ring.read(revision.next(), usize::MAX);
        for commit in since.ok_or(StoreError::Compacted { asked: revision })? {
            for logged in commit
                .changes
                .iter()
                .filter(|logged| prefix.holds(logged.change.key()))
            {
                undo.entry(logged.change.key().clone())
                    .or_insert_with(|| logged.before.clone());
            }
        }
        Ok(undo)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        Ok(self.table().rows.get(key).map(|(entry, _)| entry.clone()))
    }

    async fn list(&self, prefix: &Prefix, page: PageRequest) -> Result<Page, StoreError> {
        let table = self.table();
        let (revision, last) = match page.token {
            Some(token) => (token.revision, Some(token.last)),
            None => (self.ring.head(), None),
        };
        let undo = self.undo(prefix, revision)?;
        let start = match &last {
            Some(last) => Bound::Excluded(last.as_str()),
            None => Bound::Included(prefix.as_str()),
        };
        let now = table.rows.range::<str, _>((start, Bound::Unbounded));
        let now = now
            .map(|(key, (entry, _))| (key, entry))
            .take_while(|(key, _)| prefix.holds(key));
        let now = now.filter(|(key, _)| !undo.contains_key(*key));
        let then = undo.range::<str, _>((start, Bound::Unbounded));
        let mut all: Vec<&Entry> = now
            .map(|(_, entry)| entry)
            .chain(then.filter_map(|(_, before)| before.as_ref()))
            .collect();
        all.sort_unstable_by(|a, b| a.key.cmp(&b.key));

        let mut gathering = Gathering::new(page.limit);
        let more = all.into_iter().any(|entry| !gathering.offer(entry.clone()));
        Ok(gathering.finish(revision, more))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        Limits::ETCD.check(&txn)?;
        self.commit(&mut self.table(), &txn)
    }

    fn watch(&self, prefix: &Prefix, from: Revision) -> WatchStream {
        self.ring.watch(Arc::new(Nothing), prefix, from)
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, StoreError> {
        let ttl = bounded(ttl);
        let mut table = self.table();
        table.last_lease += 1;
        let id = LeaseId::new(table.last_lease);
        table.leases.insert(
            id,
            Running {
                ttl,
                deadline: Instant::now() + ttl,
            },
        );
        tokio::spawn(end_in_time(
            Arc::downgrade(&self.rows),
            Arc::downgrade(&self.ring),
            id,
        ));
        Ok(Lease { id, ttl })
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        match self.table().leases.get_mut(&lease) {
            Some(running) => {
                running.deadline = Instant::now() + running.ttl;
                Ok(())
            }
            None => Err(StoreError::LeaseEnded { lease }),
        }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.end(&mut self.table(), lease);
        Ok(())
    }

    async fn compact(&self, to: Revision) -> Result<(), StoreError> {
        let revision = self.ring.head();
        if to > revision {
            return Err(StoreError::NotYet { asked: to, revision });
        }
        self.ring.compact(to);
        Ok(())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.ring.head())
    }
}

/// Ends a lease when its time is over, unless the store or the lease ends before.
async fn end_in_time(rows: Weak<Mutex<Table>>, ring: Weak<Ring>, lease: LeaseId) {
    loop {
        let deadline = {
            let (Some(rows), Some(ring)) = (rows.upgrade(), ring.upgrade()) else {
                return;
            };
            let store = MemoryStore { rows, ring };
            let mut table = store.table();
            match table.leases.get(&lease) {
                Some(running) if running.deadline > Instant::now() => running.deadline,
                Some(_) => return store.end(&mut table, lease),
                None => return,
            }
        };
        tokio::time::sleep_until(deadline).await;
    }
}

/// What lies before the ring: nothing.
struct Nothing;

#[async_trait]
impl Past for Nothing {
    async fn read(&self, _from: Revision) -> Result<Option<Vec<Arc<Commit>>>, StoreError> {
        Ok(None)
    }
}
