//! Reading along with a run: every line from a number on, until it ends.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use aami_api::detached::{Kind, Line, SILENCE};
use aami_model::run::RunStatus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};

use super::events::ending;
use super::{DetachedError, Run};

/// How often the file is looked at.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// As much is read at once.
const PIECE: usize = 256 * 1024;
/// No line is longer; what is, is none.
const LONGEST: usize = 1 << 20;

/// Whoever reads along.
pub(crate) struct Reader<'a> {
    /// Where lines go; that nobody reads them any more ends it.
    pub(crate) output: BorrowedFd<'a>,
    /// Ends it when it is closed, where that is wanted.
    pub(crate) input: Option<BorrowedFd<'a>>,
    /// Takes a line; an error ends it.
    pub(crate) say: &'a mut dyn FnMut(&str, &Line) -> io::Result<()>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// The run did, with this exit code.
    Ended(u8),
    /// Nobody reads any more; the run goes on.
    Left,
}

/// Says every line with a number above `after`, as they come, until the run has ended.
pub(crate) fn follow(run: &Run, after: u64, reader: Reader<'_>) -> Result<Followed, DetachedError> {
    run.known()?;
    let mut file = Tail::new(run);
    let mut spoke = Instant::now();
    loop {
        // Asked before the file is read: what ended by then has said everything.
        let standing = run.known()?;
        let mut any = false;
        while let Some(text) = file.next().map_err(DetachedError::file(&run.events()))? {
            let Some(line) = Line::parse(&text).filter(|line| line.seq.is_some_and(|seq| seq > after)) else {
                continue;
            };
            any = true;
            spoke = Instant::now();
            if (reader.say)(&text, &line).is_err() {
                return Ok(Followed::Left);
            }
        }
        if standing.status != RunStatus::Running && !any {
            let exit = standing.exit.unwrap_or_default();
            if file.has_ended != Some(standing.attempt) {
                let ended = run.without_a_word(standing.attempt);
                let line = Line {
                    seq: None,
                    at: None,
                    kind: Kind::Ended(ended.clone()),
                };
                let text = Value::Object(ending(&ended)).to_string();
                let _ = (reader.say)(&text, &line);
            }
            return Ok(Followed::Ended(exit));
        }
        if spoke.elapsed() >= SILENCE {
            spoke = Instant::now();
            let line = Line {
                seq: None,
                at: None,
                kind: Kind::Alive,
            };
            if (reader.say)(&json!({ "type": "alive" }).to_string(), &line).is_err() {
                return Ok(Followed::Left);
            }
        }
        if !any && reader.is_gone() {
            return Ok(Followed::Left);
        }
    }
}

impl Reader<'_> {
    /// Waits a moment; whether nobody reads any more by then.
    fn is_gone(&self) -> bool {
        // Nothing is asked of the output but whether its other end is there: errors and hang-ups are always told.
        let mut waits = vec![PollFd::new(&self.output, PollFlags::empty())];
        waits.extend(self.input.as_ref().map(|input| PollFd::new(input, PollFlags::IN)));
        if poll(&mut waits, Some(&LOOK)).is_err() {
            // An interruption is a moment like any other.
            return false;
        }
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        if waits.first().is_some_and(|wait| wait.revents().intersects(gone)) {
            return true;
        }
        let is_said = waits.get(1).is_some_and(|wait| !wait.revents().is_empty());
        match self.input.filter(|_| is_said) {
            Some(input) => matches!(rustix::io::read(input, &mut [0_u8; 256]), Ok(0) | Err(_)),
            None => false,
        }
    }
}

/// The lines of a file that grows.
struct Tail {
    path: std::path::PathBuf,
    file: Option<File>,
    /// What was read and is no whole line yet.
    rest: Vec<u8>,
    /// Up to where `rest` was looked through.
    seen: usize,
    /// The attempt whose ending was the last line.
    has_ended: Option<u32>,
}

impl Tail {
    fn new(run: &Run) -> Self {
        Self {
            path: run.events(),
            file: None,
            rest: Vec::new(),
            seen: 0,
            has_ended: None,
        }
    }

    /// The next whole line, if there is one by now.
    fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.rest[self.seen..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=self.seen + at).collect();
                self.seen = 0;
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.has_ended = match Line::parse(&text).map(|line| line.kind) {
                    Some(Kind::Ended(ended)) => Some(ended.attempt),
                    _ => None,
                };
                return Ok(Some(text));
            }
            self.seen = self.rest.len();
            if self.rest.len() > LONGEST {
                self.rest.clear();
                self.seen = 0;
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    fn more(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                // It is made with the first line.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
        }
        let Some(file) = &mut self.file else {
            return Ok(false);
        };
        // What a power cut tore was removed since: the file is shorter than what was read of it.
        let (at, length) = (file.stream_position()?, file.metadata()?.len());
        if at > length {
            let torn = usize::try_from(at - length).unwrap_or(usize::MAX);
            self.rest.truncate(self.rest.len().saturating_sub(torn));
            self.seen = self.seen.min(self.rest.len());
            file.seek(SeekFrom::Start(length))?;
        }
        let before = self.rest.len();
        let piece = u64::try_from(PIECE).unwrap_or(u64::MAX);
        file.take(piece).read_to_end(&mut self.rest)?;
        Ok(self.rest.len() > before)
    }
}

/// The two ends of a terminal or a connection, as this process has them.
pub(crate) fn ends<'a>(
    stdout: &'a io::Stdout,
    stdin: Option<&'a io::Stdin>,
    say: &'a mut dyn FnMut(&str, &Line) -> io::Result<()>,
) -> Reader<'a> {
    Reader {
        output: stdout.as_fd(),
        input: stdin.map(|stdin| stdin.as_fd()),
        say,
    }
}
