//! The filesystem root of the host being changed, and everything that is ever done below it.
//!
//! Every look-up stays below the root, also where somebody planted a symbolic link: folders on the
//! way are resolved by `openat2(2)` with `RESOLVE_IN_ROOT` (a link to `/x` means `x` below this
//! root), and the last part of a path is never followed. Every change passes a
//! [checkpoint](crate::checkpoint) first.

mod change;
mod entry;
mod look_up;
mod tree;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};

pub(crate) use change::Attributes;
pub use entry::{Entry, Meta};

use crate::checkpoint::{Act, Watch};
use crate::path::HostPath;

/// Something the filesystem refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {source}")]
pub struct FsError {
    /// What was tried, as a verb.
    pub doing: &'static str,
    /// On what.
    pub path: HostPath,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// Whether the disk, or the caller's share of it, is full.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }

    /// Whether the filesystem takes no writes at all.
    pub fn is_read_only(&self) -> bool {
        self.source.kind() == io::ErrorKind::ReadOnlyFilesystem
    }
}

/// How much was done below a root since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes of any kind: files created, names given or removed, modes set.
    pub changes: u64,
    /// Times a file or folder was made durable.
    pub syncs: u64,
}

/// A folder that stands for `/` of the host being changed.
pub struct Root {
    path: PathBuf,
    dir: OwnedFd,
    watch: Option<Arc<dyn Watch>>,
    changes: AtomicU64,
    syncs: AtomicU64,
    alone: Mutex<()>,
}

impl Root {
    /// Opens `path`, which must be a folder. `/` is the running system itself.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self {
            path,
            dir,
            watch: None,
            changes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            alone: Mutex::new(()),
        })
    }

    /// Held by whoever reads a file, changes what it says and writes it back: steps run beside each other, and of two at
    /// once the later would write without the other's change. Other installers are kept away by the host's lock.
    pub(crate) fn alone(&self) -> MutexGuard<'_, ()> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same root with somebody who sees every checkpoint.
    #[must_use]
    pub fn watched(mut self, watch: Arc<dyn Watch>) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Whether this is the running system's own root.
    pub fn is_system(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The folder that stands for `/`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `path` lies for a program outside this root. For handing to others and for messages;
    /// this room itself never opens it.
    pub fn outside(&self, path: &HostPath) -> PathBuf {
        self.path.join(path.relative())
    }

    /// What has been done below this root so far.
    pub fn counts(&self) -> Counts {
        Counts {
            changes: self.changes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
        }
    }

    /// Passes a checkpoint: counts, and lets the watcher cut it off.
    pub(crate) fn checkpoint(&self, act: Act, subject: &str) -> io::Result<()> {
        if let Some(watch) = &self.watch {
            watch.at(act, subject)?;
        }
        match act {
            Act::Sync => self.syncs.fetch_add(1, Ordering::Relaxed),
            Act::Record | Act::Effect | Act::Done => 0,
            _ => self.changes.fetch_add(1, Ordering::Relaxed),
        };
        Ok(())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
