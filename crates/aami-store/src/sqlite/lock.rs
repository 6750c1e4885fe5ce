//! One process per data folder.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::error::StoreError;

/// An exclusive lock on the folder of the store's file, until dropped or until the process ends,
/// however it ends.
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    pub(super) fn take(store: &Path, place: &str) -> Result<Self, StoreError> {
        let failed = |error| StoreError::unavailable(place, error);
        let folder = match store.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let path = folder.join("store.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Who holds it is a courtesy; a file that cannot be read does not change that it is held.
                let _ = (&file).take(32).read_to_string(&mut text);
                return Err(StoreError::Locked {
                    path,
                    holder: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // On a full disk the lock holds all the same, only without a name.
        let _ = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}
