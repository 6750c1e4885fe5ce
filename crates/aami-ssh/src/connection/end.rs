//! A command is ended on the host: by a signal, and by a second channel that does not depend on the server passing
//! signals on.
//!
//! It is done in a task of its own, so that it goes on when whoever waited for the command is gone; the client's
//! [`Endings`](crate::endings::Endings) know of it until it is over.

use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::marker::{Finder, Piece};
use super::{Link, talk};
use crate::command::{Chunk, Command, Exit, Sink};
use crate::endings::Ticket;

/// How long the second channel may take beyond the time a command has to end by itself.
const MORE: Duration = Duration::from_secs(10);
/// How long is waited for a command that was sent to say which process it is.
const NAME: Duration = Duration::from_secs(2);
/// Nobody waits for a command that was cut off as long as for one whose time is up.
const HURRY: Duration = Duration::from_secs(2);

/// A command that may be running, and what comes from it. Dropped while it runs, it is ended.
pub(super) struct Running {
    link: Arc<Link>,
    root: bool,
    /// Its channel, once it was sent.
    channel: Option<Channel>,
    /// Where its output begins.
    pub(super) stdout: Finder,
    /// What `kill` is told: a process group where there is one of its own.
    target: Option<String>,
    /// Whether there is nothing to end any more.
    over: bool,
}

/// Both directions of a command's channel.
struct Channel {
    reader: ChannelReadHalf,
    writer: Arc<ChannelWriteHalf<Msg>>,
}

impl Running {
    /// One whose output begins behind this marker.
    pub(super) fn new(link: &Arc<Link>, root: bool, begin: &str) -> Self {
        Self {
            link: Arc::clone(link),
            root,
            channel: None,
            stdout: Finder::new(begin),
            target: None,
            over: false,
        }
    }

    /// It goes to the host now.
    pub(super) fn sent(&mut self, reader: ChannelReadHalf, writer: &Arc<ChannelWriteHalf<Msg>>) {
        let writer = Arc::clone(writer);
        self.channel = Some(Channel { reader, writer });
    }

    /// What the host says next; nothing where the channel is closed.
    pub(super) async fn heard(&mut self) -> Option<ChannelMsg> {
        match &mut self.channel {
            Some(channel) => channel.reader.wait().await,
            None => None,
        }
    }

    /// It has said which process it is.
    pub(super) fn begun(&mut self, tag: &str) {
        self.target = target(tag);
    }

    /// It has ended, or nobody is to end it.
    pub(super) const fn over(&mut self) {
        self.over = true;
    }

