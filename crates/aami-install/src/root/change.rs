//! Changing: each function is one durable or undoable change, with a checkpoint before each part.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::entry::is_absent;
use super::{Entry, FsError, Root};
use crate::checkpoint::Act;
use crate::path::HostPath;

/// What a file or folder is given besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    /// Numeric owner and group; `None` leaves them to the process.
    pub(crate) owner: Option<(u32, u32)>,
}

impl Attributes {
    /// Readable and writable by the process's user alone.
    pub(crate) const PRIVATE: Self = Self {
        mode: 0o600,
        owner: None,
    };
}

/// The name a file has while it is being written. It is the same every time, so that what a crash
/// left behind is found again; the host's lock keeps two writers apart.
fn temporary(path: &HostPath) -> HostPath {
    path.beside(".", ".aami-new")
}

impl Root {
    /// Replaces or creates the file at `path` with what `source` gives, in one visible moment: the
    /// content is written under a temporary name in the same folder (so that it gets that folder's
    /// security label), made durable, and renamed. The name itself is durable after
    /// [`Root::sync_folder`]. On failure nothing of it stays.
    pub(crate) fn replace(
        &self,
        path: &HostPath,
        source: &mut dyn Read,
        attributes: Attributes,
        durable: bool,
    ) -> Result<(), FsError> {
        let fail = |error: io::Error| Self::failed("write", path, error);
        let (folder, name) = self.folder_of(path).map_err(fail)?;
        let temporary = temporary(path);
        let mut file = self.create(&folder, path, temporary.name())?;
        let written = self
            .fill(&mut file, path, source, attributes, durable)
            .and_then(|()| {
                self.checkpoint(Act::Rename, path.as_str())?;
                Ok(rustix::fs::renameat(&folder, temporary.name(), &folder, name)?)
            });
        if let Err(error) = written {
            // Left behind where even this fails; the next run takes the name over.
            if self.checkpoint(Act::Remove, temporary.as_str()).is_ok() {
                let _ = rustix::fs::unlinkat(&folder, temporary.name(), AtFlags::empty());
            }
            return Err(fail(error));
        }
        Ok(())
    }

    fn create(&self, folder: &OwnedFd, path: &HostPath, name: &str) -> Result<File, FsError> {
        let fail = |error: io::Error| Self::failed("write", path, error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.checkpoint(Act::CreateFile, path.as_str()).map_err(fail)?;
        let private = Mode::from_raw_mode(0o600);
        let fd = match rustix::fs::openat(folder, name, flags, private) {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(folder, name, AtFlags::empty()).map_err(|errno| fail(errno.into()))?;
                rustix::fs::openat(folder, name, flags, private)
            }
            created => created,
        };
        Ok(File::from(fd.map_err(|errno| fail(errno.into()))?))
    }

