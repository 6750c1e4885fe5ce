//! Files that are whole or not there, and folders that one writer of ours has at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// How long somebody else's change may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is locked in a folder.
pub const LOCK: &str = ".aami.lock";

/// A folder held for one writer, until this is dropped. Other programs of ours wait; an editor does not know of it.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Why a folder cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Another writer keeps it for longer than a change takes: of what, and which process, where it says so.
    #[error("another command{} is changing {}", .1.map_or_else(String::new, |process| format!(" (process {process})")), .0.display())]
    Busy(PathBuf, Option<u32>),
    /// The lock cannot be had.
    #[error("{} could not be locked", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// Takes the folder of `path`, and waits up to ten seconds for whoever has it. What is locked is a file of its own that
/// nobody but its owner can open: whoever could open what is locked could keep everyone out.
pub fn hold(path: &Path) -> Result<Held, HoldError> {
    hold_within(path, PATIENCE)
}

fn hold_within(path: &Path, patience: Duration) -> Result<Held, HoldError> {
    let folder = folder_of(path);
    let lock = folder.join(LOCK);
    let open = open_lock(&folder, &lock).map_err(|source| HoldError::File {
        path: lock.clone(),
        source,
    })?;
    let begun = Instant::now();
    loop {
        match flock(&open, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                note_holder(&open);
                return Ok(Held(open));
            }
            Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(HoldError::Busy(path.to_owned(), holder(&open)));
            }
            Err(error) => {
                return Err(HoldError::File {
                    path: lock,
                    source: error.into(),
                });
            }
        }
    }
}

/// Writes down who holds a lock, for those who wait for it. That it cannot be written changes nothing about the lock.
fn note_holder(lock: &File) {
    let text = format!("{}\n", std::process::id());
    let _ = lock
        .set_len(0)
        .and_then(|()| lock.write_all_at(text.as_bytes(), 0));
}

/// The process that holds a lock, where it wrote that down.
fn holder(lock: &File) -> Option<u32> {
    let mut text = [0; 16];
    let length = lock.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// Opens the file that is locked, and makes it where it is not there. It is never removed: somebody may wait for it.
fn open_lock(folder: &Path, lock: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(
            (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK)
                .bits()
                .cast_signed(),
        )
        .open(lock)?;
    let (meta, above) = (file.metadata()?, fs::metadata(folder)?);
    if !meta.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    // Whoever the folder belongs to may do in it what they like, also after root did.
    if meta.uid() != above.uid() {
        let _ = std::os::unix::fs::fchown(&file, Some(above.uid()), Some(above.gid()));
    }
    if meta.mode() & 0o077 != 0 {
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o600))?;
    }
    Ok(file)
}

/// Puts `bytes` in the place of `path`, wholly or not at all, with this mode, and on the disk when this returns. A link
/// is followed; an owner that was there stays where this user may give files away.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = path
        .file_name()
        .map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let draft = folder_of(&path).join(format!(".{name}.{}.{number}.new", std::process::id()));
    let put = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&draft)?;
        file.write_all(bytes)?;
        // The mask of the process may have taken something away.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(mode))?;
        if let Ok(before) = fs::metadata(&path)
            && before.uid() != file.metadata()?.uid()
        {
            // Whoever may not give files away keeps it.
            let _ = std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()));
        }
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(folder_of(&path))?.sync_all()
    };
    put().inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

/// Whether a name is that of a draft of [`replace`]'s, whose process died, for a file whose name begins like this.
pub fn is_draft(name: &str, file: &str) -> bool {
    let of = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
    of.is_some_and(|of| of.starts_with(file))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_behind_its_link_and_nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("real.yaml");
        let link = folder.path().join("config.yaml");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_is_not_there_is_made_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let error = replace(&folder.path().join("no/config.yaml"), b"x", 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn whoever_has_it_too_long_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        let held = hold(&path).unwrap();
        let error = hold_within(&path, Duration::from_millis(50)).unwrap_err();
        // Whoever waits is told for whom.
        let own = std::process::id();
        assert!(
            matches!(error, HoldError::Busy(_, Some(process)) if process == own),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("process {own}")), "{error}");
        drop(held);
        hold(&path).unwrap();
    }

    #[test]
    fn what_is_locked_is_its_owners_alone_and_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join(LOCK);
        // Given a lock others could open, when it is taken, then they cannot any more,
        fs::write(&lock, "").unwrap();
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).unwrap();
        drop(hold(&folder.path().join("config.yaml")).unwrap());
        assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600);
        // whoever locks the folder itself keeps nobody out,
        let other = File::open(folder.path()).unwrap();
        flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
        drop(hold(&folder.path().join("config.yaml")).unwrap());
        // and a link leads nowhere.
        fs::remove_file(&lock).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &lock).unwrap();
        assert!(hold(&folder.path().join("config.yaml")).is_err());
        assert!(!elsewhere.exists());
    }

    #[test]
    fn what_is_no_process_is_not_named() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "\n", "12", "x\n", "\u{1b}[2J\n", "99999999999999999999\n"] {
            let lock = folder.path().join("lock");
            fs::write(&lock, text).unwrap();
            assert_eq!(holder(&File::open(&lock).unwrap()), None, "{text:?}");
        }
    }

    #[test]
    fn two_writers_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("count");
        fs::write(&path, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let _held = hold(&path).unwrap();
                        let number: u32 = fs::read_to_string(&path).unwrap().parse().unwrap();
                        replace(&path, (number + 1).to_string().as_bytes(), 0o600).unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "100");
    }
}
