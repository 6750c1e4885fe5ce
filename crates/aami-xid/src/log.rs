//! A whole log, read for what the driver wrote into it: `dmesg`, `journalctl -k`, a syslog file, or `/dev/kmsg` as it was
//! kept.
//!
//! [`read`] goes through it at the speed of looking for two words, and takes apart only the lines that have one of
//! them: each is a [`Line`]. [`Summary`] is what all of it comes to. How a line may begin is in [`prefix`]: text that a process wrote into the
//! log is not the kernel's, whatever stands in it.

mod prefix;
mod summary;

use std::io::{self, Read};

use memchr::memmem::Finder;

use crate::event::Event;
use crate::plain::plain;

pub use summary::{Moment, Seen, Summary, Verdict};

/// How much is read at once.
const CHUNK: usize = 1 << 20;
/// How far before its words a line may begin; longer is no time of anything.
const BEHIND: usize = 1024;
/// How much of a message is looked at, its further lines included.
const AHEAD: usize = 16 * 1024;
/// A message that `dmesg` spreads has at most so many further lines.
const FURTHER: usize = 2;
/// The longest time of a line that is kept.
const LONGEST_WHEN: usize = 64;
/// What the driver says when it is loaded.
const LOADED: &str = "NVRM: loading NVIDIA UNIX ";

/// A line of the driver that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// One about a GPU or a switch.
    Event(Found),
    /// The driver was loaded anew: the machine booted, or somebody reset it.
    Loaded,
}

/// One event in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub event: Event,
    /// Where it stands: the first line is 1.
    pub line: u64,
    /// The line's own time as the log has it, e.g. `812.004411` or `Nov 21 22:17:01`.
    pub when: Option<String>,
}

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Bytes.
    pub bytes: u64,
    /// Lines, a last one without an end included.
    pub lines: u64,
}

/// Reads a log to its end and hands over each line of the driver, in order.
///
/// Needs a fixed amount of memory, however long the log and its lines are. Bytes that are no UTF-8 are replaced. Fails
/// only when reading fails.
pub fn read(mut from: impl Read, mut tell: impl FnMut(Line)) -> io::Result<Extent> {
    let words = [Finder::new("NVRM: "), Finder::new("nvidia-nvswitch")];
    let mut buffer = vec![0; BEHIND + CHUNK + AHEAD];
    let mut window = Window::default();
    let mut branch = None;
    loop {
        let is_whole = fill(&mut from, &mut buffer, &mut window.filled)?;
        let bytes = &buffer[..window.filled];
        let until = if is_whole {
            bytes.len()
        } else {
            bytes.len().saturating_sub(AHEAD).max(window.begin)
        };
        // The words may begin before the limit and end behind it.
        let mut next = words.each_ref().map(|word| word.find(&bytes[window.begin..]));
        loop {
            let first = next.iter().flatten().min().copied().map(|at| window.begin + at);
            let Some(at) = first.filter(|at| *at < until) else {
                break;
            };
            if let Some((message, when)) = message(bytes, at) {
                if let Some(loaded) = message.strip_prefix(LOADED) {
                    branch = branch_in(loaded).or(branch);
                    tell(Line::Loaded);
                }
                if let Some(event) = Event::of_line(&message) {
                    tell(Line::Event(Found {
                        event: event.on_branch(branch),
                        line: window.count_to(bytes, at) + 1,
                        when: when.map(|when| plain(&when, LONGEST_WHEN)),
                    }));
                }
            }
            for (next, word) in next.iter_mut().zip(&words) {
                if *next == Some(at - window.begin) {
                    *next = word
                        .find(&bytes[at + 1..])
                        .map(|more| more + at + 1 - window.begin);
                }
            }
        }
        window.count_to(bytes, until);
        if is_whole {
            return Ok(window.extent(bytes));
        }
        let kept = until.saturating_sub(BEHIND);
        buffer.copy_within(kept..window.filled, 0);
        window.slide(kept, until);
    }
}

/// The part of the log that is in the buffer.
#[derive(Default)]
struct Window {
    filled: usize,
    /// Where looking goes on.
    begin: usize,
    /// Up to where lines were counted.
    counted: usize,
    lines: u64,
    gone: u64,
}

impl Window {
    /// How many lines end before this place. Only ascending places are asked for.
    fn count_to(&mut self, bytes: &[u8], place: usize) -> u64 {
        if place > self.counted {
            let ends = memchr::memchr_iter(b'\n', &bytes[self.counted..place]).count();
            self.lines += u64::try_from(ends).unwrap_or(u64::MAX);
            self.counted = place;
        }
        self.lines
    }

    fn slide(&mut self, kept: usize, until: usize) {
        self.filled -= kept;
        self.begin = until - kept;
        self.counted = until - kept;
        self.gone += u64::try_from(kept).unwrap_or(u64::MAX);
    }

    fn extent(&self, bytes: &[u8]) -> Extent {
        let rest = bytes.last().is_some_and(|last| *last != b'\n');
        Extent {
            bytes: self.gone + u64::try_from(self.filled).unwrap_or(u64::MAX),
            lines: self.lines + u64::from(rest),
        }
    }
}

/// Fills the buffer; true when the log has ended.
fn fill(from: &mut impl Read, buffer: &mut [u8], filled: &mut usize) -> io::Result<bool> {
    while *filled < buffer.len() {
        match from.read(&mut buffer[*filled..]) {
            Ok(0) => return Ok(true),
            Ok(more) => *filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The message whose words stand here, and its line's time; `None` where the line is not the kernel's.
fn message(bytes: &[u8], at: usize) -> Option<(String, Option<String>)> {
    let behind = at.saturating_sub(BEHIND);
    let begin = match memchr::memrchr(b'\n', &bytes[behind..at]) {
        Some(end) => behind + end + 1,
        // The log's own beginning.
        None if behind == 0 && at < BEHIND => 0,
        None => return None,
    };
    let when = prefix::when(&String::from_utf8_lossy(&bytes[begin..at]))?;
    let rest = &bytes[at..bytes.len().min(at + AHEAD)];
    let mut lines = rest.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
    let mut text = lines.next()?.trim_end().to_owned();
    for further in lines.take(FURTHER) {
        // What has no time of its own continues the line before.
        if !further.starts_with([' ', '\t']) {
            break;
        }
        text.push('\n');
        text.push_str(further.trim());
    }
    Some((text, when))
}

/// The driver's branch, in what stands behind [`LOADED`]: `Open Kernel Module for x86_64  580.95.05`.
fn branch_in(loaded: &str) -> Option<u32> {
    let version = loaded
        .split_whitespace()
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split('.').next()?.parse().ok()
}