    fn fill(
        &self,
        file: &mut File,
        path: &HostPath,
        source: &mut dyn Read,
        attributes: Attributes,
        durable: bool,
    ) -> io::Result<()> {
        let mut piece = vec![0; 1 << 16];
        loop {
            let n = match source.read(&mut piece) {
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.checkpoint(Act::Write, path.as_str())?;
            file.write_all(&piece[..n])?;
        }
        self.checkpoint(Act::Attributes, path.as_str())?;
        set(file.as_fd(), attributes)?;
        if durable {
            self.checkpoint(Act::Sync, path.as_str())?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Makes the names in the folder at `path` durable.
    pub(crate) fn sync_folder(&self, path: &HostPath) -> Result<(), FsError> {
        let sync = || -> io::Result<()> {
            let folder = self.folder(path)?;
            self.checkpoint(Act::Sync, path.as_str())?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let readable = rustix::fs::openat(&folder, ".", flags, Mode::empty())?;
            Ok(rustix::fs::fsync(readable)?)
        };
        sync().map_err(|error| Self::failed("make durable", path, error))
    }

    /// Makes one folder; its parent must exist. One that stands already is given the attributes.
    /// One that will be given to somebody is nobody else's before it is.
    pub(crate) fn make_folder(&self, path: &HostPath, attributes: Attributes) -> Result<(), FsError> {
        let first = if attributes.owner.is_none() {
            attributes.mode
        } else {
            0o700
        };
        let make = || -> io::Result<()> {
            let (parent, name) = self.folder_of(path)?;
            self.checkpoint(Act::MakeDirectory, path.as_str())?;
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(first)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
            self.checkpoint(Act::Attributes, path.as_str())?;
            set(folder.as_fd(), attributes)
        };
        make().map_err(|error| Self::failed("make the folder", path, error))
    }

    /// Makes every missing folder on the way to `path`, and `path` itself, with `mode`.
    pub(crate) fn make_folders(&self, path: &HostPath, mode: u32) -> Result<(), FsError> {
        match self.folder(path) {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => {
                if let Some(parent) = path.parent() {
                    self.make_folders(&parent, mode)?;
                }
                self.make_folder(path, Attributes { mode, owner: None })
            }
            Err(error) => Err(Self::failed("make the folder", path, error)),
        }
    }

    /// Puts a symbolic link to `target` at `path`, in place of a file or link that stands there.
    pub(crate) fn link(&self, path: &HostPath, target: &str) -> Result<(), FsError> {
        let temporary = temporary(path);
        let link = || -> io::Result<()> {
            let (folder, name) = self.folder_of(path)?;
            self.checkpoint(Act::Link, path.as_str())?;
            match rustix::fs::symlinkat(target, &folder, temporary.name()) {
                Err(Errno::EXIST) => {
                    rustix::fs::unlinkat(&folder, temporary.name(), AtFlags::empty())?;
                    rustix::fs::symlinkat(target, &folder, temporary.name())?;
                }
                made => made?,
            }
            self.checkpoint(Act::Rename, path.as_str())?;
            Ok(rustix::fs::renameat(&folder, temporary.name(), &folder, name)?)
        };
        link().map_err(|error| Self::failed("link", path, error))
    }

    /// Removes the file or link at `path`; that there is none is fine.
    pub(crate) fn remove(&self, path: &HostPath) -> Result<(), FsError> {
        self.unlink(path, AtFlags::empty())
            .map_err(|error| Self::failed("remove", path, error))
    }

    /// Removes what a crash in the middle of [`Root::replace`] or [`Root::link`] left beside `path`.
    pub(crate) fn remove_leftover(&self, path: &HostPath) -> Result<(), FsError> {
        let temporary = temporary(path);
        match self.entry(&temporary)? {
            Entry::File(_) | Entry::Symlink(_) => self.remove(&temporary),
            _ => Ok(()),
        }
    }

    /// Removes the folder at `path`. `false` when it is not empty and therefore stays; that there is
    /// none is fine.
    pub(crate) fn remove_folder(&self, path: &HostPath) -> Result<bool, FsError> {
        match self.unlink(path, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            // A mount point says EBUSY.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(Self::failed("remove the folder", path, error)),
        }
    }

    fn unlink(&self, path: &HostPath, flags: AtFlags) -> io::Result<()> {
        let (folder, name) = match self.folder_of(path) {
            Err(error) if is_absent(&error) => return Ok(()),
            found => found?,
        };
        if matches!(
            rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW),
            Err(Errno::NOENT)
        ) {
            return Ok(());
        }
        self.checkpoint(Act::Remove, path.as_str())?;
        match rustix::fs::unlinkat(&folder, name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives the file or link at `path` the name `kept` in the same folder, unless that name is
    /// taken: `false` then.
    pub(crate) fn set_aside(&self, path: &HostPath, kept: &HostPath) -> Result<bool, FsError> {
        let rename = || -> io::Result<bool> {
            let (folder, name) = self.folder_of(path)?;
            self.checkpoint(Act::Rename, path.as_str())?;
            match rustix::fs::renameat_with(&folder, name, &folder, kept.name(), RenameFlags::NOREPLACE) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                // A filesystem without the flag: look, then rename. The lock keeps ours apart.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    match rustix::fs::statat(&folder, kept.name(), AtFlags::SYMLINK_NOFOLLOW) {
                        Err(Errno::NOENT) => {
                            rustix::fs::renameat(&folder, name, &folder, kept.name())?;
                            Ok(true)
                        }
                        found => found.map(|_| false).map_err(io::Error::from),
                    }
                }
                Err(errno) => Err(errno.into()),
            }
        };
        rename().map_err(|error| Self::failed("set aside", path, error))
    }

    /// Opens the file at `path` for writing, empty and with mode 0600. Each write is a checkpoint.
    pub(crate) fn open_fresh<'a>(&'a self, path: &'a HostPath) -> Result<impl Write + 'a, FsError> {
        self.remove(path)?;
        let file = self.open_private(path, OFlags::WRONLY | OFlags::EXCL)?;
        Ok(Checked {
            root: self,
            path,
            file,
        })
    }

    /// Opens the file at `path` for appending, made with mode 0600 where it is missing.
    pub(crate) fn open_append(&self, path: &HostPath) -> Result<File, FsError> {
        self.open_private(path, OFlags::WRONLY | OFlags::APPEND)
    }

    /// Opens the file at `path` for reading and writing, made with mode 0600 where it is missing.
    pub(crate) fn open_lock(&self, path: &HostPath) -> Result<File, FsError> {
        self.open_private(path, OFlags::RDWR)
    }

    fn open_private(&self, path: &HostPath, access: OFlags) -> Result<File, FsError> {
        let open = || -> io::Result<File> {
            let (folder, name) = self.folder_of(path)?;
            self.checkpoint(Act::CreateFile, path.as_str())?;
            let flags = access | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            Ok(File::from(rustix::fs::openat(
                &folder,
                name,
                flags,
                Mode::from_raw_mode(0o600),
            )?))
        };
        open().map_err(|error| Self::failed("open", path, error))
    }
}

/// A file whose every write is a checkpoint.
struct Checked<'a> {
    root: &'a Root,
    path: &'a HostPath,
    file: File,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.root.checkpoint(Act::Write, self.path.as_str())?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Owner first: changing it clears set-uid and set-gid bits (`chown(2)`).
fn set(file: rustix::fd::BorrowedFd<'_>, attributes: Attributes) -> io::Result<()> {
    if let Some((uid, gid)) = attributes.owner {
        rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode))?)
}
