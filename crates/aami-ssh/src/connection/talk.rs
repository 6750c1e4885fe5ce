//! A command is run: its input goes there, its output comes back, and its time is kept.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::end::Running;
use super::envelope::Envelope;
use super::handshake::printable;
use super::marker::{Finder, Piece};
use super::sudo::SudoTalk;
use super::{Link, end};
use crate::command::{Chunk, Command, Exit, Sink, Stdin, Stream};
use crate::error::SudoRefusal;
use crate::identities::SudoPassword;
use crate::{Known, SshError, Waiting};

/// How long a login shell may take to its first word, start files included.
const SHELL: Duration = Duration::from_secs(60);
/// How long a channel may stay open and silent after the command's end: what the command left running in the
/// background may hold it for ever.
const LINGER: Duration = Duration::from_secs(2);
/// How much is read of a local file at a time.
const PIECE: usize = 32 * 1024;
/// How much of what came instead of a command stands in an error.
const SHOWN: usize = 300;

type Feeding<'a> = Pin<Box<dyn Future<Output = Result<(), SshError>> + Send + 'a>>;

/// Runs a command; see [`super::Connection::run`].
pub(super) async fn run<S: Sink>(
    link: &Arc<Link>,
    command: &Command,
    sink: &mut S,
) -> Result<Exit, SshError> {
    let limit = command.timeout.unwrap_or(link.shared.settings.command_timeout);
    let _turn = timeout(limit, link.commands.acquire())
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or_else(|| SshError::Congested {
            why: "too many commands run over this connection".to_owned(),
        })?;
    // Boxed, since there is one for every host under way.
    let running = Running::new(link, command.root);
    Box::pin(converse(link, command, limit, running, sink)).await
}

/// Runs a command without waiting for a turn.
pub(super) async fn converse<S: Sink>(
    link: &Arc<Link>,
    command: &Command,
    limit: Duration,
    mut running: Running,
    sink: &mut S,
) -> Result<Exit, SshError> {
    let settings = &link.shared.settings;
    let envelope = Envelope::new(command, &link.host, limit, settings.kill_after)?;
    let (reader, writer) = open(link).await?;
    let writer = Arc::new(writer);
    running.sent(&writer);
    writer
        .exec(true, envelope.line)
        .await
        .map_err(|_| link.session.lost(false))?;
    let patience = if envelope.sudo.is_some() {
        (Waiting::Sudo, settings.sudo_timeout)
    } else {
        (Waiting::Shell, SHELL)
    };
    let talk = Talk {
        link,
        limit,
        patience,
        reader,
        deadline: Instant::now() + patience.1,
        stdout: Finder::new(&envelope.begin),
        stderr: Finder::new(&envelope.begin),
        sudo: envelope
            .sudo
            .map(|marks| SudoTalk::new(marks.before, marks.prompt)),
        exit: None,
        running,
        writer: &writer,
    };
    talk.follow(&command.stdin, sink).await
}

/// Opens a channel for a command.
async fn open(link: &Link) -> Result<(ChannelReadHalf, ChannelWriteHalf<Msg>), SshError> {
    let limit = link.shared.settings.connect_timeout;
    let opened = timeout(limit, link.session.handle.channel_open_session())
        .await
        .map_err(|_| SshError::TimedOut {
            waiting: Waiting::Channel,
            after: limit,
        })?;
    match opened {
        Ok(channel) => Ok(channel.split()),
        Err(russh::Error::ChannelOpenFailure(failure)) => Err(SshError::Congested {
            why: format!("it opens no channel: {}", failure.description()),
        }),
        Err(_) => Err(link.session.lost(false)),
    }
}

/// A command under way.
struct Talk<'a> {
    link: &'a Arc<Link>,
    limit: Duration,
    /// What is waited for until it begins, and how long.
    patience: (Waiting, Duration),
    reader: ChannelReadHalf,
    writer: &'a ChannelWriteHalf<Msg>,
    deadline: Instant,
    stdout: Finder,
    stderr: Finder,
    sudo: Option<SudoTalk>,
    exit: Option<Exit>,
    running: Running,
}

/// What happened next.
enum Next {
    Message(Option<ChannelMsg>),
    Fed(Result<(), SshError>),
    Late,
}

