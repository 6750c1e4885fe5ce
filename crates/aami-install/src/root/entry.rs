//! Looking: what stands at a path, what it holds. Nothing here changes anything.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{FsError, Root};
use crate::digest::{Digest, Hasher};
use crate::path::HostPath;

/// Mode, owner and size of what stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, including set-uid, set-gid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Bytes, where it is a file.
    pub size: u64,
}

/// What stands at a path. A link is itself, never what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing, or the way there does not exist.
    Absent,
    /// A regular file.
    File(Meta),
    /// A folder.
    Directory(Meta),
    /// A symbolic link and the text of its target.
    Symlink(String),
    /// A device, pipe or socket.
    Other,
}

impl Entry {
    /// What people call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::File(_) => "a file",
            Self::Directory(_) => "a folder",
            Self::Symlink(_) => "a symbolic link",
            Self::Other => "a device, pipe or socket",
        }
    }
}

fn meta(stat: &Stat) -> Meta {
    Meta {
        mode: Mode::from_raw_mode(stat.st_mode).bits() & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
    }
}

impl Root {
    pub(super) fn failed(doing: &'static str, path: &HostPath, source: impl Into<io::Error>) -> FsError {
        FsError {
            doing,
            path: path.clone(),
            source: source.into(),
        }
    }

    /// What stands at `path`.
    pub fn entry(&self, path: &HostPath) -> Result<Entry, FsError> {
        let fail = |error: io::Error| Self::failed("look at", path, error);
        let (folder, name) = match self.folder_of(path) {
            Ok(found) => found,
            Err(error) if path.parent().is_none() => {
                let stat = rustix::fs::fstat(&self.dir).map_err(|_| fail(error))?;
                return Ok(Entry::Directory(meta(&stat)));
            }
            Err(error) if is_absent(&error) => return Ok(Entry::Absent),
            Err(error) => return Err(fail(error)),
        };
        let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Entry::Absent),
            found => found.map_err(|errno| fail(errno.into()))?,
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Entry::File(meta(&stat)),
            FileType::Directory => Entry::Directory(meta(&stat)),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&folder, name, Vec::new()).map_err(|e| fail(e.into()))?;
                Entry::Symlink(target.to_string_lossy().into_owned())
            }
            _ => Entry::Other,
        })
    }

    /// Opens the regular file at `path` for reading; `None` where there is none. Never follows a
    /// link and never waits on a pipe.
    pub(crate) fn open_file(&self, path: &HostPath) -> Result<Option<File>, FsError> {
        let fail = |error: io::Error| Self::failed("read", path, error);
        let (folder, name) = match self.folder_of(path) {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
            // ENXIO: a socket. ELOOP: a link.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(errno) => Err(fail(errno.into())),
            Ok(fd) => {
                let file = File::from(fd);
                Ok(file.metadata().map_err(fail)?.is_file().then_some(file))
            }
        }
    }

    /// The bytes of the regular file at `path`, `None` where there is none. A file of more than
    /// `limit` bytes is an error: what this reads is small, or hostile.
    pub fn read(&self, path: &HostPath, limit: u64) -> Result<Option<Vec<u8>>, FsError> {
        let Some(file) = self.open_file(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let fail = |error| Self::failed("read", path, error);
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(fail)?;
        if bytes.len() as u64 > limit {
            return Err(fail(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("more than {limit} bytes"),
            )));
        }
        Ok(Some(bytes))
    }

    /// The SHA-256 of the regular file at `path`; `None` where there is none.
    pub fn digest(&self, path: &HostPath) -> Result<Option<Digest>, FsError> {
        let Some(mut file) = self.open_file(path)? else {
            return Ok(None);
        };
        let mut hasher = Hasher::default();
        let mut piece = vec![0; 1 << 16];
        loop {
            match file
                .read(&mut piece)
                .map_err(|error| Self::failed("read", path, error))?
            {
                0 => return Ok(Some(hasher.finish())),
                n => hasher.update(&piece[..n]),
            }
        }
    }

    /// The names in the folder at `path`, sorted; `None` where there is no folder.
    pub fn list(&self, path: &HostPath) -> Result<Option<Vec<String>>, FsError> {
        let fail = |error: io::Error| Self::failed("list", path, error);
        let folder = match self.folder(path) {
            Ok(folder) => folder,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let mut names = Vec::new();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = rustix::fs::openat(&folder, ".", flags, Mode::empty());
        let listing = readable
            .and_then(rustix::fs::Dir::new)
            .map_err(|errno| fail(errno.into()))?;
        for found in listing {
            let name = found
                .map_err(|errno| fail(errno.into()))?
                .file_name()
                .to_string_lossy()
                .into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(Some(names))
    }
}

/// Whether a look-up failed because something on the way is missing or is no folder.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
