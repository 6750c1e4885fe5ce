//! One signed-in connection, and what is done over it.
//!
//! [`Connection::open`] goes through [`dial`], [`handshake`] and [`login`]; [`Connection::run`] speaks with a
//! command in [`talk`], by what [`envelope`] says; [`end`] ends it there when its time is up.

mod dial;
mod end;
mod envelope;
mod handshake;
mod input;
mod linger;
mod login;
mod marker;
mod stranger;
mod sudo;
mod talk;
mod upload;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::client::Shared;
use crate::command::{Capture, Command, Exit, Output, Sink};
use crate::{Host, Known, SshError};

pub(crate) use dial::Place;
use envelope::Keeper;
pub(crate) use handshake::Session;
pub use upload::{Upload, Uploaded};

/// How many commands run over one connection at a time. OpenSSH allows ten (`MaxSessions`); what is left is for
/// ending those that run too long.
const COMMANDS_AT_ONCE: usize = 8;

/// A signed-in connection to a host. Cheap to clone; it is closed when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Connection {
    link: Arc<Link>,
}

/// What the clones of a connection share.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
    pub(crate) host: Host,
    pub(crate) session: Session,
    pub(crate) commands: Semaphore,
    /// Whether `timeout` is not there as expected.
    lacks_timeout: AtomicBool,
    /// Keeps the place on the jump host, and the connection to it.
    _place: Option<Place>,
}

impl Link {
    /// What keeps the time of commands there.
    fn keeper(&self) -> Keeper {
        match self.lacks_timeout.load(Ordering::Relaxed) {
            true => Keeper::Supervisor,
            false => Keeper::Timeout,
        }
    }

    /// No command begins below `timeout` there.
    fn no_timeout(&self) {
        self.lacks_timeout.store(true, Ordering::Relaxed);
    }
}

impl Connection {
    /// Connects and signs in.
    pub(crate) async fn open(shared: &Arc<Shared>, host: &Host) -> Result<Self, SshError> {
        let (session, place) = sign_in(shared, host, Role::Target).await?;
        Ok(Self {
            link: Arc::new(Link {
                shared: Arc::clone(shared),
                host: host.clone(),
                session,
                commands: Semaphore::new(COMMANDS_AT_ONCE),
                lacks_timeout: AtomicBool::new(false),
                _place: place,
            }),
        })
    }

    /// The host at the other end.
    pub fn host(&self) -> &Host {
        &self.link.host
    }

    /// How its key was judged: known before, learned just now, certified, or not looked at.
    pub fn host_key(&self) -> &Known {
        &self.link.session.known
    }

    /// Whether it has ended. One that has not may still be dead: that shows after some keep-alives.
    pub fn is_closed(&self) -> bool {
        self.link.session.handle.is_closed()
    }

    /// Runs a command, hands its output to a sink piece by piece, and says how it ended.
    ///
    /// In: the command, and who takes its output; while that one is busy the host waits. Out: its exit code or
    /// signal, whatever that is. Fails when it could not be begun, when sudo would not, when the connection broke,
    /// and with [`SshError::TimedOut`] when its time was up: then it was ended on the host, with its process group.
    /// What it had said by then is in the sink.
    ///
    /// What it left running in the background may hold its output open: after its end that is listened to for
    /// seconds only, and the sink is told that there may be more ([`Sink::cut`]).
    ///
    /// Dropped half-way, it ends the command on the host as well, as far as the connection allows; see
    /// [`Client::settle`](crate::Client::settle).
    pub async fn run<S: Sink>(&self, command: &Command, sink: &mut S) -> Result<Exit, SshError> {
        talk::run(&self.link, command, sink).await
    }

    /// Runs a command and keeps what it says, up to `limit` bytes of each stream; the rest is counted.
    pub async fn output(&self, command: &Command, limit: usize) -> Result<Output, SshError> {
        let mut capture = Capture::new(limit);
        let exit = self.run(command, &mut capture).await?;
        Ok(Output {
            exit,
            stdout: capture.stdout,
            stderr: capture.stderr,
            dropped: capture.dropped,
            cut: capture.cut,
        })
    }

    /// Places a file on the host: written beside its place, compared by SHA-256 there, then moved into it. A file
    /// that is there already with the same content is not sent again; its mode is set.
    pub async fn upload(&self, upload: &Upload) -> Result<Uploaded, SshError> {
        upload::upload(self, upload).await
    }

    /// Says goodbye and closes; waits for the other end for a short while only.
    pub async fn close(self) {
        self.link.session.close(Duration::from_secs(1)).await;
    }
}

/// What a host is connected to for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// For itself.
    Target,
    /// To go through it.
    Jump,
}

/// Connects to a host, judges its key and signs in: to a target as well as to a jump host.
pub(crate) async fn sign_in(
    shared: &Arc<Shared>,
    host: &Host,
    role: Role,
) -> Result<(Session, Option<Place>), SshError> {
    let dialled = dial::dial(shared, host).await?;
    let mut session = handshake::greet(shared, host, dialled.stream, dialled.until).await?;
    login::sign_in(shared, host, role, &mut session).await?;
    Ok((session, dialled.place))
}
