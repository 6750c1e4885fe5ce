//! A disk that is full from some write on, and one that cannot be written any more from some change on, under both
//! plans: one sentence with a code and a path, nothing half-placed, and either way stays open: the same command
//! finishes, or uninstalling leaves the host as it was.
//!
//! A node meets a full disk at each of its writes. A server has more of them than there is time for, and so has a disk
//! that becomes read-only changes: each [`OF_A_SERVER`]th and each [`READ_ONLY`]th is tried, both prime, so that no kind
//! of write is left out again and again. Every second of what is tried is continued, the others are taken back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aami_install::checkpoint::{Act, Watch};
use aami_install::doubles::FullDisk;
use aami_install::{InstallError, Mode, RunReport};
use aami_model::code::{self, Code};

use crate::node::house::House as NodeHouse;
use crate::stack::house::{House as StackHouse, Picture};

/// Which of a server's writes find the disk full: each of so many.
const OF_A_SERVER: u64 = 3;
/// Which changes a disk becomes read-only before: each of so many.
const READ_ONLY: u64 = 7;

/// A host on which one plan is run, and taken back.
trait Installation: Sized {
    /// A fresh one. There may be only one at a time.
    fn fresh() -> Self;
    fn go(&self, mode: Mode, watch: Option<Arc<dyn Watch>>) -> Result<RunReport, InstallError>;
    /// Taken back with everything; what is left is an error of the test.
    fn take_back(&self);
    /// The same while somebody watches: whether it came to its end.
    fn takes_back(&self, watch: Arc<dyn Watch>) -> bool;
    fn picture(&self) -> Picture;

    #[track_caller]
    fn comes_to_its_end(&self, mode: Mode, story: &str) {
        let report = self
            .go(mode, None)
            .unwrap_or_else(|error| panic!("{story}: {error}"));
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!(failure, None, "{story}");
    }
}

impl Installation for StackHouse {
    fn fresh() -> Self {
        Self::new()
    }

    fn go(&self, mode: Mode, watch: Option<Arc<dyn Watch>>) -> Result<RunReport, InstallError> {
        self.run(mode, watch).map(|(report, missing)| {
            assert_eq!(
                missing,
                Vec::<String>::new(),
                "what was at hand is said to be missing"
            );
            report
        })
    }

    fn take_back(&self) {
        assert_eq!(self.uninstall(true).report.left, Vec::<String>::new());
    }

    fn takes_back(&self, watch: Arc<dyn Watch>) -> bool {
        let taken = self.undo(true, Some(watch));
        taken.is_ok_and(|taken| taken.report.failed.is_empty() && !taken.report.interrupted)
    }

    fn picture(&self) -> Picture {
        Self::picture(self)
    }
}

impl Installation for NodeHouse {
    fn fresh() -> Self {
        Self::new()
    }

    fn go(&self, mode: Mode, watch: Option<Arc<dyn Watch>>) -> Result<RunReport, InstallError> {
        self.run(mode, watch).map(|(report, _)| report)
    }

    fn take_back(&self) {
        self.uninstall();
    }

    fn takes_back(&self, watch: Arc<dyn Watch>) -> bool {
        let taken = self.undo(Some(watch));
        taken.is_ok_and(|report| report.failed.is_empty() && !report.interrupted)
    }

    fn picture(&self) -> Picture {
        Self::picture(self)
    }
}

/// A file system that the kernel makes read-only before the change with this number.
struct Hardened {
    after: u64,
    seen: AtomicU64,
}

impl Hardened {
    const fn after(after: u64) -> Self {
        Self {
            after,
            seen: AtomicU64::new(0),
        }
    }

    fn was_hit(&self) -> bool {
        self.seen.load(Ordering::SeqCst) > self.after
    }
}

