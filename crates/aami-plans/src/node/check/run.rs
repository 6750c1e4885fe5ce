//! Running one check: a process group of its own that ends in time, with output that is read only so far.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::report::{Report, Status};

/// How much of what a check prints is read, in bytes.
const MOST_OUTPUT: u64 = 256 * 1024;
/// Between asking a check to end and ending it, and how long its end is then waited for.
const GRACE: Duration = Duration::from_secs(1);
/// How long a check may go on after its time is up: asked to end, then ended, with its output waited for.
pub(super) const ENDING: Duration = Duration::from_secs(3 * GRACE.as_secs());

/// Whom a process belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

/// A check about to run.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) timeout: Duration,
    /// `None` leaves it to whoever runs the round.
    pub(super) identity: Option<Identity>,
}

impl Job {
    /// Runs it to its end, however it ends, and says how long that took.
    pub(super) fn run(&self) -> (Report, Duration) {
        let started = Instant::now();
        let report = self.report(started + self.timeout);
        (report, started.elapsed())
    }

    fn report(&self, deadline: Instant) -> Report {
        let unknown = |why: String| Report::new(Status::Unknown, why);
        let mut running = match self.start() {
            Ok(child) => Running::new(child),
            Err(error) => return unknown(format!("{} cannot be started: {error}", self.program.display())),
        };
        let output = match drain(running.output()) {
            Ok(output) => output,
            Err(error) => return unknown(format!("its output cannot be read: {error}")),
        };
        // Both its end and the end of its output: what it leaves behind may hold the pipe.
        let late = || {
            unknown(format!(
                "it did not end within {} s and was killed",
                self.timeout.as_secs()
            ))
        };
        if !running.has_ended_by(deadline) {
            return late();
        }
        // What it started must not outlive it.
        let status = match running.end() {
            Ok(status) => status,
            Err(error) => return unknown(format!("how it ended is not known: {error}")),
        };
        let left = deadline.saturating_duration_since(Instant::now()).max(GRACE);
        let Ok((bytes, is_more)) = output.recv_timeout(left) else {
            return late();
        };
        if is_more {
            return unknown(format!("it printed more than {MOST_OUTPUT} bytes"));
        }
        Report::read(
            if status.signal().is_some() {
                None
            } else {
                status.code()
            },
            &bytes,
        )
    }

    fn start(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(Identity { uid, gid }) = self.identity {
            // The standard library drops the supplementary groups of root with its number.
            command.uid(uid).gid(gid);
        }
        command.spawn()
    }
}

/// A started check that does not outlive its owner.
///
/// A process that has ended keeps its number until it is waited for; from then on the kernel may give the number to
/// anybody, as a process's or a group's. So its end is seen without waiting for it (`WNOWAIT`), its group is killed
/// first, and the one that waits for it takes the child away: there is no number left to signal.
struct Running(Option<Child>);

impl Running {
    const fn new(child: Child) -> Self {
        Self(Some(child))
    }

    fn output(&mut self) -> Option<ChildStdout> {
        self.0.as_mut()?.stdout.take()
    }

    /// Its number, which is its group's, while it is its own.
    fn number(&self) -> Option<Pid> {
        let child = self.0.as_ref()?;
        i32::try_from(child.id()).ok().and_then(Pid::from_raw)
    }

    /// Whether it has ended by then. Its number stays its own.
    fn has_ended_by(&self, deadline: Instant) -> bool {
        let Some(number) = self.number() else { return true };
        let mut pause = Duration::from_millis(1);
        loop {
            let how = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(number), how) {
                Ok(Some(_)) => return true,
                Ok(None) if Instant::now() < deadline => {
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Ok(None) | Err(_) => return false,
            }
        }
    }

