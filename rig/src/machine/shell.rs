//! Commands in a machine, through a virtio port: no network, no login, no terminal in between.
//!
//! We send the length of a script and the script; the other side, [`SERVER`], answers with lines: `o` and what it
//! printed, while it prints it; then `p`; `e` and what it complained about; last `x` and its exit code. An empty line
//! before `p` and `x` says that what was told ended with a line's end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::node::Ended;
use crate::{Process, wait_until};

/// What the port is called, in the machine too.
pub(super) const PORT: &str = "aami-rig";

/// The other side, which an image runs once everything else has started.
pub(super) const SERVER: &str = r#"#!/bin/sh
# Runs what the rig sends through the port; see rig/src/machine/shell.rs.
exec <>/dev/virtio-ports/aami-rig >&0 2>/dev/null
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mkdir -p /run/aami-rig && cd / || exit 1
echo ready
while read -r length; do
    head -c "$length" >/run/aami-rig/script
    {
        sh /run/aami-rig/script </dev/null 2>/run/aami-rig/complaints
        echo $? >/run/aami-rig/code
    } | stdbuf -oL sed 's/^/o /'
    printf '\np\n'
    sed 's/^/e /' /run/aami-rig/complaints
    printf '\nx %s\n' "$(cat /run/aami-rig/code)"
done
"#;

/// How a script ended that was watched.
#[derive(Debug)]
pub enum Watched {
    /// It printed the line that was waited for, and runs on.
    Seen,
    /// It ended before.
    Ended(Ended),
}

/// Our end of the port.
#[derive(Debug)]
pub(super) struct Shell {
    stream: UnixStream,
    unread: Vec<u8>,
}

/// One line from the other side.
enum Line {
    Printed(Vec<u8>),
    AllPrinted,
    Complained(Vec<u8>),
    Ended(i32),
    Empty,
}

impl Shell {
    /// Waits until the other side says that it is ready.
    pub(super) fn open(socket: &Path, limit: Duration, qemu: &mut Process) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let stream = wait_until(Duration::from_secs(30), "QEMU opens the port", || {
            qemu.check()?;
            Ok(UnixStream::connect(socket)?)
        })?;
        let mut shell = Self {
            stream,
            unread: Vec::new(),
        };
        let said = shell.line(deadline, qemu)?;
        ensure!(
            said == b"ready",
            "the port says {:?}",
            String::from_utf8_lossy(&said)
        );
        Ok(shell)
    }

    /// Runs a script until a line it prints is it, or to its end.
    pub(super) fn watch(
        &mut self,
        deadline: Instant,
        script: &str,
        mut is_it: impl FnMut(&str) -> bool,
        qemu: &mut Process,
    ) -> Result<Watched> {
        write!(self.stream, "{}\n{script}", script.len()).context("cannot write to the port")?;
        let (mut printed, mut complained) = (Vec::new(), Vec::new());
        let mut is_whole = false;
        loop {
            let line = self.line(deadline, qemu).with_context(|| {
                let said = String::from_utf8_lossy(&printed);
                format!("it said until then:\n{}", crate::process::tail(&said))
            })?;
            match Line::read(&line)? {
                Line::Printed(text) => {
                    printed.extend_from_slice(&text);
                    printed.push(b'\n');
                    if is_it(&String::from_utf8_lossy(&text)) {
                        return Ok(Watched::Seen);
                    }
                }
                Line::AllPrinted if is_whole => {}
                Line::AllPrinted => drop(printed.pop()),
                Line::Complained(text) => {
                    complained.extend_from_slice(&text);
                    complained.push(b'\n');
                }
                Line::Ended(code) => {
                    if !is_whole {
                        complained.pop();
                    }
                    return Ok(Watched::Ended(Ended {
                        code,
                        stdout: String::from_utf8_lossy(&printed).into_owned(),
                        stderr: String::from_utf8_lossy(&complained).into_owned(),
                    }));
                }
                Line::Empty => {
                    is_whole = true;
                    continue;
                }
            }
            is_whole = false;
        }
    }

    /// The next line, without its end.
    fn line(&mut self, deadline: Instant, qemu: &mut Process) -> Result<Vec<u8>> {
        let mut looked = 0;
        loop {
            if let Some(end) = self.unread[looked..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=looked + end).collect();
                line.pop();
                return Ok(line);
            }
            looked = self.unread.len();
            if self.more(deadline)?.is_break() {
                // Its last words say more than a port that closed.
                qemu.wait(Duration::from_secs(5))?;
                qemu.check()?;
            }
        }
    }

    fn more(&mut self, deadline: Instant) -> Result<ControlFlow<()>> {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "the port says nothing more in time");
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(ControlFlow::Break(())),
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(ControlFlow::Continue(()))
            }
            Err(error)
                if [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted]
                    .contains(&error.kind()) =>
            {
                Ok(ControlFlow::Continue(()))
            }
            Err(error) => Err(error).context("cannot read from the port"),
        }
    }
}

