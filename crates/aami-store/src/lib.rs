//! The store of the control plane: a small transactional key-value store that can be watched, over
//! whatever engine the operator chose, and [`history`] for what is only ever appended.
//!
//! Start at [`Store`], and at [`open`] for how one is had from a URL. All keys that state lives
//! under are built in [`keys`]. Every backend keeps one order of revisions, etcd's limits and
//! etcd's meaning of each operation, and passes one conformance suite (`tests/it`), so that a site
//! may move from one to another.
//!
//! This room knows databases and nothing else: no document of AAMI is decoded here, a value is
//! bytes. No other crate of the project may talk to an engine. It does not decide when to compact
//! or to prune; its callers do.

mod apply;
mod entry;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
pub mod history;
mod key;
pub mod keys;
mod lease;
mod limits;
mod memory;
mod open;
mod page;
mod ring;
mod sqlite;
mod txn;
mod watch;

use std::time::Duration;

use async_trait::async_trait;

pub use entry::{Change, Entry, Revision};
pub use error::StoreError;
#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
pub use history::History;
pub use key::{InvalidKey, Key, Prefix};
pub use lease::{Lease, LeaseId};
pub use limits::Limits;
pub use memory::MemoryStore;
pub use open::open;
pub use page::{Page, PageRequest, PageToken};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use txn::{Compare, Compared, Op, Txn, TxnOutcome};
pub use watch::{WatchEvent, WatchStream};

/// A key-value store with one order of revisions.
///
/// Every committed transaction that changed something has one [`Revision`], greater than all before
/// it; its changes are seen together or not at all. Reads are linearizable: they see every
/// transaction that was acknowledged before they began.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The entry under `key` as it is now.
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError>;

    /// One page of the entries under `prefix`, in the order of their keys. All pages of one list
    /// show the store as it was at the revision of the first; when that one is compacted meanwhile,
    /// the next page fails with [`StoreError::Compacted`] and the caller lists again from the start.
    async fn list(&self, prefix: &Prefix, page: PageRequest) -> Result<Page, StoreError>;

    /// Applies all operations of `txn` if all its compares hold, otherwise none.
    ///
    /// An `Err` means that nothing was changed. A caller that stops waiting does not stop the
    /// transaction.
    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, StoreError>;

    /// Every change under `prefix` from the revision `from` on, `from` included: whoever has listed
    /// at revision `r` watches from `r.next()`. See [`WatchEvent`] for what the stream promises.
    ///
    /// The stream holds nothing back: a slow reader costs no memory, only the risk of
    /// [`WatchEvent::Compacted`]. It ends after that event, and when the store is closed.
    fn watch(&self, prefix: &Prefix, from: Revision) -> WatchStream;

    /// Makes a lease that ends when it is not kept alive for `ttl`, at most a day. The engine may lengthen
    /// it (etcd never goes below two seconds or so); the answer says to what.
    ///
    /// Leases are for the few keys that must vanish with their writer, not for fleets.
    async fn grant(&self, ttl: Duration) -> Result<Lease, StoreError>;

    /// Starts the time of a lease anew. Fails with [`StoreError::LeaseEnded`] when it is over.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends a lease now. Its keys are deleted in one revision. Ending one that is over is no error.
    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Forgets how the store looked before `to`, and the changes up to and including it: a watch from
    /// `to` or before gets [`WatchEvent::Compacted`]. Returns when that holds; freeing the space may
    /// take longer. Compacting again to an earlier revision does nothing.
    async fn compact(&self, to: Revision) -> Result<(), StoreError>;

    /// The revision of the last change.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// What one request may hold. The same for every backend.
    fn limits(&self) -> Limits {
        Limits::ETCD
    }
}
