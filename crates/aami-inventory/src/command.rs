//! Running vendor tools so that they can neither hang nor flood the caller.

use std::fmt;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How programs are run.
pub trait Commands {
    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it is not installed, cannot be started, or breaks the limits on time and output. A
    /// program that ends with a failure is no error here: its [`Output::status`] says so.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, CommandError>;
}

/// What a program left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

/// Why a program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Not on this host.
    #[error("{0} is not installed")]
    NotInstalled(String),
    /// The kernel refused to start it.
    #[error("{program} cannot be started: {source}")]
    NotStarted {
        /// Which.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It did not end in time and was killed with everything it had started.
    #[error("{program} gave no answer within {} s", .limit.as_secs())]
    TimedOut {
        /// Which.
        program: String,
        /// The time it was given.
        limit: Duration,
    },
    /// It wrote more than is taken and was killed.
    #[error("{program} wrote more than {limit} bytes")]
    TooMuchOutput {
        /// Which.
        program: String,
        /// The bytes it was allowed.
        limit: usize,
    },
}

/// The programs of the machine this runs on.
#[derive(Debug, Clone)]
pub struct SystemCommands {
    /// Folders searched, in order. Vendor tools often stand outside a daemon's usual path.
    pub folders: Vec<PathBuf>,
    /// The longest a program may take.
    pub limit: Duration,
    /// The most a program may write to either stream, in bytes.
    pub most_output: usize,
}

impl Default for SystemCommands {
    fn default() -> Self {
        let folders = [
            "/usr/local/sbin",
            "/usr/local/bin",
            "/usr/sbin",
            "/usr/bin",
            "/sbin",
            "/bin",
            "/opt/rocm/bin",
        ];
        Self {
            folders: folders.into_iter().map(PathBuf::from).collect(),
            limit: Duration::from_secs(20),
            most_output: 4 * 1024 * 1024,
        }
    }
}

impl SystemCommands {
    /// Where a program stands, if it does.
    fn find(&self, program: &str) -> Option<PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
    }
}

impl Commands for SystemCommands {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, CommandError> {
        let path = self
            .find(program)
            .ok_or_else(|| CommandError::NotInstalled(program.to_owned()))?;
        // Its own group, so that one signal reaches the helpers it starts; a clean environment, so
        // that neither a locale nor a library path of the caller's changes what it says.
        let child = Command::new(path)
            .args(arguments)
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", std::env::join_paths(&self.folders).unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|source| CommandError::NotStarted {
                program: program.to_owned(),
                source,
            })?;
        let mut running = Running(child);
        running.finish(program, self.limit, self.most_output)
    }
}

/// A started program that does not outlive its owner.
struct Running(Child);

/// A stream as it was read: its bytes, and whether there were more than taken.
type Stream = (Vec<u8>, bool);

impl Running {
    fn finish(&mut self, program: &str, limit: Duration, most: usize) -> Result<Output, CommandError> {
        let deadline = Instant::now() + limit;
        let stdout = drain(self.0.stdout.take(), most);
        let stderr = drain(self.0.stderr.take(), most);
        let late = || CommandError::TimedOut {
            program: program.to_owned(),
            limit,
        };
        let (out, out_full) = receive(&stdout, deadline).ok_or_else(late)?;
        let (err, err_full) = receive(&stderr, deadline).ok_or_else(late)?;
        if out_full || err_full {
            return Err(CommandError::TooMuchOutput {
                program: program.to_owned(),
                limit: most,
            });
        }
        let status = self.status_by(deadline).ok_or_else(late)?;
        Ok(Output {
            status,
            stdout: String::from_utf8_lossy(&out).into_owned(),
            stderr: String::from_utf8_lossy(&err).into_owned(),
        })
    }

    /// The exit status, once both streams are closed: usually there at once. A program that closes
    /// its streams and lingers is polled until the deadline, with pauses that grow.
    fn status_by(&mut self, deadline: Instant) -> Option<Option<i32>> {
        let mut pause = Duration::from_micros(200);
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Some(status.code()),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            // A process stuck inside a driver cannot die, and waiting for it here would be the hang
            // this module exists to prevent. Whoever dies promptly is reaped.
            let deadline = Instant::now() + Duration::from_millis(500);
            let _ = self.status_by(deadline);
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Running({})", self.0.id())
    }
}

/// Reads a stream on a thread of its own, up to `most` bytes. The thread ends with the stream; when
/// the program hangs, it is left behind with it.
fn drain<R: Read + Send + 'static>(stream: Option<R>, most: usize) -> Receiver<Stream> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
            let _ = stream.take(limit).read_to_end(&mut bytes);
        }
        let full = bytes.len() > most;
        let _ = sender.send((bytes, full));
    });
    receiver
}

fn receive(stream: &Receiver<Stream>, deadline: Instant) -> Option<Stream> {
    stream
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick(limit: Duration) -> SystemCommands {
        SystemCommands {
            limit,
            most_output: 1000,
            ..SystemCommands::default()
        }
    }

    #[test]
    fn a_program_is_run_in_a_clean_environment() {
        let output =
            quick(Duration::from_secs(20)).run("sh", &["-c", "echo $LC_ALL$HOME; echo e >&2; exit 3"]);
        let output = output.unwrap();
        assert_eq!(
            (output.status, output.stdout.as_str(), output.stderr.as_str()),
            (Some(3), "C\n", "e\n")
        );
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let scratch = tempfile::tempdir().unwrap();
        let pid_file = scratch.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
        let started = Instant::now();
        let error = quick(Duration::from_millis(400))
            .run("sh", &["-c", &script])
            .unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));

        // The grandchild is gone too, or a zombie waiting for its reaper.
        let pid = std::fs::read_to_string(pid_file).unwrap();
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

    #[test]
    fn a_program_that_floods_is_stopped() {
        let error = quick(Duration::from_secs(20)).run("yes", &[]).unwrap_err();
        assert!(
            matches!(error, CommandError::TooMuchOutput { limit: 1000, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_said_so() {
        let error = quick(Duration::from_secs(1))
            .run("no-such-program", &[])
            .unwrap_err();
        assert_eq!(error.to_string(), "no-such-program is not installed");
    }
}