impl Watch for Hardened {
    fn at(&self, act: Act, _: &str) -> io::Result<()> {
        let changes = match act {
            Act::CreateFile
            | Act::Write
            | Act::Attributes
            | Act::Sync
            | Act::Rename
            | Act::MakeDirectory
            | Act::Link
            | Act::Remove
            | Act::Append => true,
            // Moments of the run, and programs, whose own files are elsewhere.
            Act::Command | Act::Record | Act::Effect | Act::Done => false,
        };
        if changes && self.seen.fetch_add(1, Ordering::SeqCst) >= self.after {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }
}

/// What a run came to, if not to its end.
fn failure(ended: &Result<RunReport, InstallError>) -> Option<(Code, String)> {
    match ended {
        Ok(report) => report.failure(),
        Err(error) => Some((error.code(), error.to_string())),
    }
}

/// Nothing torn stands anywhere, whatever a run came to.
#[track_caller]
fn nothing_is_torn(picture: &Picture, story: &str) {
    let torn: Vec<&String> = picture
        .names()
        .filter(|name| name.ends_with(".aami-new"))
        .collect();
    assert!(torn.is_empty(), "{story}: {torn:?} was left behind");
}

/// Tells `code` and a path; `watch` gives a watcher for a number, and whether it was ever asked.
fn hurts<H: Installation, W: Watch + 'static>(
    wanted: Code,
    every: u64,
    least: u64,
    watch: impl Fn(u64) -> W,
    was_hit: impl Fn(&W) -> bool,
) {
    let undisturbed = H::fresh();
    let before = undisturbed.picture();
    undisturbed.comes_to_its_end(Mode::Fresh, "undisturbed");
    let whole = undisturbed.picture();
    drop(undisturbed);
    let mut hits = 0;
    for number in 0.. {
        let at = number * every;
        // Given a disk that takes so many changes,
        let house = H::fresh();
        let watcher = Arc::new(watch(at));
        // when the plan is run on it,
        let ended = house.go(Mode::Fresh, Some(watcher.clone()));
        if !was_hit(&watcher) {
            break;
        }
        hits += 1;
        let story = format!("{wanted} after {at} changes");
        // then it says so (only the log and the state may go missing without a word),
        if let Some((failed, sentence)) = failure(&ended) {
            assert_eq!(failed, wanted, "{story}: {sentence}");
            assert!(sentence.contains('/'), "{story}: {sentence:?} names no path");
        }
        // no file stands there in part, unless nothing can be removed any more either,
        if wanted == code::DISK_FULL {
            nothing_is_torn(&house.picture(), &story);
        }
        // and when that is over either way is open.
        if number % 2 == 0 {
            let story = format!("{story}, then continued");
            house.comes_to_its_end(Mode::Resume, &story);
            house.picture().must_be(&whole, &story);
        } else {
            house.take_back();
            house
                .picture()
                .must_be(&before, &format!("{story}, then taken back"));
        }
    }
    assert!(hits > least, "only {hits} changes were refused");
}

/// Taking back on a disk without room is finished by the same command when there is some.
fn is_taken_back<H: Installation>(every: u64, least: u64) {
    let fresh = H::fresh();
    let before = fresh.picture();
    drop(fresh);
    let mut hits = 0;
    for number in 0.. {
        let at = number * every;
        let house = H::fresh();
        house.comes_to_its_end(Mode::Fresh, "to be taken back");
        let watcher = Arc::new(FullDisk::after(at));
        let came_to_its_end = house.takes_back(watcher.clone());
        if !watcher.was_hit() {
            assert!(came_to_its_end, "nothing was in its way");
            break;
        }
        hits += 1;
        nothing_is_torn(&house.picture(), &format!("taken back with {at} writes"));
        house.take_back();
        house
            .picture()
            .must_be(&before, &format!("taken back with {at} writes, then again"));
    }
    assert!(hits > least, "only {hits} writes were refused");
}

#[test]
fn a_full_disk_leaves_no_server_half_placed() {
    hurts::<StackHouse, _>(
        code::DISK_FULL,
        OF_A_SERVER,
        50,
        FullDisk::after,
        FullDisk::was_hit,
    );
}

#[test]
fn at_every_write_a_full_disk_leaves_no_node_half_placed() {
    hurts::<NodeHouse, _>(code::DISK_FULL, 1, 50, FullDisk::after, FullDisk::was_hit);
}

#[test]
fn a_disk_that_becomes_read_only_leaves_no_server_half_placed() {
    hurts::<StackHouse, _>(code::READ_ONLY, READ_ONLY, 40, Hardened::after, Hardened::was_hit);
}

#[test]
fn a_disk_that_becomes_read_only_leaves_no_node_half_placed() {
    hurts::<NodeHouse, _>(code::READ_ONLY, READ_ONLY, 20, Hardened::after, Hardened::was_hit);
}

#[test]
fn a_server_is_taken_back_from_a_full_disk() {
    is_taken_back::<StackHouse>(7, 3);
}

#[test]
fn a_node_is_taken_back_from_a_full_disk() {
    is_taken_back::<NodeHouse>(7, 3);
}
