//! What is run on a host, and what comes back.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

/// A command for a host. Cheap to clone, so that one serves a thousand hosts.
///
/// It is a script for `/bin/sh`, whatever the login shell is.
#[derive(Debug, Clone)]
pub struct Command {
    pub(crate) script: String,
    pub(crate) stdin: Stdin,
    pub(crate) root: bool,
    pub(crate) timeout: Option<Duration>,
}

/// What a command reads.
#[derive(Debug, Clone, Default)]
pub enum Stdin {
    /// Nothing: its input is at its end.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Bytes),
    /// What a file of this machine holds.
    File(PathBuf),
}

impl Command {
    /// A script for `/bin/sh`. Secrets do not belong into it: everybody on the host sees it; use [`Self::stdin`].
    pub fn script(text: impl Into<String>) -> Self {
        Self {
            script: text.into(),
            stdin: Stdin::Empty,
            root: false,
            timeout: None,
        }
    }

    /// A program and its arguments, taken as they are.
    pub fn program<I, S>(words: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let quoted: Vec<String> = words.into_iter().map(|word| quote(word.as_ref())).collect();
        Self::script(quoted.join(" "))
    }

    /// What it reads.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// As root: through sudo, unless root signs in anyway.
    pub const fn as_root(mut self) -> Self {
        self.root = true;
        self
    }

    /// How long it may run; otherwise [`Settings::command_timeout`](crate::Settings::command_timeout). When the
    /// time is up it is ended on the host, with everything it started in its process group, even where the
    /// connection is gone by then.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// The script.
    pub fn text(&self) -> &str {
        &self.script
    }
}

/// A word that `/bin/sh` takes as it is.
pub fn quote(word: &str) -> String {
    let plain = !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-./:,@%+=".contains(&b));
    if plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u32),
    /// By a signal, without the `SIG`.
    Signal(String),
}

impl Exit {
    /// Whether it ended with 0.
    pub const fn success(&self) -> bool {
        matches!(self, Self::Code(0))
    }
}

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a command's output, at most 32 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// From where.
    pub stream: Stream,
    /// What.
    pub bytes: Bytes,
}

/// Takes a command's output, piece by piece. While it holds a piece the host waits: what it does not take is not
/// sent.
pub trait Sink: Send {
    /// Takes a piece.
    fn take(&mut self, chunk: Chunk) -> impl Future<Output = ()> + Send;

    /// The command has ended and its output has not: what is still to come is not waited for.
    fn cut(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Sends each piece on; once nobody listens, the rest is dropped.
impl Sink for mpsc::Sender<Chunk> {
    async fn take(&mut self, chunk: Chunk) {
        let _ = self.send(chunk).await;
    }
}

/// Keeps output up to a limit for each stream; what is beyond it is counted and dropped.
#[derive(Debug, Clone)]
pub struct Capture {
    limit: usize,
    /// What was kept of standard output.
    pub stdout: Vec<u8>,
    /// What was kept of standard error.
    pub stderr: Vec<u8>,
    /// How many bytes were dropped.
    pub dropped: u64,
    /// Whether there may be more, which was not waited for.
    pub cut: bool,
}

impl Capture {
    /// Keeps at most this many bytes of each stream.
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            stdout: Vec::new(),
            stderr: Vec::new(),
            dropped: 0,
            cut: false,
        }
    }
}

impl Sink for Capture {
    async fn take(&mut self, chunk: Chunk) {
        let kept = match chunk.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let room = self.limit.saturating_sub(kept.len()).min(chunk.bytes.len());
        kept.extend_from_slice(&chunk.bytes[..room]);
        self.dropped = self.dropped.saturating_add((chunk.bytes.len() - room) as u64);
    }

    async fn cut(&mut self) {
        self.cut = true;
    }
}

/// What a command said, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Standard output, as far as it was kept.
    pub stdout: Vec<u8>,
    /// Standard error, as far as it was kept.
    pub stderr: Vec<u8>,
    /// How many bytes were not kept.
    pub dropped: u64,
    /// Whether the output was still open when the command had ended: what came later is not here.
    pub cut: bool,
}
