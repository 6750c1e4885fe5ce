//! The default backend: one SQLite file for one control plane, nothing to set up.
//!
//! Write-ahead log with `synchronous=FULL`; one thread writes and packs whatever waits into one
//! commit ([`writer`], [`commit`]); a few read-only connections read ([`readers`]); current values and the log of
//! revisions are separate tables ([`schema`]). The data folder belongs to one process ([`lock`]).

mod commit;
mod lock;
mod readers;
mod rows;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::commit::{Answer, Ask};
use self::lock::FolderLock;
pub(crate) use self::readers::Readers;
pub(crate) use self::schema::{create, failure, prepare};
use self::writer::Writer;
use crate::Store;
use crate::entry::{Entry, Revision};
use crate::error::{Gone, StoreError};
use crate::key::{Key, Prefix};
use crate::lease::{Lease, LeaseId};
use crate::limits::Limits;
use crate::page::{Page, PageRequest};
use crate::ring::{Ring, RingSize};
use crate::txn::{Txn, TxnOutcome};
use crate::watch::WatchStream;

/// What watches are served from before they read the log.
const RING: RingSize = RingSize {
    commits: 8192,
    bytes: 16 * 1024 * 1024,
};
/// Connections that read. Reads are short; more would only contend for two or three cores.
const READERS: usize = 4;

/// How a SQLite store may differ from the usual one.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// The most pages of 4 KiB the file may have; the store is full beyond. Unlimited when `None`.
    pub max_pages: Option<u32>,
}

impl SqliteOptions {
    /// With at most this many pages of 4 KiB.
    #[must_use]
    pub const fn with_max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }
}

/// A store in a SQLite file. It ends, and lets go of its folder, when it is dropped; requests still
/// waiting are carried out before.
pub struct SqliteStore {
    // Dropped in this order: the writer finishes first, the folder is let go last.
    writer: Writer,
    readers: Arc<Readers>,
    ring: Arc<Ring>,
    _lock: FolderLock,
}

impl SqliteStore {
    /// Opens the store in the file at `path`, or in `state.db` when `path` is a folder; makes what is
    /// missing.
    ///
    /// Fails with [`StoreError::Locked`] when another store, of this process or another, holds the
    /// folder, and with [`StoreError::Corrupt`] when the file is not one of ours.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(path, &options));
        opened
            .await
            .map_err(|error| StoreError::unavailable("sqlite", error))?
    }

    fn open_blocking(path: PathBuf, options: &SqliteOptions) -> Result<Self, StoreError> {
        let file = if path.is_dir() {
            path.join("state.db")
        } else {
            path
        };
        let place: Arc<str> = file.display().to_string().into();
        let lock = FolderLock::take(&file, &place)?;
        let opened = schema::open(&file, options, &place)?;
        let ring = Ring::new(RING, opened.revision, opened.compacted);
        let readers = Readers::open(&file, READERS, Arc::clone(&place))?;
        let writer = Writer::start(opened, Arc::clone(&ring), place)?;
        Ok(Self {
            writer,
            readers,
            ring,
            _lock: lock,
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let key = key.clone();
        self.readers
            .read(move |connection| rows::get(connection, &key))
            .await
    }

    async fn list(&self, prefix: &Prefix, page: PageRequest) -> Result<Page, StoreError> {
        let (prefix, asked) = (prefix.clone(), page.token.as_ref().map(|token| token.revision));
        let listed = self
            .readers
            .read(move |connection| readers::list(connection, &prefix, &page))
            .await?;
        listed.ok_or_else(|| StoreError::Compacted {
            asked: asked.unwrap_or_default(),
        })
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        Limits::ETCD.check(&txn)?;
        match self.writer.ask(Ask::Txn(txn)).await? {
            Some(Answer::Txn(outcome)) => Ok(outcome),
            // The writer died over it.
            _ => Ok(TxnOutcome::Unknown),
        }
    }

    fn watch(&self, prefix: &Prefix, from: Revision) -> WatchStream {
        self.ring.watch(Arc::new(Arc::clone(&self.readers)), prefix, from)
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, StoreError> {
        match self.writer.ask(Ask::Grant(ttl)).await? {
            Some(Answer::Lease(lease)) => Ok(lease),
            _ => Err(self.gone()),
        }
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.writer
            .ask(Ask::KeepAlive(lease))
            .await?
            .map(drop)
            .ok_or_else(|| self.gone())
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.writer
            .ask(Ask::End(lease))
            .await?
            .map(drop)
            .ok_or_else(|| self.gone())
    }

    async fn compact(&self, to: Revision) -> Result<(), StoreError> {
        self.writer
            .ask(Ask::Compact(to))
            .await?
            .map(drop)
            .ok_or_else(|| self.gone())
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.ring.head())
    }
}

impl SqliteStore {
    fn gone(&self) -> StoreError {
        StoreError::unavailable(self.writer.place(), Gone("its writer ended before it answered"))
    }
}