    /// Begins to end it, if there is anything to end.
    fn ending(&mut self, grace: Duration) -> Option<JoinHandle<()>> {
        if std::mem::replace(&mut self.over, true) {
            return None;
        }
        let channel = self.channel.take()?;
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let ending = Ending {
            ticket: self.link.shared.endings.begin(&self.link.host.name),
            link: Arc::clone(&self.link),
            root: self.root,
            channel,
            stdout: std::mem::replace(&mut self.stdout, Finder::new("")),
            target: self.target.take(),
            grace,
        };
        Some(runtime.spawn(ending.work()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let grace = self.link.shared.settings.kill_after.min(HURRY);
        // It goes on without anybody.
        let _ = self.ending(grace);
    }
}

/// Ends a command and waits until it is gone, or until it is clear that the host does not do it.
pub(super) async fn end(running: &mut Running) {
    let grace = running.link.shared.settings.kill_after;
    if let Some(ending) = running.ending(grace) {
        // That it broke off is a defect, and the command's own watch is still there.
        let _ = ending.await;
    }
}

/// What `kill` is told, by what a command said of itself: `s123` leads a group of its own, `123` does not.
fn target(tag: &str) -> Option<String> {
    let (sign, digits) = match tag.strip_prefix('s') {
        Some(digits) => ("-", digits),
        None => ("", tag),
    };
    // What a host says goes into a command for it as a number, or not at all; and 0 and 1 are everybody.
    let pid = digits.parse::<u32>().ok().filter(|pid| *pid > 1)?;
    Some(format!("{sign}{pid}"))
}

/// A command that is being ended.
struct Ending {
    link: Arc<Link>,
    root: bool,
    channel: Channel,
    stdout: Finder,
    target: Option<String>,
    grace: Duration,
    ticket: Ticket,
}

impl Ending {
    async fn work(mut self) {
        let limit = self.grace + MORE;
        let _ = timeout(limit + MORE, self.end(limit)).await;
    }

    async fn end(&mut self, limit: Duration) {
        let writer = Arc::clone(&self.channel.writer);
        let _ = writer.signal(Sig::TERM).await;
        if self.target.is_none() {
            self.target = timeout(NAME, self.name()).await.ok().flatten();
        }
        let has_ended = Notify::new();
        let kill = kill(
            &self.link,
            self.root,
            self.target.as_deref(),
            self.grace,
            limit,
            &self.ticket,
        );
        let work = async {
            kill.await;
            let _ = writer.signal(Sig::KILL).await;
            // That it has ended is the best word there is; one that began nothing has none.
            if self.target.is_some() && timeout(NAME, has_ended.notified()).await.is_ok() {
                self.ticket.told();
            }
            let _ = writer.close().await;
            // One that never said that it began finds its output closed, and does not begin.
            if self.target.is_none() && self.link.session.answers().await {
                self.ticket.told();
            }
        };
        // What it goes on saying is taken: a channel that nobody reads holds up the whole connection.
        tokio::select! {
            () = work => {}
            () = drain(&mut self.channel.reader, &has_ended) => {}
        }
    }

    /// Waits for a command to say which process it is: until then there is nobody to end.
    async fn name(&mut self) -> Option<String> {
        loop {
            match self.channel.reader.wait().await? {
                ChannelMsg::Data { data } => {
                    if let Piece::Begins(tag, _) = self.stdout.feed(data) {
                        return target(&tag);
                    }
                }
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
    }
}

/// Ends a command over a second channel. That the host has heard of it is noted.
async fn kill(
    link: &Arc<Link>,
    root: bool,
    target: Option<&str>,
    grace: Duration,
    limit: Duration,
    ticket: &Ticket,
) {
    let Some(target) = target else { return };
    let mut command = Command::script(script(target, grace));
    command.root = root;
    let ended = talk::unattended(link, &command, limit, &mut Said(ticket)).await;
    if matches!(ended, Ok(Exit::Code(0))) {
        ticket.told();
    }
}

/// Takes what a command still says, for ever, and notes that it has ended.
async fn drain(reader: &mut ChannelReadHalf, has_ended: &Notify) {
    loop {
        match reader.wait().await {
            Some(ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. }) => {
                has_ended.notify_one();
            }
            Some(ChannelMsg::Close) => {
                has_ended.notify_one();
                std::future::pending::<()>().await;
            }
            // The connection is gone; that it is is told by what is sent.
            None => std::future::pending::<()>().await,
            Some(_) => {}
        }
    }
}

/// Hears that the second channel is at work: from then on the host ends the command by itself.
struct Said<'a>(&'a Ticket);

impl Sink for Said<'_> {
    async fn take(&mut self, _: Chunk) {
        self.0.told();
    }
}

/// Says that it begins, asks the command to end, waits, and kills it.
fn script(target: &str, grace: Duration) -> String {
    let tenths = grace.as_millis() / 100;
    format!(
        "echo told\nkill -TERM {target} 2>/dev/null\ni=0\n\
         while kill -0 {target} 2>/dev/null && [ $i -lt {tenths} ]; do sleep 0.1 2>/dev/null || {{ sleep 1; i=$((i+9)); }}; i=$((i+1)); done\n\
         kill -KILL {target} 2>/dev/null\n\
         i=0\nwhile kill -0 {target} 2>/dev/null && [ $i -lt 50 ]; do sleep 0.1 2>/dev/null || sleep 1; i=$((i+1)); done\nexit 0\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_its_own_is_ever_ended() {
        assert_eq!(target("s4711").as_deref(), Some("-4711"));
        assert_eq!(target("4711").as_deref(), Some("4711"));
        for hostile in [
            "",
            "s",
            "0",
            "s0",
            "1",
            "s1",
            "-1",
            "s-1",
            "12; reboot",
            "99999999999999",
        ] {
            assert_eq!(target(hostile), None, "{hostile:?}");
        }
    }
}
