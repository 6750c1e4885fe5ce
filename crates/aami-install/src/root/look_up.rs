//! Finding the folder a path lies in without leaving the root.

use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Root;
use crate::path::HostPath;

/// How often a look-up is repeated when a rename elsewhere got in its way (`openat2(2)`, `EAGAIN`).
const RACES: usize = 16;

impl Root {
    /// The folder `path` lies in, for operations relative to it, and the last part of the path.
    pub(super) fn folder_of<'a>(&self, path: &'a HostPath) -> io::Result<(OwnedFd, &'a str)> {
        let Some(parent) = path.parent() else {
            return Err(io::Error::from(Errno::INVAL));
        };
        Ok((self.folder(&parent)?, path.name()))
    }

    /// The folder `path` itself; links on the way are followed within the root.
    pub(super) fn folder(&self, path: &HostPath) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if self.is_system() {
            return Ok(rustix::fs::openat(
                &self.dir,
                path.relative(),
                flags,
                Mode::empty(),
            )?);
        }
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RACES {
            match rustix::fs::openat2(&self.dir, path.relative(), flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {}
                // Before Linux 5.6, and under seccomp filters that do not know the call.
                Err(Errno::NOSYS | Errno::PERM) => return self.folder_by_parts(path),
                opened => return Ok(opened?),
            }
        }
        Err(io::Error::from(Errno::AGAIN))
    }

    /// The same where the kernel has no `openat2`: stricter, as no link on the way is followed.
    fn folder_by_parts(&self, path: &HostPath) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = rustix::fs::openat(&self.dir, ".", flags, Mode::empty())?;
        for part in path.relative().split('/').filter(|part| *part != ".") {
            folder = rustix::fs::openat(folder.as_fd(), part, flags, Mode::empty())?;
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_openat2_folders_are_found_and_links_refused() {
        let dir = tempfile::TempDir::new().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let find = |text: &str| root.folder_by_parts(&HostPath::new(text).unwrap());
        let same = |one: OwnedFd, path: &str| {
            let there = rustix::fs::stat(dir.path().join(path)).unwrap();
            assert_eq!(rustix::fs::fstat(one).unwrap().st_ino, there.st_ino);
        };
        same(find("/a/b").unwrap(), "a/b");
        same(find("/").unwrap(), "");
        assert!(find("/link/b").is_err());
        assert_eq!(find("/none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
