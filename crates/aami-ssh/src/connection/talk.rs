//! A command is run: its input goes there, its output comes back, and its time is kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::end::Running;
use super::envelope::{Envelope, Keeper, timed};
use super::input::{Feeding, fed, feed};
use super::linger::Linger;
use super::marker::{Finder, Piece};
use super::stranger::printable;
use super::sudo::SudoTalk;
use super::{Link, end};
use crate::command::{Chunk, Command, Exit, Sink, Stdin, Stream};
use crate::error::SudoRefusal;
use crate::identities::{Account, Lending, Lent, Opens};
use crate::{Known, SshError, Waiting};

/// How long a login shell may take to its first word, start files included.
const SHELL: Duration = Duration::from_secs(60);
/// How much of what came instead of a command stands in an error.
const SHOWN: usize = 300;

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
    Box::pin(converse(link, command, limit, true, sink)).await
}

/// Runs what ends another command: without waiting for a turn, and nobody ends it.
pub(super) async fn unattended<S: Sink>(
    link: &Arc<Link>,
    command: &Command,
    limit: Duration,
    sink: &mut S,
) -> Result<Exit, SshError> {
    Box::pin(converse(link, command, limit, false, sink)).await
}

/// Runs a command; one that is `attended` is ended when nobody waits for it any more.
async fn converse<S: Sink>(
    link: &Arc<Link>,
    command: &Command,
    limit: Duration,
    attended: bool,
    sink: &mut S,
) -> Result<Exit, SshError> {
    let keeper = link.keeper();
    let envelope = |keeper| {
        let kill_after = link.shared.settings.kill_after;
        Envelope::new(command, &link.host, keeper, limit, kill_after)
    };
    let first = envelope(keeper)?;
    let kept_by = first.keeper;
    match speak(link, command, first, limit, attended, sink).await {
        // It did not begin for want of what keeps its time. For any other reason something else may have run in its place,
        // as a command does that belongs to a key, and that one is not to run twice.
        Err(SshError::NoShell { .. }) if kept_by == Keeper::Timeout && link.keeper() != kept_by => {
            let second = envelope(Keeper::Supervisor)?;
            speak(link, command, second, limit, attended, sink).await
        }
        spoken => spoken,
    }
}

