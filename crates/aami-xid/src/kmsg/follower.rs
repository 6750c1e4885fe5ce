//! Reads the kernel's log from where it stopped last, and knows what it missed.

use std::io::{self, ErrorKind, Read};

use serde::{Deserialize, Serialize};

use super::Record;

/// Longer than any record: a shorter buffer would make the kernel refuse, and refuse again.
const LONGEST_RECORD: usize = 16 * 1024;
/// How many records one call of [`Follower::read`] passes over before it lets its caller do something else.
const MOST_AT_ONCE: usize = 4096;

/// How far the log of one start of the machine was dealt with. Keep it with what was made of the records: then nothing
/// is told twice, and nothing is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// `/proc/sys/kernel/random/boot_id`: numbers begin anew when the machine does.
    pub boot: String,
    /// The first number not dealt with.
    pub next: u64,
}

/// What came of one attempt to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The next record.
    Record(Record),
    /// The kernel overwrote this many before they could be read.
    Lost(u64),
    /// Nothing for now; ask again when the source can be read.
    Later,
}

/// Reads `/dev/kmsg`, opened for reading and not blocking, or anything else of which each read gives one record.
///
/// Opening it needs `CAP_SYSLOG` where `kernel.dmesg_restrict` is 1, and waiting until it can be read is its owner's.
#[derive(Debug)]
pub struct Follower<R> {
    source: R,
    boot: String,
    /// The number the next record has, unless some were overwritten; `None` before the first one ever.
    next: Option<u64>,
    /// A record behind a gap that was just told.
    behind_the_gap: Option<Record>,
    /// The last number passed over because it was dealt with before.
    passed: Option<u64>,
    buffer: Box<[u8]>,
}

impl<R: Read> Follower<R> {
    /// Reads on from a position. One of an earlier start of the machine means: this start's log from its beginning.
    /// None at all means: whatever is there, and what is gone was not missed.
    pub fn new(source: R, boot: &str, from: Option<&Position>) -> Self {
        let boot = boot.trim();
        Self {
            source,
            boot: boot.to_owned(),
            next: from.map(|from| if from.boot == boot { from.next } else { 0 }),
            behind_the_gap: None,
            passed: None,
            buffer: vec![0; LONGEST_RECORD].into_boxed_slice(),
        }
    }

    /// What it reads from, e.g. to wait for it.
    pub const fn source(&self) -> &R {
        &self.source
    }

    /// How far it is: behind everything [`read`](Self::read) has given. `None` before anything was.
    pub fn position(&self) -> Option<Position> {
        self.next.map(|next| Position {
            boot: self.boot.clone(),
            next,
        })
    }

    /// The next record, a gap before it, or nothing yet. Fails as the source does; what is no record is passed over.
    pub fn read(&mut self) -> io::Result<Next> {
        if let Some(record) = self.behind_the_gap.take() {
            return Ok(self.give(record));
        }
        for _ in 0..MOST_AT_ONCE {
            let length = match self.source.read(&mut self.buffer) {
                Ok(0) => return Ok(self.at_the_end()),
                Ok(length) => length,
                // The record to read next was overwritten. The next read gives the oldest there is; how many are
                // missing, its number tells.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.at_the_end()),
                Err(error) => return Err(error),
            };
            let Some(Ok(record)) = self.buffer.get(..length).map(Record::parse) else {
                continue;
            };
            match self.next {
                Some(next) if record.sequence < next => self.passed = Some(record.sequence),
                Some(next) if record.sequence > next => {
                    self.next = Some(record.sequence);
                    let lost = record.sequence - next;
                    self.behind_the_gap = Some(record);
                    return Ok(Next::Lost(lost));
                }
                Some(_) | None => return Ok(self.give(record)),
            }
        }
        Ok(Next::Later)
    }

    fn give(&mut self, record: Record) -> Next {
        self.passed = None;
        self.next = Some(record.sequence.saturating_add(1));
        Next::Record(record)
    }

    /// A position beyond the end was of another log, or was damaged: following it would pass over everything to come.
    fn at_the_end(&mut self) -> Next {
        if let Some(passed) = self.passed.take() {
            self.next = Some(passed.saturating_add(1));
        }
        Next::Later
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A log as the kernel gives it: a record a read, an error where records were overwritten.
    struct Log(VecDeque<Result<Vec<u8>, ErrorKind>>);

    impl Log {
        fn of(numbers: impl IntoIterator<Item = u64>) -> Self {
            let record = |number| Ok(format!("6,{number},{number},-;line {number}\n").into_bytes());
            Self(numbers.into_iter().map(record).collect())
        }

        fn and(mut self, more: Self) -> Self {
            self.0.extend(more.0);
            self
        }

        fn error(kind: ErrorKind) -> Self {
            Self(VecDeque::from([Err(kind)]))
        }
    }

    impl Read for Log {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front() {
                Some(Ok(record)) => record.as_slice().read(buffer),
                Some(Err(kind)) => Err(kind.into()),
                None => Err(ErrorKind::WouldBlock.into()),
            }
        }
    }

