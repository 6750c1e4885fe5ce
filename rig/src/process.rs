//! One process of the rig: named, logged, and gone when dropped.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::wait::Hopeless;
use crate::{keeper, wait_until};

/// How long a process may take to end when asked to, before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running process with its output in a file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts a command in a process group of its own, its output appended to `log`. The command has to come
    /// from a [`Place`](crate::Place), a host or a node, so that it dies with the test.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let open = || {
            let file = File::options().create(true).append(true).open(log);
            file.with_context(|| format!("cannot write {}", log.display()))
        };
        command
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .process_group(0);
        let child = keeper::spawn(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            ended: None,
        })
    }

    /// Its process id, which is also its group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map_or_else(
            |error| format!("({}: {error})", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Fails, with its last words, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.poll()? {
            None => Ok(()),
            Some(status) => {
                let words = format!("{} ended by itself ({status}):\n{}", self.name, tail(&self.log()));
                Err(Hopeless(words).into())
            }
        }
    }

    /// Waits until it ends by itself and gives how.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        wait_until(limit, &what, || {
            self.poll()?.ok_or_else(|| anyhow!("it is running"))
        })
    }

    /// Sends a signal to the process itself.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process(self.id()?, signal)
            .with_context(|| format!("cannot send {signal:?} to {}", self.name))
    }

    /// Stops it where it is (SIGSTOP) and waits until it stands: until then its other threads may go on answering.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        // Of a stop alone: how it ended, if it did, is left for whoever waits for that.
        rustix::process::waitid(WaitId::Pid(self.id()?), WaitIdOptions::STOPPED)
            .with_context(|| format!("{} does not stand still", self.name))?;
        Ok(())
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end (SIGTERM), then kills its whole group.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.stop_within(PATIENCE)
    }

    /// As [`stop`](Self::stop), with another patience.
    pub(crate) fn stop_within(&mut self, patience: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.poll()? {
            return Ok(status);
        }
        let _ = self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.poll()? {
                self.kill_group();
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill()
    }

    /// Kills it and its group (SIGKILL), as a power cut would.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        self.kill_group();
        let _ = self.child.kill();
        let status = self
            .child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))?;
        self.ended = Some(status);
        Ok(status)
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self
                .child
                .try_wait()
                .with_context(|| format!("cannot look at {}", self.name))?;
        }
        Ok(self.ended)
    }

    fn id(&self) -> Result<Pid> {
        if let Some(status) = self.ended {
            // Its number may belong to somebody else by now.
            bail!("{} has ended ({status}, signal {:?})", self.name, status.signal());
        }
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id that is none")
    }

    fn kill_group(&self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The last lines of a log, enough to see why.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        let mut command = keeper::mortal("sh");
        command.args(["-c", script]);
        Process::start("the shell", command, log).expect("a shell starts")
    }

    #[test]
    fn a_process_that_ignores_sigterm_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut process = shell(
            "trap '' TERM; echo ready; sleep 60 & wait; sleep 60",
            &folder.path().join("log"),
        );
        let ready = || {
            if process.log().contains("ready") {
                Ok(())
            } else {
                Err(anyhow!("silent"))
            }
        };
        wait_until(Duration::from_secs(10), "the trap is set", ready).expect("it says so");

        let status = process.stop_within(Duration::from_millis(50)).expect("it ends");

        assert_eq!(status.signal(), Some(9));
    }

    #[test]
    fn one_that_ended_is_reported_with_its_last_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut process = shell("echo no such thing >&2; exit 3", &folder.path().join("log"));
        let status = process.wait(Duration::from_secs(10)).expect("it ends");
        assert_eq!(status.code(), Some(3));
        let error = process.check().expect_err("it is gone").to_string();
        assert!(error.contains("no such thing"), "{error}");
    }

    #[test]
    fn it_outlives_the_thread_that_asked_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut process = std::thread::scope(|scope| {
            scope
                .spawn(|| shell("sleep 60", &log))
                .join()
                .expect("the thread ends")
        });
        // The parent-death signal of the thread that asked would have come by now; looking at the process
        // table once more after another fork gives it time to.
        let _ = shell("exit 0", &log).wait(Duration::from_secs(10));
        process.check().expect("it still runs");
    }
}