impl Line {
    fn read(line: &[u8]) -> Result<Self> {
        let text = || line.get(2..).unwrap_or_default().to_vec();
        match line.first() {
            None => Ok(Self::Empty),
            Some(b'o') => Ok(Self::Printed(text())),
            Some(b'p') => Ok(Self::AllPrinted),
            Some(b'e') => Ok(Self::Complained(text())),
            Some(b'x') => {
                let code = String::from_utf8_lossy(&text()).trim().parse();
                Ok(Self::Ended(code.context("no exit code")?))
            }
            Some(_) => bail!("the port says {:?}", String::from_utf8_lossy(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;
    use crate::keeper;

    /// The server as a machine runs it, on a socket in place of the port.
    fn serve(folder: &Path) -> (Shell, Process) {
        let here = folder.display().to_string();
        let server = SERVER
            .replace("exec <>/dev/virtio-ports/aami-rig >&0 2>/dev/null\n", "")
            .replace("/run/aami-rig", &here);
        let program = folder.join("server");
        std::fs::write(&program, server).expect("a script");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a program");
        let socket = folder.join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let machine = std::thread::spawn(move || {
            let (port, _) = listener.accept().expect("somebody comes");
            let end = || std::os::fd::OwnedFd::from(port.try_clone().expect("another end"));
            let mut command = Command::new(program);
            command.stdin(end()).stdout(end());
            command.status().expect("the server runs")
        });
        let mut command = keeper::mortal("sleep");
        command.arg("60");
        let mut qemu = Process::start("a machine", command, &folder.join("log")).expect("it starts");
        let shell = Shell::open(&socket, Duration::from_secs(10), &mut qemu).expect("it is ready");
        drop(machine);
        (shell, qemu)
    }

    fn run(shell: &mut Shell, qemu: &mut Process, script: &str) -> Ended {
        let deadline = Instant::now() + Duration::from_secs(10);
        match shell
            .watch(deadline, script, |_| false, qemu)
            .expect("it answers")
        {
            Watched::Ended(ended) => ended,
            Watched::Seen => panic!("nobody looked"),
        }
    }

    #[test]
    fn what_a_script_says_comes_back_byte_by_byte_and_nothing_of_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut shell, mut qemu) = serve(folder.path());
        for (script, printed, complained, code) in [
            ("echo a; echo b >&2; exit 3", "a\n", "b\n", 3),
            ("printf 'x\\000y'", "x\0y", "", 0),
            ("printf '\\n\\np\\nx 7\\n'", "\n\np\nx 7\n", "", 0),
            ("printf a; printf b >&2", "a", "b", 0),
            ("kill -9 $$", "", "", 137),
            ("true", "", "", 0),
        ] {
            let ended = run(&mut shell, &mut qemu, script);
            // The shell around it says who was killed.
            let said = if code == 137 { "" } else { &ended.stderr };
            assert_eq!(
                (ended.stdout.as_str(), said, ended.code),
                (printed, complained, code),
                "{script}"
            );
        }
    }

    #[test]
    fn a_line_is_seen_while_the_script_still_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut shell, mut qemu) = serve(folder.path());
        let deadline = Instant::now() + Duration::from_secs(10);
        let script = "echo one; echo two; exec sleep 5";
        let watched = shell.watch(deadline, script, |line| line == "two", &mut qemu);
        assert!(matches!(watched, Ok(Watched::Seen)), "{watched:?}");
    }

    #[test]
    fn silence_ends_with_the_deadline_and_with_what_was_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut shell, mut qemu) = serve(folder.path());
        let deadline = Instant::now() + Duration::from_millis(500);
        let watched = shell.watch(deadline, "echo one; exec sleep 5", |_| false, &mut qemu);
        let error = format!("{:#}", watched.expect_err("it is silent"));
        assert!(error.contains("in time") && error.contains("\none"), "{error}");
    }
}
