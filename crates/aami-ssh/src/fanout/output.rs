//! What a host says while it works: kept within limits, written whole to its log, told line by line.

use std::io::Write;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::event::Event;
use super::kept::{Budget, Kept};
use super::logs::Logs;
use crate::{Chunk, Sink, Stream};

/// How long a line may be before it is told in pieces.
const LINE: usize = 4 * 1024;

/// How many bytes are looked at in one go, and so how many lines may come of it at once.
const GO: usize = 1024;

/// How much of what hosts say stays in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of each stream of each host: half for its beginning, half for its end.
    pub per_host: usize,
    /// Of all hosts together. What many hosts say alike counts once as soon as they have ended.
    pub together: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            per_host: 64 * 1024,
            together: 16 * 1024 * 1024,
        }
    }
}

/// Takes what one host says. Clones are the same one.
#[derive(Clone)]
pub struct Output(Arc<Shared>);

struct Shared {
    host: usize,
    name: Arc<str>,
    logs: Option<Arc<dyn Logs>>,
    said: Mutex<Said>,
}

/// Whom events are told to.
#[derive(Debug, Clone, Default)]
pub(super) struct Teller {
    pub(super) events: Option<mpsc::Sender<Event>>,
    /// Whether lines are events.
    pub(super) lines: bool,
}

impl Teller {
    /// Tells it; waits where nobody keeps up. Nobody there is no failure.
    pub(super) async fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            let _ = events.send(event).await;
        }
    }
}

struct Said {
    teller: Teller,
    out: Kept,
    err: Kept,
    out_line: Vec<u8>,
    err_line: Vec<u8>,
    /// Whether there may be more, which was not waited for.
    cut: bool,
    log: Log,
}

/// What is left of an output at its end.
pub(super) struct Closed {
    pub(super) out: Kept,
    pub(super) err: Kept,
    pub(super) cut: bool,
    /// What is still to be told.
    pub(super) events: Vec<Event>,
}

enum Log {
    /// Nothing was said yet.
    Silent,
    Open(Box<dyn Write + Send>),
    /// There is none, or none any more.
    None,
}

impl Output {
    pub(super) fn new(
        host: usize,
        name: Arc<str>,
        per_host: usize,
        budget: &Budget,
        teller: Teller,
        logs: Option<Arc<dyn Logs>>,
    ) -> Self {
        Self(Arc::new(Shared {
            host,
            name,
            said: Mutex::new(Said {
                teller,
                out: Kept::new(per_host, budget.clone()),
                err: Kept::new(per_host, budget.clone()),
                out_line: Vec::new(),
                err_line: Vec::new(),
                cut: false,
                log: if logs.is_some() { Log::Silent } else { Log::None },
            }),
            logs,
        }))
    }

    /// Takes bytes the host said.
    pub async fn say(&self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.chunks(GO) {
            let (events, teller) = self.0.hear(stream, piece);
            for event in events {
                teller.tell(event).await;
            }
        }
    }

    /// Tells how far the work is, in a few words of our own; they are no output of the host, and stand in its log.
    pub async fn progress(&self, text: &str) {
        let host = self.0.host;
        let (broken, teller) = self.0.note(&format!("--- {text}\n"));
        if let Some(broken) = broken {
            teller.tell(broken).await;
        }
        let text = text.to_owned();
        teller.tell(Event::Progress { host, text }).await;
    }

    /// Forgets what the attempt before said; the log keeps it.
    pub(super) fn again(&self, attempt: u32) {
        let mut said = self.0.said();
        said.out.clear();
        said.err.clear();
        said.cut = false;
        (said.out_line, said.err_line) = (Vec::new(), Vec::new());
        if let Log::Open(log) = &mut said.log {
            // A log that cannot be written is told when the host says something.
            let _ = writeln!(log, "--- attempt {attempt}");
        }
    }

    /// The end: the log is closed, and a clone that outlives it says nothing any more.
    pub(super) fn close(&self) -> Closed {
        self.0.close()
    }
}

impl Sink for Output {
    async fn take(&mut self, chunk: Chunk) {
        let bytes: Bytes = chunk.bytes;
        self.say(chunk.stream, &bytes).await;
    }

    async fn cut(&mut self) {
        let (broken, teller) = self.0.cut();
        for event in broken.into_iter().chain([Event::Cut { host: self.0.host }]) {
            teller.tell(event).await;
        }
    }
}

impl Shared {
    /// Held for moments only, and never while something is waited for.
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, stream: Stream, bytes: &[u8]) -> (Vec<Event>, Teller) {
        let said = &mut *self.said();
        let mut events: Vec<Event> = self.write(&mut said.log, bytes).into_iter().collect();
        let (kept, line) = match stream {
            Stream::Stdout => (&mut said.out, &mut said.out_line),
            Stream::Stderr => (&mut said.err, &mut said.err_line),
        };
        kept.push(bytes);
        if !said.teller.lines || said.teller.events.is_none() {
            return (events, said.teller.clone());
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(end) => {
                    line.extend_from_slice(end);
                    events.push(self.line(stream, mem::take(line)));
                }
                None => line.extend_from_slice(part),
            }
            if line.len() >= LINE {
                events.push(self.line(stream, mem::take(line)));
            }
        }
        (events, said.teller.clone())
    }

    fn line(&self, stream: Stream, mut bytes: Vec<u8>) -> Event {
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Event::Line {
            host: self.host,
            stream,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    fn note(&self, text: &str) -> (Option<Event>, Teller) {
        let said = &mut *self.said();
        (self.write(&mut said.log, text.as_bytes()), said.teller.clone())
    }

    fn cut(&self) -> (Option<Event>, Teller) {
        let said = &mut *self.said();
        said.cut = true;
        let text = "--- what was left running there still holds the output; it is not waited for\n";
        (self.write(&mut said.log, text.as_bytes()), said.teller.clone())
    }

    /// Writes to the log, which is opened when it is first needed. What fails is told once; then there is none.
    ///
    /// This is a file of this machine: that it is written in the midst of async work costs microseconds, a thread
    /// for it would cost more.
    fn write(&self, log: &mut Log, bytes: &[u8]) -> Option<Event> {
        let result = match (&mut *log, &self.logs) {
            (Log::Silent, Some(logs)) => logs.open(&self.name).and_then(|mut open| {
                open.write_all(bytes)?;
                *log = Log::Open(open);
                Ok(())
            }),
            (Log::Open(open), _) => open.write_all(bytes),
            (Log::None, _) | (Log::Silent, None) => Ok(()),
        };
        let error = result.err()?;
        *log = Log::None;
        Some(Event::NoLog {
            host: self.host,
            why: error.to_string(),
        })
    }

    fn close(&self) -> Closed {
        let said = &mut *self.said();
        let mut events = Vec::new();
        for (stream, line) in [
            (Stream::Stdout, mem::take(&mut said.out_line)),
            (Stream::Stderr, mem::take(&mut said.err_line)),
        ] {
            if !line.is_empty() {
                events.push(self.line(stream, line));
            }
        }
        if let Log::Open(log) = &mut said.log
            && let Err(error) = log.flush()
        {
            events.push(Event::NoLog {
                host: self.host,
                why: error.to_string(),
            });
        }
        said.log = Log::None;
        // Who listens learns by this that nothing more comes.
        said.teller = Teller::default();
        Closed {
            out: said.out.taken(),
            err: said.err.taken(),
            cut: said.cut,
            events,
        }
    }
}
