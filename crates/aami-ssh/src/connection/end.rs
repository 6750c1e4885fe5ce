//! A command is ended on the host: by a signal, and by a second channel that does not depend on the server passing
//! signals on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelWriteHalf, Sig};
use tokio::time::timeout;

use super::{Link, talk};
use crate::command::{Capture, Command};

/// How long the second channel may take beyond the time a command has to end by itself.
const MORE: Duration = Duration::from_secs(10);

/// A command that may be running. Dropped while it is, it is ended.
pub(super) struct Running {
    link: Arc<Link>,
    root: bool,
    /// Its channel, once it was sent.
    writer: Option<Arc<ChannelWriteHalf<Msg>>>,
    /// What `kill` is told: a process group where there is one of its own.
    target: Option<String>,
    /// Whether there is nothing to end any more.
    over: bool,
}

impl Running {
    pub(super) fn new(link: &Arc<Link>, root: bool) -> Self {
        Self {
            link: Arc::clone(link),
            root,
            writer: None,
            target: None,
            over: false,
        }
    }

    /// One that nobody ends: what ends another.
    fn unattended(link: &Arc<Link>, root: bool) -> Self {
        let mut running = Self::new(link, root);
        running.over();
        running
    }

    /// It goes to the host now.
    pub(super) fn sent(&mut self, writer: &Arc<ChannelWriteHalf<Msg>>) {
        self.writer = Some(Arc::clone(writer));
    }

    /// It has said which process it is: `s123` leads a session of its own, `123` does not.
    pub(super) fn begun(&mut self, tag: &str) {
        let (sign, digits) = match tag.strip_prefix('s') {
            Some(digits) => ("-", digits),
            None => ("", tag),
        };
        // What a host says goes into a command for it as a number, or not at all; and 0 and 1 are everybody.
        self.target = digits
            .parse::<u32>()
            .ok()
            .filter(|pid| *pid > 1)
            .map(|pid| format!("{sign}{pid}"));
    }

    /// It has ended.
    pub(super) const fn over(&mut self) {
        self.over = true;
    }

    /// What has to be done to end it, if anything.
    fn ending(&mut self) -> Option<Ending> {
        if std::mem::replace(&mut self.over, true) {
            return None;
        }
        let writer = self.writer.take()?;
        Some(kill(
            Arc::clone(&self.link),
            writer,
            self.root,
            self.target.take(),
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(ending) = self.ending()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(ending);
        }
    }
}

/// Ends a command and waits until it is gone, or until it is clear that the host does not do it.
pub(super) async fn end(running: &mut Running) {
    if let Some(ending) = running.ending() {
        ending.await;
    }
}

type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

fn kill(link: Arc<Link>, writer: Arc<ChannelWriteHalf<Msg>>, root: bool, target: Option<String>) -> Ending {
    Box::pin(async move {
        let grace = link.shared.settings.kill_after;
        let limit = grace + MORE;
        let work = async {
            let _ = writer.signal(Sig::TERM).await;
            if let Some(target) = target {
                let mut command = Command::script(script(&target, grace));
                command.root = root;
                let running = Running::unattended(&link, root);
                let mut nobody = Capture::new(0);
                let _ = talk::converse(&link, &command, limit, running, &mut nobody).await;
            }
            let _ = writer.signal(Sig::KILL).await;
            let _ = writer.close().await;
        };
        let _ = timeout(limit + MORE, work).await;
    })
}

/// Asks it to end, waits, and kills it.
fn script(target: &str, grace: Duration) -> String {
    let tenths = grace.as_millis() / 100;
    format!(
        "kill -TERM {target} 2>/dev/null\ni=0\n\
         while kill -0 {target} 2>/dev/null && [ $i -lt {tenths} ]; do sleep 0.1 2>/dev/null || {{ sleep 1; i=$((i+9)); }}; i=$((i+1)); done\n\
         kill -KILL {target} 2>/dev/null\n\
         i=0\nwhile kill -0 {target} 2>/dev/null && [ $i -lt 50 ]; do sleep 0.1 2>/dev/null || sleep 1; i=$((i+1)); done\nexit 0\n"
    )
}
