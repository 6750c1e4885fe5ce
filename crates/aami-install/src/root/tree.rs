//! Whole folders: made durable at once, given their name, removed with all that is in them.

use std::io;

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Entry, FsError, Root};
use crate::checkpoint::Act;
use crate::path::HostPath;

impl Root {
    /// Removes what stands at `path` with all that is in it, following no link; that there is nothing is
    /// fine. For what nobody but us ever saw.
    pub(crate) fn remove_tree(&self, path: &HostPath) -> Result<(), FsError> {
        match self.entry(path)? {
            Entry::Absent => Ok(()),
            Entry::Directory(_) => {
                for name in self.list(path)?.unwrap_or_default() {
                    let below = path
                        .join(&name)
                        .map_err(|error| Self::failed("remove", path, io::Error::other(error)))?;
                    self.remove_tree(&below)?;
                }
                self.remove_folder(path)?;
                Ok(())
            }
            _ => self.remove(path),
        }
    }

    /// Gives the folder at `from` the name `to` in the same folder, where nothing stands.
    pub(crate) fn rename_folder(&self, from: &HostPath, to: &HostPath) -> Result<(), FsError> {
        let rename = || -> io::Result<()> {
            let (folder, name) = self.folder_of(from)?;
            self.checkpoint(Act::Rename, to.as_str())?;
            match rustix::fs::renameat_with(&folder, name, &folder, to.name(), RenameFlags::NOREPLACE) {
                // A filesystem without the flag; a folder takes the place of an empty one at most.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    Ok(rustix::fs::renameat(&folder, name, &folder, to.name())?)
                }
                renamed => Ok(renamed?),
            }
        };
        rename().map_err(|error| Self::failed("rename", to, error))
    }

    /// Makes everything below the folder at `path` durable, at once: its whole filesystem (`syncfs(2)`).
    pub(crate) fn sync_tree(&self, path: &HostPath) -> Result<(), FsError> {
        let sync = || -> io::Result<()> {
            let folder = self.folder(path)?;
            self.checkpoint(Act::Sync, path.as_str())?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let readable = rustix::fs::openat(&folder, ".", flags, Mode::empty())?;
            Ok(rustix::fs::syncfs(readable)?)
        };
        sync().map_err(|error| Self::failed("make durable", path, error))
    }
}
