//! Files that are whole or not there, and never in two hands at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aami_model::code;
use rustix::fs::{FlockOperation, flock};

use crate::cli::failure::Failure;
use crate::cli::secret::written;

/// How long somebody else's change may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds a folder for one writer, until it is dropped. Other programs of ours wait; an editor does not know of it.
pub(super) struct Held(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Takes the folder of `path`. Fails where another writer keeps it for longer than a change takes.
pub(super) fn hold(path: &Path) -> Result<Held, Failure> {
    let folder = folder_of(path);
    let open = File::open(&folder).map_err(|source| Failure::File {
        path: folder.clone(),
        doing: "read",
        source,
    })?;
    let begun = Instant::now();
    loop {
        match flock(&open, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Held(open)),
            Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Failure::found_with(
                    code::LOCKED,
                    format!("another command is changing {}", path.display()),
                    "Wait for it to end, then run the command again.",
                ));
            }
            Err(error) => {
                return Err(Failure::File {
                    path: folder,
                    doing: "locked",
                    source: error.into(),
                });
            }
        }
    }
}

/// Puts `bytes` in the place of `path`, wholly or not at all, with this mode. A link is followed; an owner that was
/// there stays where this user may give files away.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
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
    put().map_err(|error| {
        let _ = fs::remove_file(&draft);
        written(&path)(error)
    })
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
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let failure = replace(&folder.path().join("no/config.yaml"), b"x", 0o600).unwrap_err();
        assert!(failure.to_string().contains("no/config.yaml"), "{failure}");
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
