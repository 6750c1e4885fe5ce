//! A run that stands still before each of its changes, so that what a kill would leave there can be gone on from.
//!
//! What a killed process leaves behind is the host as it was at that moment: nothing came after it, not even cleaning up.
//! So one run, with a copy of the host made before each change, shows what as many killed runs would, and its beginning
//! is run once instead of once for each of them.

use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown, symlink};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use crate::checkpoint::{Act, Watch};

/// Lets somebody look before each change, and goes on when they have.
struct Moments {
    told: SyncSender<(Act, String)>,
    /// Two that are at work at once are looked at one after the other.
    looked: Mutex<Receiver<()>>,
}

impl Watch for Moments {
    fn at(&self, act: Act, subject: &str) -> io::Result<()> {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = self.told.send((act, subject.to_owned())).is_ok() && looked.recv().is_ok();
        if goes_on {
            Ok(())
        } else {
            Err(io::Error::other("whoever looked has ended"))
        }
    }
}

/// Does `run` with a watcher, and `look` before each of its changes, while it stands still. Answers what `run` came to.
/// Where `look` panics, the run cannot change anything any more.
pub fn at_each_moment<T: Send>(
    run: impl FnOnce(Arc<dyn Watch>) -> T + Send,
    mut look: impl FnMut(usize, Act, &str),
) -> T {
    let (told, moments) = mpsc::sync_channel(0);
    let (go_on, looked) = mpsc::sync_channel(0);
    let watch: Arc<dyn Watch> = Arc::new(Moments {
        told,
        looked: Mutex::new(looked),
    });
    // Both ends are this closure's own, so that they are gone before anybody waits for the run.
    std::thread::scope(move |scope| {
        let running = scope.spawn(move || run(watch));
        for (number, (act, subject)) in moments.into_iter().enumerate() {
            look(number, act, &subject);
            if go_on.send(()).is_err() {
                break;
            }
        }
        drop(go_on);
        running.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Copies a folder with everything in it: bytes, modes, owners, links as links. `to` must not be there yet.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let meta = from.symlink_metadata()?;
    if meta.is_symlink() {
        symlink(from.read_link()?, to)?;
    } else if meta.is_dir() {
        std::fs::create_dir(to)?;
        for entry in std::fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
    } else {
        std::fs::copy(from, to)?;
    }
    let made = to.symlink_metadata()?;
    let is_another_owners = (made.uid(), made.gid()) != (meta.uid(), meta.gid());
    if is_another_owners {
        lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    }
    // A change of owners may take bits of the mode.
    if !meta.is_symlink() && (is_another_owners || made.permissions() != meta.permissions()) {
        std::fs::set_permissions(to, meta.permissions())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_run_stands_still_while_it_is_looked_at() {
        let done = AtomicUsize::new(0);
        let mut seen = Vec::new();
        let ended = at_each_moment(
            |watch| {
                for name in ["/a", "/b", "/c"] {
                    watch.at(Act::Write, name)?;
                    done.fetch_add(1, Ordering::SeqCst);
                }
                Ok::<_, io::Error>("done")
            },
            |number, act, subject| {
                seen.push((number, act, subject.to_owned(), done.load(Ordering::SeqCst)));
            },
        );
        assert_eq!(ended.unwrap(), "done");
        let wanted = ["/a", "/b", "/c"].map(str::to_owned);
        for (number, (at, act, subject, done)) in seen.iter().enumerate() {
            assert_eq!(
                (*at, *act, subject, *done),
                (number, Act::Write, &wanted[number], number)
            );
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn where_looking_fails_the_run_changes_nothing_more() {
        let done = AtomicUsize::new(0);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            at_each_moment(
                |watch| {
                    for name in ["/a", "/b", "/c"] {
                        if watch.at(Act::Write, name).is_ok() {
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                },
                |number, _, _| assert_ne!(number, 1, "not as it should be"),
            );
        }));
        assert!(failed.is_err());
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_copy_is_what_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("etc")).unwrap();
        std::fs::write(from.join("etc/file"), "text").unwrap();
        std::fs::set_permissions(from.join("etc/file"), PermissionsExt::from_mode(0o600)).unwrap();
        symlink("/gone", from.join("etc/link")).unwrap();
        std::fs::set_permissions(from.join("etc"), PermissionsExt::from_mode(0o2750)).unwrap();
        copy(&from, &to).unwrap();
        let mode = |path: &str| to.join(path).symlink_metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("etc"), mode("etc/file")), (0o2750, 0o600));
        assert_eq!(std::fs::read_to_string(to.join("etc/file")).unwrap(), "text");
        assert_eq!(to.join("etc/link").read_link().unwrap(), Path::new("/gone"));
        assert!(copy(&from, &to).is_err(), "nothing is overwritten");
    }
}
