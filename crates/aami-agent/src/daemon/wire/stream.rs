//! A socket with or without TLS. While it is opened each operation has what is left of one deadline; afterwards none
//! waits.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

/// A TCP connection that knows how long it may take.
#[derive(Debug)]
pub(super) struct Timed {
    tcp: TcpStream,
    deadline: Option<Instant>,
}

impl Timed {
    /// Waits for the peer until `deadline`, and no longer.
    pub(super) const fn until(tcp: TcpStream, deadline: Instant) -> Self {
        Self {
            tcp,
            deadline: Some(deadline),
        }
    }

    /// From now on it never waits.
    pub(super) fn relax(&mut self) -> io::Result<()> {
        self.deadline = None;
        self.tcp.set_read_timeout(None)?;
        self.tcp.set_write_timeout(None)?;
        self.tcp.set_nonblocking(true)
    }

    /// Waits again, until `deadline`.
    pub(super) fn press(&mut self, deadline: Instant) -> io::Result<()> {
        self.deadline = Some(deadline);
        self.tcp.set_nonblocking(false)
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else {
            return Ok(None);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        Ok(Some(left))
    }

    /// A timeout of the socket looks like one that never waits (socket(7), `SO_RCVTIMEO`).
    fn judged(&self, done: io::Result<usize>) -> io::Result<usize> {
        match done {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.deadline.is_some() => Err(late()),
            other => other,
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time")
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(left) = self.left()? {
            self.tcp.set_read_timeout(Some(left))?;
        }
        let done = self.tcp.read(into);
        self.judged(done)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if let Some(left) = self.left()? {
            self.tcp.set_write_timeout(Some(left))?;
        }
        let done = self.tcp.write(from);
        self.judged(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// With TLS, or without.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Stream {
    pub(super) fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(timed) => timed,
            Self::Tls(session) => &mut session.sock,
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(timed) => &timed.tcp,
            Self::Tls(session) => &session.sock.tcp,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(into),
            Self::Tls(session) => session.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(from),
            Self::Tls(session) => session.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Tls(session) => session.flush(),
        }
    }
}
