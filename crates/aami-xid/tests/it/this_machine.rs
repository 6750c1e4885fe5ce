//! The log of the machine the tests run on. Where it may not be read, as in most containers, there is nothing to see.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

use aami_xid::kmsg::{Follower, Next};

/// `O_NONBLOCK` of Linux on the architectures AAMI runs on.
const NOT_BLOCKING: i32 = 0o4000;

fn kmsg() -> Option<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(NOT_BLOCKING)
        .open("/dev/kmsg")
        .ok()
}

#[test]
fn the_kernels_own_log_is_read_to_its_end_and_not_twice() {
    let (Some(log), Some(again)) = (kmsg(), kmsg()) else {
        return;
    };
    let mut follower = Follower::new(log, "this boot", None);
    let mut last = None;
    loop {
        match follower.read().unwrap() {
            Next::Record(record) => {
                assert!(last.is_none_or(|last| last < record.sequence), "{record:?}");
                last = Some(record.sequence);
            }
            // A busy machine may overwrite what is being read.
            Next::Lost(count) => assert!(count > 0),
            Next::Later => break,
        }
    }
    let Some(position) = follower.position() else {
        return;
    };
    assert_eq!(position.next, last.unwrap() + 1);

    let mut reader = Follower::new(again, "this boot", Some(&position));
    // The machine goes on writing; whatever comes now is new.
    match reader.read().unwrap() {
        Next::Record(record) => assert!(record.sequence >= position.next, "{record:?}"),
        Next::Lost(_) | Next::Later => {}
    }
}
