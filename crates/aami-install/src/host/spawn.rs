//! The real [`Commands`]: child processes of this one, each in its own process group.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::command::{Command, CommandError, Commands, Ended, Output};

/// Where programs are looked for; distributions disagree on what is a link to what.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How long a program asked to stop may take, and how long output is waited for after the end (a
/// daemon it left behind may hold the pipe open for ever).
const GRACE: Duration = Duration::from_secs(2);

/// Runs programs on the running system.
#[derive(Debug, Clone, Default)]
pub struct Spawn {
    folders: Vec<PathBuf>,
}

impl Spawn {
    /// Programs come from the system's own folders.
    pub fn new() -> Self {
        Self {
            folders: FOLDERS.iter().map(PathBuf::from).collect(),
        }
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            return Some(PathBuf::from(program)).filter(|path| path.exists());
        }
        self.folders
            .iter()
            .map(|folder| folder.join(program))
            .find(|path| path.is_file())
    }
}

impl Commands for Spawn {
    fn run(&self, command: &Command) -> Result<Output, CommandError> {
        let failed = |source| CommandError::Start {
            line: command.line(),
            source,
        };
        let name = command.argv.first().map_or("", String::as_str);
        let Some(program) = self.find(name) else {
            return Err(CommandError::Missing {
                program: name.to_owned(),
            });
        };
        let mut child = start(&program, command).map_err(failed)?;
        let stdout = drain(child.stdout.take(), command.keep);
        let stderr = drain(child.stderr.take(), command.keep);
        feed(&mut child, command.stdin.clone());
        let Some(status) = wait(&mut child, command.deadline).map_err(failed)? else {
            stop(&mut child).map_err(failed)?;
            return Err(CommandError::Deadline {
                line: command.line(),
                deadline: command.deadline,
            });
        };
        let ended = match (status.code(), status.signal()) {
            (Some(status), _) => Ended::Status(status),
            (None, signal) => Ended::Signal(signal.unwrap_or(0)),
        };
        let collect = |pipe: mpsc::Receiver<Vec<u8>>| pipe.recv_timeout(GRACE).unwrap_or_default();
        Ok(Output {
            ended,
            stdout: collect(stdout),
            stderr: collect(stderr),
        })
    }
}

fn start(program: &Path, command: &Command) -> io::Result<Child> {
    std::process::Command::new(program)
        .args(command.argv.iter().skip(1))
        .env_clear()
        .env("PATH", FOLDERS.join(":"))
        .env("LC_ALL", "C")
        .env("LANG", "C")
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .process_group(0)
        .stdin(if command.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Writes the input from a thread of its own: a program that never reads must not hang us. It may
/// also end without reading, which is its business.
fn feed(child: &mut Child, bytes: Vec<u8>) {
    if let Some(mut stdin) = child.stdin.take() {
        std::thread::spawn(move || {
            let _ = stdin.write_all(&bytes);
        });
    }
}

/// Reads a pipe to its end, keeping the last `keep` bytes.
fn drain(pipe: Option<impl Read + Send + 'static>, keep: usize) -> mpsc::Receiver<Vec<u8>> {
    let (give, take) = mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut piece = [0; 8192];
        if let Some(mut pipe) = pipe {
            loop {
                match pipe.read(&mut piece) {
                    Ok(0) => break,
                    Ok(n) => kept.extend_from_slice(&piece[..n]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
                if kept.len() > keep.saturating_mul(2) {
                    kept.drain(..kept.len() - keep);
                }
            }
        }
        kept.drain(..kept.len().saturating_sub(keep));
        let _ = give.send(kept);
    });
    take
}

/// Waits for the end until the deadline, looking often at first.
fn wait(child: &mut Child, deadline: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends a program that overstayed, with everything it started: first asked, then not.
fn stop(child: &mut Child) -> io::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
        if wait(child, GRACE)?.is_some() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_runs_with_a_clean_environment() {
        let command = Command::look(["env"]).env("GIVEN", "1");
        let output = Spawn::new().succeed(&command).unwrap();
        let mut lines: Vec<_> = output.text().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "GIVEN=1",
                "LANG=C",
                "LC_ALL=C",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
            ]
        );
    }

    #[test]
    fn its_input_arrives_and_only_the_end_of_its_output_is_kept() {
        let mut command = Command::look(["cat"]).stdin(vec![b'x'; 300_000]);
        command.keep = 1000;
        let output = Spawn::new().succeed(&command).unwrap();
        assert_eq!(output.stdout, vec![b'x'; 1000]);
    }

    #[test]
    fn one_that_overstays_is_stopped_with_what_it_started() {
        let script = "trap '' TERM; sleep 1000 & wait; wait";
        let command = Command::look(["sh", "-c", script]).within(Duration::from_millis(100));
        let error = Spawn::new().run(&command).unwrap_err();
        assert!(matches!(error, CommandError::Deadline { .. }), "{error}");
    }

    #[test]
    fn failures_have_names() {
        let error = Spawn::new().run(&Command::look(["no-such-program"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the program no-such-program is not on this host"
        );
        let failing = Command::look(["sh", "-c", "echo no luck >&2; exit 3"]);
        let error = Spawn::new().succeed(&failing).unwrap_err().to_string();
        assert!(error.ends_with("ended with status 3: no luck"), "{error}");
    }
}