    /// Signals everything in its group.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.number() {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Ends what is left of its group and says how it ended itself; it must have ended.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let child = self.0.take();
        let mut child = child.ok_or(std::io::ErrorKind::NotFound)?;
        child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.is_none() {
            return;
        }
        for signal in [Signal::TERM, Signal::KILL] {
            if self.has_ended_by(Instant::now()) {
                break;
            }
            self.signal(signal);
            // One that is stuck in a driver cannot die; waiting for it would be the hang this prevents.
            self.has_ended_by(Instant::now() + GRACE);
        }
        self.signal(Signal::KILL);
        // Nobody else waits for it, so one that is stuck keeps its number until the round is over.
        if let Some(mut child) = self.0.take() {
            let _ = child.try_wait();
        }
    }
}

/// Reads a stream to its end in a thread of its own. There may be no room for a thread: checks share their number
/// of tasks, and one of them may have taken all.
fn drain(stream: Option<impl Read + Send + 'static>) -> std::io::Result<Receiver<(Vec<u8>, bool)>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(MOST_OUTPUT).read_to_end(&mut bytes);
            // Read on, and forget it, so that a check that prints too much ends by itself.
            let more = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or(0);
            let _ = sender.send((bytes, more > 0));
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Job {
        Job {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            timeout,
            identity: None,
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_check_runs_with_a_clean_environment() {
        let (report, took) = shell("echo \"$HOME$LC_ALL\"; exit 1", LONG).run();
        assert_eq!((report.status, report.message.as_str()), (Status::Warning, "C"));
        assert!(took < LONG);
    }

    #[test]
    fn one_that_takes_too_long_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!(
            "trap '' TERM; sleep 600 & echo $! > {}; wait; wait",
            pid.display()
        );
        let (report, took) = shell(&script, Duration::from_millis(500)).run();
        assert_eq!(report.status, Status::Unknown);
        assert!(report.message.contains("did not end"), "{}", report.message);
        assert!(took < Duration::from_secs(10), "{took:?}");
        gone(&std::fs::read_to_string(pid).unwrap());
    }

    #[test]
    fn what_one_leaves_behind_is_killed_too() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        // The child holds the pipe open as well.
        let script = format!(
            "sleep 600 & echo $! > {}; echo '{{\"status\":\"ok\"}}'",
            pid.display()
        );
        let (report, took) = shell(&script, LONG).run();
        assert_eq!(report.status, Status::Ok, "{}", report.message);
        assert!(took < Duration::from_secs(10), "{took:?}");
        gone(&std::fs::read_to_string(pid).unwrap());
    }

    #[test]
    fn one_that_has_ended_keeps_its_number_until_its_group_is_killed_and_no_longer() {
        // Given a check that has ended while something of its group goes on,
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 >/dev/null & echo $! > {}; exit 2", pid.display());
        let mut running = Running::new(shell(&script, LONG).start().unwrap());
        let number = running.number().unwrap().as_raw_nonzero();
        assert!(running.has_ended_by(Instant::now() + LONG));
        // then its number is still its own: nobody has waited for it,
        let stat = || std::fs::read_to_string(format!("/proc/{number}/stat"));
        assert!(stat().unwrap().contains(") Z "), "{:?}", stat());
        // and once somebody has, the group is gone and there is no number left to signal.
        assert_eq!(running.end().unwrap().code(), Some(2));
        assert!(stat().is_err());
        assert_eq!(running.number(), None);
        gone(&std::fs::read_to_string(pid).unwrap());
    }

    #[test]
    fn one_that_floods_is_unknown_and_one_that_is_missing_too() {
        let (report, _) = shell("head -c 1000000 /dev/zero", LONG).run();
        assert!(report.message.contains("more than"), "{}", report.message);
        let mut missing = shell("", LONG);
        missing.program = "/no/such/interpreter".into();
        let (report, _) = missing.run();
        assert_eq!(report.status, Status::Unknown);
        assert!(report.message.contains("/no/such/interpreter"));
    }

    fn gone(pid: &str) {
        let stat = format!("/proc/{}/stat", pid.trim());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match std::fs::read_to_string(&stat) {
                Err(_) => break,
                Ok(text) if text.contains(") Z ") => break,
                Ok(text) => assert!(Instant::now() < deadline, "still there: {text}"),
            }
            std::thread::yield_now();
        }
    }
}
