//! One installer at a time on a host.
//!
//! An advisory lock of the kernel on a file that says who holds it. It ends with the process,
//! however that ends, so there is never a stale lock to remove.

use std::fs::{File, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use aami_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::path::HostPath;
use crate::root::FsError;
use crate::tracking::PlanId;

/// How long a lock that is held may be silent about by whom (between locking and writing).
const SILENCE: Duration = Duration::from_millis(300);
/// How often the file may be replaced under us before we give up.
const RACES: usize = 16;

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process number.
    pub pid: u32,
    /// `cluster/plan`.
    pub plan: String,
    /// Since when.
    pub started_at: Timestamp,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("held")]
    Held(Option<Holder>),
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: HostPath,
}

impl Lock {
    /// Takes the lock at `path` at once or not at all.
    pub(crate) fn take(host: &Host, path: &HostPath, plan: &PlanId) -> Result<Self, LockError> {
        let root = &host.root;
        let fail = |source| FsError {
            doing: "lock",
            path: path.clone(),
            source,
        };
        for _ in 0..RACES {
            if let Some(folder) = path.parent() {
                root.make_folders(&folder, 0o755)?;
            }
            let file = match root.open_lock(path) {
                // The holder just removed the folder.
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(patient_holder(host, path))),
                Err(TryLockError::Error(source)) => return Err(fail(source).into()),
                Ok(()) => {}
            }
            // The holder removes the file when it ends; a lock on a removed file locks nobody out.
            let ours = file.metadata().map_err(fail)?.ino();
            let there = root
                .open_file(path)?
                .map(|there| there.metadata().map(|meta| meta.ino()));
            if there.transpose().map_err(fail)? != Some(ours) {
                continue;
            }
            let mut lock = Self {
                file,
                path: path.clone(),
            };
            lock.sign(host, plan).map_err(fail)?;
            return Ok(lock);
        }
        Err(LockError::Held(None))
    }

    fn sign(&mut self, host: &Host, plan: &PlanId) -> std::io::Result<()> {
        let holder = Holder {
            pid: std::process::id(),
            plan: plan.to_string(),
            started_at: host.clock.now(),
        };
        let line = serde_json::to_vec(&holder)?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&line)
    }

    /// Gives the lock back, and removes its file and the folder it lies in where that is empty.
    pub(crate) fn release_for_good(self, host: &Host) {
        let folder = self.path.parent();
        self.release(host);
        if let Some(folder) = folder.filter(|folder| folder.name() == "aami" || folder.name() == ".aami") {
            let _ = host.root.remove_folder(&folder);
        }
    }

    /// Gives the lock back, and removes its file.
    pub(crate) fn release(self, host: &Host) {
        // Removed while still held, so nobody can lock the file between the two.
        let _ = host.root.remove(&self.path);
        drop(self.file);
    }
}

/// Who holds the lock at `path`; `None` where nobody does, or it cannot be told.
pub(crate) fn holder(host: &Host, path: &HostPath) -> Option<Holder> {
    let file = host.root.open_file(path).ok()??;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read(host, path),
        _ => None,
    }
}

fn patient_holder(host: &Host, path: &HostPath) -> Option<Holder> {
    let started = host.clock.elapsed();
    loop {
        let found = read(host, path);
        if found.is_some() || host.clock.elapsed().saturating_sub(started) > SILENCE {
            return found;
        }
        host.clock.wait(Duration::from_millis(10));
    }
}

fn read(host: &Host, path: &HostPath) -> Option<Holder> {
    serde_json::from_slice(&host.root.read(path, 4096).ok()??).ok()
}
