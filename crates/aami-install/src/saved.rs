//! The bytes of files from before they were replaced, each under its SHA-256.

use std::fs::File;

use crate::digest::Digest;
use crate::path::HostPath;
use crate::root::{Attributes, FsError, Root};

/// The folder of saved originals of one plan.
pub(crate) struct Saved<'a> {
    root: &'a Root,
    folder: &'a HostPath,
}

impl<'a> Saved<'a> {
    pub(crate) const fn new(root: &'a Root, folder: &'a HostPath) -> Self {
        Self { root, folder }
    }

    fn path(&self, digest: Digest) -> HostPath {
        self.folder.below(&digest.to_string())
    }

    /// Saves the file at `from` under `digest`, durably but for the folder's own entry. `false` when
    /// its content is another by now.
    pub(crate) fn save(&self, from: &HostPath, digest: Digest) -> Result<bool, FsError> {
        let path = self.path(digest);
        if self.root.digest(&path)? == Some(digest) {
            return Ok(true);
        }
        let Some(mut file) = self.root.open_file(from)? else {
            return Ok(false);
        };
        self.root.make_folders(self.folder, 0o700)?;
        self.root.replace(&path, &mut file, Attributes::PRIVATE, true)?;
        if self.root.digest(&path)? == Some(digest) {
            return Ok(true);
        }
        self.root.remove(&path)?;
        Ok(false)
    }

    /// Saves these bytes, which have this digest, durably but for the folder's own entry.
    pub(crate) fn keep(&self, bytes: &[u8], digest: Digest) -> Result<(), FsError> {
        let path = self.path(digest);
        if self.root.digest(&path)? == Some(digest) {
            return Ok(());
        }
        self.root.make_folders(self.folder, 0o700)?;
        let mut bytes = bytes;
        self.root.replace(&path, &mut bytes, Attributes::PRIVATE, true)
    }

    /// Removes what is saved under `digest`; that there is nothing is fine.
    pub(crate) fn forget(&self, digest: Digest) -> Result<(), FsError> {
        self.root.remove(&self.path(digest))
    }

    /// Makes the names of what was saved durable.
    pub(crate) fn sync(&self) -> Result<(), FsError> {
        self.root.sync_folder(self.folder)
    }

    /// The saved bytes, checked against their name; `None` where they are missing or damaged.
    pub(crate) fn open(&self, digest: Digest) -> Result<Option<File>, FsError> {
        let path = self.path(digest);
        if self.root.digest(&path)? != Some(digest) {
            return Ok(None);
        }
        self.root.open_file(&path)
    }

    /// Hands what is saved under `digest` to another plan. `false` where it is missing.
    pub(crate) fn pass_on(&self, digest: Digest, to: &Self) -> Result<bool, FsError> {
        let passed = to.save(&self.path(digest), digest)?;
        if passed {
            to.sync()?;
        }
        Ok(passed)
    }
}