impl<'a> Talk<'a> {
    async fn follow<S: Sink>(mut self, stdin: &Stdin, sink: &mut S) -> Result<Exit, SshError> {
        let mut feeding: Option<Feeding<'a>> = None;
        loop {
            let next = tokio::select! {
                message = self.reader.wait() => Next::Message(message),
                fed = fed(&mut feeding) => Next::Fed(fed),
                () = sleep_until(self.deadline) => Next::Late,
            };
            match next {
                Next::Message(Some(ChannelMsg::Data { data })) => {
                    let begun = self.stdout.found();
                    self.output(data, sink).await;
                    if !begun && self.stdout.found() {
                        feeding = Some(Box::pin(feed(self.writer, stdin.clone())));
                    }
                }
                Next::Message(Some(ChannelMsg::ExtendedData { data, ext: 1 })) => {
                    self.errors(data, sink).await?
                }
                Next::Message(Some(ChannelMsg::ExitStatus { exit_status })) => {
                    self.ended(Exit::Code(exit_status));
                }
                Next::Message(Some(ChannelMsg::ExitSignal { signal_name, .. })) => {
                    self.ended(Exit::Signal(name_of(&signal_name)));
                }
                Next::Message(Some(ChannelMsg::Failure)) => {
                    self.running.over();
                    return Err(SshError::NoShell {
                        said: "the server turned the command down".to_owned(),
                    });
                }
                Next::Message(Some(ChannelMsg::Close) | None) => break,
                Next::Message(Some(_)) | Next::Fed(Ok(())) => {}
                Next::Fed(Err(error)) => {
                    end::end(&mut self.running).await;
                    return Err(error);
                }
                Next::Late if self.exit.is_some() => break,
                Next::Late => return Err(self.late().await),
            }
        }
        self.over()
    }

    async fn output<S: Sink>(&mut self, data: Bytes, sink: &mut S) {
        match self.stdout.feed(data) {
            Piece::Noise => {}
            Piece::Begins(group, first) => {
                self.running.begun(&group);
                if self.sudo.as_ref().is_some_and(SudoTalk::asked) {
                    let host = &self.link.host;
                    self.link.shared.identities.sudo_password_accepted(&host.user);
                }
                self.deadline = Instant::now() + self.limit;
                self.hand(Stream::Stdout, first, sink).await;
            }
            Piece::Output(bytes) => self.hand(Stream::Stdout, bytes, sink).await,
        }
    }

    async fn errors<S: Sink>(&mut self, data: Bytes, sink: &mut S) -> Result<(), SshError> {
        if !self.stderr.found()
            && let Some(sudo) = &mut self.sudo
        {
            match sudo.feed(&data) {
                Some(1) => self.password().await?,
                Some(_) => {
                    // It asks again, so it was wrong. It gets no second chance.
                    let _ = self.writer.eof().await;
                    let _ = self.writer.close().await;
                    self.running.over();
                    self.wrong_password();
                    return Err(self.refused_by_sudo(SudoRefusal::WrongPassword));
                }
                None => {}
            }
        }
        match self.stderr.feed(data) {
            Piece::Noise => {}
            Piece::Begins(_, bytes) | Piece::Output(bytes) => self.hand(Stream::Stderr, bytes, sink).await,
        }
        Ok(())
    }

    /// Gives sudo the password it asks for.
    async fn password(&mut self) -> Result<(), SshError> {
        if matches!(self.link.session.known, Known::Unchecked { differs: true, .. }) {
            return Err(self.without_password(SudoRefusal::Distrusted).await);
        }
        let asked = Instant::now();
        let password = self
            .link
            .shared
            .identities
            .sudo_password_of(&self.link.host.user)
            .await;
        // A person took that time, not the host.
        self.deadline += asked.elapsed();
        let password = match password {
            SudoPassword::Known(password) => password,
            SudoPassword::None => return Err(self.without_password(SudoRefusal::PasswordNeeded).await),
            SudoPassword::Refused => return Err(self.without_password(SudoRefusal::WrongElsewhere).await),
        };
        let line = zeroize::Zeroizing::new(format!("{}\n", password.reveal()));
        let sent = self
            .writer
            .data_bytes(Bytes::copy_from_slice(line.as_bytes()))
            .await;
        sent.map_err(|_| self.link.session.lost(false))
    }

