//! Running commands in a node, and moving files in and out.

use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::Node;
use crate::keeper;

/// How long a command in a node may take where the test names no limit.
const LIMIT: Duration = Duration::from_secs(120);

/// How a command in a node ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ended {
    /// What it printed, if it ended with 0.
    pub fn ok(self) -> Result<String> {
        if self.code != 0 {
            bail!(
                "exit {}\n{}\n{}",
                self.code,
                self.stdout.trim_end(),
                self.stderr.trim_end()
            );
        }
        Ok(self.stdout)
    }

    /// Everything it said.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Node {
    /// Runs a shell script as root, without a terminal, and waits for its end. However it ends is a value;
    /// an error means that it could not be run or took longer than two minutes.
    pub fn sh(&self, script: &str) -> Result<Ended> {
        self.sh_within(LIMIT, script, b"")
    }

    /// As [`sh`](Self::sh), with another limit and something to read on its standard input.
    pub fn sh_within(&self, limit: Duration, script: &str, input: &[u8]) -> Result<Ended> {
        let mut command = self.enter();
        // The limit holds inside too: killing nsenter alone would leave the command behind.
        command.args([
            "timeout",
            "--signal=KILL",
            &limit.as_secs().max(1).to_string(),
            "sh",
            "-c",
            script,
        ]);
        finish(command, limit + Duration::from_secs(5), input)
            .with_context(|| format!("on {}: {script}", self.name))
    }

    /// A command that runs the shell script given as its last argument in the node, for those who want to keep it
    /// running; see [`Process::start`](crate::Process::start).
    pub fn background(&self, script: &str) -> Command {
        let mut command = self.enter();
        command.args(["sh", "-c", script]);
        command
    }

    /// Reads a file of the node.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let mut command = self.enter();
        command.args(["cat", "--", path]).stdin(Stdio::null());
        let output = command.output().context("cannot start nsenter")?;
        if !output.status.success() {
            bail!(
                "on {}: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(output.stdout)
    }

    /// Writes a file of the node, and the folders it lies in.
    pub fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let mut command = self.enter();
        let script = "mkdir -p \"$(dirname \"$1\")\" && cat > \"$1\" && chmod \"$2\" \"$1\"";
        command.args(["sh", "-c", script, "sh", path, &format!("{mode:o}")]);
        finish(command, LIMIT, content)?
            .ok()
            .with_context(|| format!("on {}: cannot write {path}", self.name))
            .map(drop)
    }

    /// What the journal holds of a unit.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.sh(&format!("journalctl --no-pager --output=cat --unit='{unit}'"))?
            .ok()
    }

    fn enter(&self) -> Command {
        let mut command = keeper::mortal("nsenter");
        command
            .arg(format!("--target={}", self.init))
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--",
            ])
            .args(["env", "--ignore-environment"])
            .args([
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root",
                "LANG=C.UTF-8",
            ]);
        command
    }
}

/// Runs a command to its end, its streams through pipes read beside it so that none fills up.
fn finish(mut command: Command, limit: Duration, input: &[u8]) -> Result<Ended> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = keeper::spawn(command).context("cannot start nsenter")?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A command that does not read its input closes it; that is its right.
                let _ = stdin.write_all(input);
            }
        });
        let stdout = scope.spawn(move || read_all(stdout));
        let stderr = scope.spawn(move || read_all(stderr));
        let ended = end_of(&mut child, limit);
        if ended.is_err() {
            // Closes the pipes, so that the readers end.
            let _ = child.kill();
            let _ = child.wait();
        }
        let collect = |reader: std::thread::ScopedJoinHandle<'_, Vec<u8>>| {
            let bytes = reader.join().unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (stdout, stderr) = (collect(stdout), collect(stderr));
        let status = ended.with_context(|| format!("it said:\n{stdout}\n{stderr}"))?;
        let code = status.code().unwrap_or_else(|| {
            use std::os::unix::process::ExitStatusExt as _;
            128 + status.signal().unwrap_or_default()
        });
        Ok(Ended { code, stdout, stderr })
    })
}

/// Looks often, since benches measure with it: a look costs nothing.
fn end_of(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot look at a command")? {
            return Ok(status);
        }
        ensure!(
            start.elapsed() < limit,
            "the command did not end within {limit:?}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn read_all(stream: Option<impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes);
    }
    bytes
}