    /// The numbers read, and a gap as how many are missing.
    fn told(follower: &mut Follower<Log>) -> Vec<Result<u64, u64>> {
        let mut told = Vec::new();
        loop {
            match follower.read().unwrap() {
                Next::Record(record) => told.push(Ok(record.sequence)),
                Next::Lost(count) => told.push(Err(count)),
                Next::Later => return told,
            }
        }
    }

    #[test]
    fn nothing_is_told_twice_after_a_restart() {
        let mut follower = Follower::new(Log::of(5..8), "boot-1", None);
        assert_eq!(told(&mut follower), [Ok(5), Ok(6), Ok(7)]);
        let position = follower.position().unwrap();

        let mut again = Follower::new(Log::of(5..10), "boot-1\n", Some(&position));
        assert_eq!(told(&mut again), [Ok(8), Ok(9)]);
    }

    #[test]
    fn what_was_overwritten_is_counted_once() {
        let log = Log::of(0..2)
            .and(Log::error(ErrorKind::BrokenPipe))
            .and(Log::of(7..9));
        let mut follower = Follower::new(log, "boot-1", None);
        assert_eq!(told(&mut follower), [Ok(0), Ok(1), Err(5), Ok(7), Ok(8)]);

        // Stopped between the gap and the record behind it: the record is still to come, the gap is not.
        let log = Log::of(0..1).and(Log::of(4..6));
        let mut stopped = Follower::new(log, "boot-1", None);
        assert_eq!(
            stopped.read().unwrap(),
            Next::Record(Record::parse(b"6,0,0,-;line 0\n").unwrap())
        );
        assert_eq!(stopped.read().unwrap(), Next::Lost(3));
        let position = stopped.position().unwrap();
        let mut again = Follower::new(Log::of(4..6), "boot-1", Some(&position));
        assert_eq!(told(&mut again), [Ok(4), Ok(5)]);
    }

    #[test]
    fn what_was_overwritten_while_nobody_read_is_counted() {
        let position = Position {
            boot: "boot-1".to_owned(),
            next: 10,
        };
        let mut same_start = Follower::new(Log::of(15..17), "boot-1", Some(&position));
        assert_eq!(told(&mut same_start), [Err(5), Ok(15), Ok(16)]);
        // The machine started again: its log begins at 0.
        let mut next_start = Follower::new(Log::of(3..5), "boot-2", Some(&position));
        assert_eq!(told(&mut next_start), [Err(3), Ok(3), Ok(4)]);
    }

    #[test]
    fn a_position_of_another_log_does_not_silence_this_one() {
        let position = Position {
            boot: "boot-1".to_owned(),
            next: u64::MAX,
        };
        let log = Log::of(0..3)
            .and(Log::error(ErrorKind::WouldBlock))
            .and(Log::of(3..5));
        let mut follower = Follower::new(log, "boot-1", Some(&position));
        assert_eq!(told(&mut follower), []);
        assert_eq!(told(&mut follower), [Ok(3), Ok(4)]);
    }

    #[test]
    fn what_is_no_record_is_passed_over_and_an_error_is_told() {
        let garbage = Log(VecDeque::from([Ok(b"\xff\xfe;".to_vec()), Ok(vec![b'9'; 5000])]));
        let mut follower = Follower::new(garbage.and(Log::of(1..2)), "boot-1", None);
        assert_eq!(told(&mut follower), [Ok(1)]);
        let mut denied = Follower::new(Log::error(ErrorKind::PermissionDenied), "boot-1", None);
        assert_eq!(denied.read().unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn one_call_ends_however_much_there_is() {
        let overwritten = std::iter::repeat_n(Err(ErrorKind::BrokenPipe), 3 * MOST_AT_ONCE);
        let mut follower = Follower::new(Log(overwritten.collect()), "boot-1", None);
        assert_eq!(follower.read().unwrap(), Next::Later);
        assert_eq!(follower.source().0.len(), 2 * MOST_AT_ONCE);
    }
}
