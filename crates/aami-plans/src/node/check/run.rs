//! Running one check: a process group of its own that ends in time, with output that is read only so far.

use std::io::Read;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::report::{Report, Status};

/// How much of what a check prints is read, in bytes.
const MOST_OUTPUT: u64 = 256 * 1024;
/// Between asking a check to end and ending it, and how long its end is then waited for.
const GRACE: Duration = Duration::from_secs(1);

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
            Ok(child) => Running(child),
            Err(error) => return unknown(format!("{} cannot be started: {error}", self.program.display())),
        };
        let output = match drain(running.0.stdout.take()) {
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
        let Some(status) = running.ends_by(deadline) else {
            return late();
        };
        // It has ended; what it started must not outlive it.
        running.kill(Signal::KILL);
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
struct Running(Child);

impl Running {
    fn ends_by(&mut self, deadline: Instant) -> Option<ExitStatus> {
        let mut pause = Duration::from_millis(1);
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Signals everything in its group. The group lives as long as anything in it does, so its number is not
    /// another's.
    fn kill(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            if !matches!(self.0.try_wait(), Ok(None)) {
                break;
            }
            self.kill(signal);
            // One that is stuck in a driver cannot die; waiting for it would be the hang this prevents.
            let _ = self.ends_by(Instant::now() + GRACE);
        }
        self.kill(Signal::KILL);
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
