//! A program that reads the log, ends, and begins again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};

use aami_model::Timestamp;
use aami_xid::Event;
use aami_xid::counters::Counters;
use aami_xid::fold::Folder;
use aami_xid::kmsg::{Follower, Next, Position};

/// The kernel's ring: gives a record a read from the reader's place on, and says so when that place was overwritten.
struct Ring {
    records: VecDeque<(u64, String)>,
    place: u64,
}

impl Ring {
    /// A ring that still holds these numbers; every third record is an Xid 31, the others are nothing.
    fn holding(numbers: std::ops::Range<u64>) -> Self {
        let line = |number: u64| match number % 3 {
            0 => format!(
                "3,{number},{number},-;NVRM: Xid (PCI:0000:{:02x}:00): 31, pid=1, name=x, y\n",
                number % 200
            ),
            1 => format!("12,{number},{number},-;NVRM: Xid (PCI:0000:3b:00): 79, written by a process\n"),
            _ => format!("6,{number},{number},-;usb 1-1: something\n SUBSYSTEM=usb\n"),
        };
        Self {
            records: numbers.map(|number| (number, line(number))).collect(),
            place: 0,
        }
    }
}

impl Read for Ring {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((oldest, _)) = self.records.front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        if self.place < *oldest {
            self.place = *oldest;
            return Err(ErrorKind::BrokenPipe.into());
        }
        while let Some((number, text)) = self.records.pop_front() {
            if number >= self.place {
                self.place = number + 1;
                return text.as_bytes().read(buffer);
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

/// One life of the program: reads what there is and gives the codes it tells, how many records were lost, and how far
/// it came.
fn run(ring: Ring, boot: &str, from: Option<&Position>) -> (Vec<u32>, u64, Position) {
    let mut follower = Follower::new(ring, boot, from);
    let mut folder = Folder::default();
    let mut counters = Counters::default();
    let (mut told, mut lost) = (Vec::new(), 0);
    loop {
        match follower.read().unwrap() {
            Next::Record(record) => {
                if let Some(event) = Event::of_record(&record) {
                    let at = Timestamp::EPOCH.plus(record.since_boot);
                    counters.count(&event, at);
                    let folded = folder.add(event, at, record.sequence);
                    told.extend(folded.iter().map(|folded| folded.event.code()));
                }
            }
            Next::Lost(count) => lost += count,
            Next::Later => break,
        }
    }
    told.extend(folder.finish().iter().map(|folded| folded.event.code()));
    (told, lost, follower.position().unwrap())
}

#[test]
fn each_event_is_told_once_over_three_lives_and_what_is_missing_is_counted() {
    // Given a program that read the log of a machine and ended,
    let (told, lost, position) = run(Ring::holding(0..90), "boot-1", None);
    assert_eq!((told.len(), lost), (30, 0));
    assert!(
        told.iter().all(|code| *code == 31),
        "a process was believed: {told:?}"
    );

    // when it begins again with the position it kept, as it was stored,
    let kept: Position = serde_json::from_str(&serde_json::to_string(&position).unwrap()).unwrap();
    let (told, lost, position) = run(Ring::holding(30..120), "boot-1", Some(&kept));
    // then it tells only what is new,
    assert_eq!((told.len(), lost), (10, 0));

    // and after a time in which the kernel overwrote 30 records, how many those were.
    let (told, lost, position) = run(Ring::holding(150..180), "boot-1", Some(&position));
    assert_eq!((told.len(), lost), (10, 30));

    // And when the machine itself was started again, its new log from the beginning.
    let (told, lost, position) = run(Ring::holding(0..30), "boot-2", Some(&position));
    assert_eq!((told.len(), lost), (10, 0));
    assert_eq!((position.boot.as_str(), position.next), ("boot-2", 30));
}