    /// Ends a sudo that asks and gets nothing.
    async fn without_password(&mut self, why: SudoRefusal) -> SshError {
        let _ = self.writer.eof().await;
        let _ = self.writer.close().await;
        self.running.over();
        self.refused_by_sudo(why)
    }

    /// The password that was sent is wrong: it goes to no further host.
    fn wrong_password(&self) {
        let host = &self.link.host;
        self.link.shared.identities.sudo_password_refused(&host.user);
    }

    /// Hands a piece over. Who takes too long only makes the command late.
    async fn hand<S: Sink>(&mut self, stream: Stream, bytes: Bytes, sink: &mut S) {
        if bytes.is_empty() {
            return;
        }
        let deadline = match self.exit {
            Some(_) => Instant::now() + self.limit,
            None => self.deadline,
        };
        let _ = timeout_at(deadline, sink.take(Chunk { stream, bytes })).await;
        if self.exit.is_some() {
            // What was still on its way after the end is a sign of life.
            self.deadline = Instant::now() + LINGER;
        }
    }

    fn ended(&mut self, exit: Exit) {
        self.exit = Some(exit);
        self.running.over();
        self.deadline = Instant::now() + LINGER;
    }

    /// The time is up.
    async fn late(&mut self) -> SshError {
        end::end(&mut self.running).await;
        let (waiting, after) = if self.stdout.found() {
            (Waiting::Command, self.limit)
        } else {
            self.patience
        };
        SshError::TimedOut { waiting, after }
    }

    /// The channel is closed, or nothing comes over it any more.
    fn over(mut self) -> Result<Exit, SshError> {
        self.running.over();
        match self.exit.take() {
            Some(exit) if self.stdout.found() => Ok(exit),
            None if self.link.session.handle.is_closed() => Err(self.link.session.lost(true)),
            None if self.stdout.found() => Err(SshError::Lost {
                why: "the host closed the channel without saying how the command ended".to_owned(),
                began: true,
            }),
            Some(_) | None => Err(self.never_began()),
        }
    }

    fn never_began(&mut self) -> SshError {
        if let Some((refusal, said)) = self.sudo.as_ref().and_then(SudoTalk::refusal) {
            if refusal == SudoRefusal::WrongPassword {
                self.wrong_password();
            }
            return SshError::Sudo { refusal, said };
        }
        self.stdout.end();
        self.stderr.end();
        let said = [self.stderr.noise(), b"\n", self.stdout.noise()].concat();
        SshError::NoShell {
            said: printable(&String::from_utf8_lossy(&said), SHOWN),
        }
    }

    fn refused_by_sudo(&self, refusal: SudoRefusal) -> SshError {
        SshError::Sudo {
            refusal,
            said: self
                .sudo
                .as_ref()
                .and_then(SudoTalk::refusal)
                .map_or_else(String::new, |(_, said)| said),
        }
    }
}

/// Waits for the input to be sent, where there is some being sent.
async fn fed(feeding: &mut Option<Feeding<'_>>) -> Result<(), SshError> {
    let fed = match feeding {
        Some(future) => future.await,
        None => pending().await,
    };
    *feeding = None;
    fed
}

/// Sends a command its input. A command that does not read it is not at fault: that it is gone shows elsewhere.
async fn feed(writer: &ChannelWriteHalf<Msg>, stdin: Stdin) -> Result<(), SshError> {
    match stdin {
        Stdin::Empty => {}
        Stdin::Bytes(bytes) => {
            let _ = writer.data_bytes(bytes).await;
        }
        Stdin::File(path) => {
            let unreadable = |error: std::io::Error| SshError::Local {
                why: format!("{}: {error}", path.display()),
            };
            let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
            loop {
                let mut piece = bytes::BytesMut::with_capacity(PIECE);
                if file.read_buf(&mut piece).await.map_err(unreadable)? == 0
                    || writer.data_bytes(piece.freeze()).await.is_err()
                {
                    break;
                }
            }
        }
    }
    let _ = writer.eof().await;
    Ok(())
}

fn name_of(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => printable(name, 32),
        known => format!("{known:?}"),
    }
}
