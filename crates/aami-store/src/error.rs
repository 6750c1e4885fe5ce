//! What can go wrong with a store.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use aami_model::code::{self, Code};

use crate::entry::Revision;
use crate::key::Key;
use crate::lease::LeaseId;

/// The engine's own error. Shared, because one failed commit answers many callers.
pub(crate) type Cause = Arc<dyn Error + Send + Sync>;

/// Why a request was not carried out. None of these leaves a change behind.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine refused or did not answer in time.
    #[error("the store at {place} does not answer")]
    Unavailable {
        /// Which engine, where.
        place: String,
        /// What it said.
        #[source]
        source: Cause,
    },
    /// Another process holds the data folder.
    #[error("{} is held by {}", path.display(), holder.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process, when it could be read.
        holder: Option<u32>,
    },
    /// More than etcd's limits.
    #[error("a transaction of {found} {what} is over the limit of {limit}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How many there were.
        found: usize,
        /// How many may be.
        limit: usize,
    },
    /// Two operations of one transaction on the same key.
    #[error("a transaction changes {key} twice")]
    KeyTwice {
        /// The key.
        key: Key,
    },
    /// The disk, or etcd's quota, is full. Reads go on.
    #[error("no space is left for the store at {place}")]
    DiskFull {
        /// Which engine, where.
        place: String,
        /// What it said.
        #[source]
        source: Cause,
    },
    /// The store holds something that this program did not write, or wrote in another version.
    #[error("the store at {place} cannot be read: {what}")]
    Corrupt {
        /// Which engine, where.
        place: String,
        /// What was found.
        what: String,
    },
    /// The revision asked for has been forgotten; list again from the start.
    #[error("revision {asked} is no longer kept")]
    Compacted {
        /// The revision asked for.
        asked: Revision,
    },
    /// The revision asked for has not been made yet.
    #[error("revision {asked} is not made yet, the store is at {revision}")]
    NotYet {
        /// The revision asked for.
        asked: Revision,
        /// The last one made.
        revision: Revision,
    },
    /// The lease does not exist, or not any more.
    #[error("lease {lease} is over")]
    LeaseEnded {
        /// The lease.
        lease: LeaseId,
    },
    /// The URL names no store.
    #[error("{url} names no store: {reason}")]
    Url {
        /// The URL, without what stands before an `@`.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl StoreError {
    /// The entry of the registry that explains it.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unavailable { .. } | Self::LeaseEnded { .. } => code::STORE_UNAVAILABLE,
            Self::Locked { .. } => code::STORE_LOCKED,
            Self::Limit { .. } | Self::KeyTwice { .. } => code::STORE_LIMIT,
            Self::DiskFull { .. } => code::STORE_DISK_FULL,
            Self::Corrupt { .. } => code::STORE_CORRUPT,
            Self::Compacted { .. } | Self::NotYet { .. } => code::EPOCH_CHANGED,
            Self::Url { .. } => code::CONFIG_INVALID,
        }
    }

    pub(crate) fn unavailable(place: &str, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable {
            place: place.to_owned(),
            source: Arc::new(source),
        }
    }
}

/// For an engine that went away without saying why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Gone(pub(crate) &'static str);