/// Sends a command in its envelope, and follows it to its end.
async fn speak<S: Sink>(
    link: &Arc<Link>,
    command: &Command,
    envelope: Envelope,
    limit: Duration,
    attended: bool,
    sink: &mut S,
) -> Result<Exit, SshError> {
    let settings = &link.shared.settings;
    let (reader, writer) = open(link).await?;
    let writer = Arc::new(writer);
    let mut running = Running::new(link, command.root, &envelope.begin);
    running.sent(reader, &writer);
    if !attended {
        running.over();
    }
    if writer.exec(true, envelope.line).await.is_err() {
        running.over();
        return Err(link.session.lost(false));
    }
    let patience = if envelope.sudo.is_some() {
        (Waiting::Sudo, settings.sudo_timeout)
    } else {
        (Waiting::Shell, SHELL)
    };
    let talk = Talk {
        link,
        limit,
        patience,
        deadline: Instant::now() + patience.1,
        stderr: Finder::new(&envelope.begin),
        sudo: envelope
            .sudo
            .map(|marks| SudoTalk::new(marks.before, marks.prompt)),
        lent: None,
        exit: None,
        lingers: None,
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
    writer: &'a ChannelWriteHalf<Msg>,
    deadline: Instant,
    stderr: Finder,
    sudo: Option<SudoTalk>,
    /// The password sudo has, until it is clear what it makes of it.
    lent: Option<Lent>,
    exit: Option<Exit>,
    /// How long the channel is listened to once the command has ended.
    lingers: Option<Linger>,
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
                message = self.running.heard() => Next::Message(message),
                fed = fed(&mut feeding) => Next::Fed(fed),
                () = sleep_until(self.deadline) => Next::Late,
            };
            match next {
                Next::Message(Some(ChannelMsg::Data { data })) => {
                    let begun = self.running.stdout.found();
                    self.output(data, sink).await;
                    if !begun && self.running.stdout.found() {
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
                Next::Late if self.exit.is_some() => {
                    if self.running.stdout.found() {
                        sink.cut().await;
                    }
                    break;
                }
                Next::Late => return Err(self.late().await),
            }
        }
        self.over()
    }

    async fn output<S: Sink>(&mut self, data: Bytes, sink: &mut S) {
        match self.running.stdout.feed(data) {
            Piece::Noise => {}
            Piece::Begins(group, first) => {
                self.running.begun(&group);
                if let Some(lent) = self.lent.take() {
                    lent.accepted();
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
        let account = Account {
            opens: Opens::Sudo,
            user: self.link.host.user.clone(),
            host: None,
        };
        let lending = self.link.shared.identities.lend(&account).await;
        // A person took that time, or the host that tried it first.
        self.deadline += asked.elapsed();
        let lent = match lending {
            Lending::Known(lent) => lent,
            Lending::None => return Err(self.without_password(SudoRefusal::PasswordNeeded).await),
            Lending::Refused => return Err(self.without_password(SudoRefusal::WrongElsewhere).await),
        };
        let line = zeroize::Zeroizing::new(format!("{}\n", lent.reveal()));
        let sent = self
            .writer
            .data_bytes(Bytes::copy_from_slice(line.as_bytes()))
            .await;
        if sent.is_err() {
            self.running.over();
            return Err(self.link.session.lost(false));
        }
        self.lent = Some(lent);
        Ok(())
    }

    /// Ends a sudo that asks and gets nothing.
    async fn without_password(&mut self, why: SudoRefusal) -> SshError {
        let _ = self.writer.eof().await;
        let _ = self.writer.close().await;
        self.running.over();
        self.refused_by_sudo(why)
    }

    /// The password that was sent is wrong: it goes to no further host, unless one took it.
    fn wrong_password(&mut self) {
        if let Some(lent) = self.lent.take() {
            lent.refused();
        }
    }

    /// Hands a piece over. Who takes too long only makes the command late.
    async fn hand<S: Sink>(&mut self, stream: Stream, bytes: Bytes, sink: &mut S) {
        if bytes.is_empty() {
            return;
        }
        let came = Instant::now();
        let deadline = match self.exit {
            Some(_) => came + self.limit,
            None => self.deadline,
        };
        let _ = timeout_at(deadline, sink.take(Chunk { stream, bytes })).await;
        if let Some(lingers) = &mut self.lingers {
            self.deadline = lingers.heard(came, Instant::now());
        }
    }

    /// It has ended. It does so once: who tells of it again and again is not listened to any longer for that.
    fn ended(&mut self, exit: Exit) {
        if self.exit.is_some() {
            return;
        }
        self.exit = Some(exit);
        self.running.over();
        let lingers = self.lingers.insert(Linger::new(Instant::now(), self.limit));
        self.deadline = lingers.until();
    }

    /// The time is up.
    async fn late(&mut self) -> SshError {
        let (waiting, after) = if self.running.stdout.found() {
            (Waiting::Command, self.limit)
        } else {
            self.patience
        };
        end::end(&mut self.running).await;
        SshError::TimedOut { waiting, after }
    }

    /// The channel is closed, or nothing comes over it any more.
    fn over(mut self) -> Result<Exit, SshError> {
        self.running.over();
        match self.exit.take() {
            Some(exit) if self.running.stdout.found() => Ok(exit),
            None if self.link.session.handle.is_closed() => Err(self.link.session.lost(true)),
            None if self.running.stdout.found() => Err(SshError::Lost {
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
        self.running.stdout.end();
        self.stderr.end();
        let ends = [self.stderr.noise(), self.stderr.latest()];
        if ends
            .iter()
            .any(|noise| timed::is_missing(noise, self.stderr.marker()))
        {
            self.link.no_timeout();
        }
        let said = [self.stderr.noise(), b"\n", self.running.stdout.noise()].concat();
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

fn name_of(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => printable(name, 32),
        known => format!("{known:?}"),
    }
}
