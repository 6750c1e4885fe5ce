//! What only a person at a terminal sees: colours and lines that are drawn over, and how each is switched off.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::plane::{Said, aami};

/// Runs `aami` with a terminal for its standard output and standard error; both come back as `out`.
pub(crate) fn on_terminal(words: &[&str], prepare: impl FnOnce(&mut Command)) -> Said {
    let quoted: Vec<String> = std::iter::once(env!("CARGO_BIN_EXE_aami"))
        .chain(words.iter().copied())
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect();
    let mut command = at_terminal(&quoted.join(" "));
    command.stdin(Stdio::null());
    prepare(&mut command);
    Said::by(&mut command)
}

/// What runs a line of shell at a terminal of its own, and ends as that did.
fn at_terminal(line: &str) -> Command {
    let mut command = Command::new("script");
    command
        .args(["-qefc", line, "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TERM", "xterm");
    command
}

/// A terminal somebody sits at, with a line of shell at work on it.
pub(crate) struct Terminal {
    script: Child,
    keys: ChildStdin,
    coming: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    /// How much of it was looked at.
    seen: usize,
}

impl Terminal {
    pub(crate) fn running(line: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        // A shell at a terminal outlives what is typed for its children.
        let mut command = at_terminal(&format!("trap : INT; {line}"));
        prepare(&mut command);
        let (keys, screen) = (Stdio::piped(), Stdio::piped());
        let mut script = command.stdin(keys).stdout(screen).spawn().unwrap();
        let (send, coming) = channel();
        let mut out = script.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut some = [0_u8; 4096];
            while let Ok(read @ 1..) = out.read(&mut some) {
                if send.send(some[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            keys: script.stdin.take().unwrap(),
            script,
            coming,
            shown: Vec::new(),
            seen: 0,
        }
    }

    /// Everything that was shown so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown).replace('\r', "")
    }

    /// Looks at it until this is shown, after what it was looked at for before.
    pub(crate) fn until(&mut self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let shown = self.shown();
            if let Some(at) = shown[self.seen..].find(what) {
                self.seen += at + what.len();
                return;
            }
            match self.coming.recv_timeout(Duration::from_secs(1)) {
                Ok(more) => self.shown.extend(more),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => panic!("{what:?} never came; shown: {shown}"),
            }
        }
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the line has ended, and answers with its exit code.
    pub(crate) fn end(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.shown.extend(self.coming.try_iter().flatten());
            if let Some(status) = self.script.try_wait().unwrap() {
                self.shown.extend(self.coming.iter().flatten());
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it did not end: {}", self.shown());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

const ESC: char = '\u{1b}';

#[test]
fn a_terminal_is_shown_how_grave_it_is_and_nobody_else_is() {
    let on = |words: &[&str], variables: &[(&str, &str)]| {
        on_terminal(words, |command| {
            command.envs(variables.iter().map(|(name, value)| (OsStr::new(name), value)));
        })
    };
    let plain = on(&["explain", "xid", "79"], &[]);
    assert_eq!(plain.exit, 0, "{plain:?}");
    assert!(
        plain.out.contains("Severity: \u{1b}[31mCritical\u{1b}[0m"),
        "{plain:?}"
    );
    let warning = on(&["explain", "xid", "43"], &[]);
    assert!(warning.out.contains("Severity: \u{1b}[33mWarning"), "{warning:?}");
    // The flag, the variable, a terminal without colours, a form for programs and a pipe: each switches it off.
    for (words, variables) in [
        (&["explain", "xid", "79", "--no-color"][..], &[][..]),
        (&["explain", "xid", "79"], &[("NO_COLOR", "1")]),
        (&["explain", "xid", "79"], &[("NO_COLOR", "false")]),
        (&["explain", "xid", "79"], &[("TERM", "dumb")]),
        (&["explain", "xid", "79", "-o", "json"], &[]),
        (&["explain", "--no-color", "--help"], &[]),
    ] {
        let said = on(words, variables);
        assert_eq!(said.exit, 0, "{words:?}: {said:?}");
        assert!(!said.out.contains(ESC), "{words:?} {variables:?}: {said:?}");
    }
    let piped = Said::by(&mut aami(&["explain", "xid", "79"]));
    assert!(!piped.out.contains(ESC), "{piped:?}");
    // A variable that says nothing does not count as one that is set.
    let empty = on(&["explain", "xid", "79"], &[("NO_COLOR", "")]);
    assert!(empty.out.contains(ESC), "{empty:?}");
}

#[test]
fn a_table_has_colours_and_its_columns_stay_where_they_are() {
    let words = ["explain", "search", "fallen", "off", "the", "bus"];
    let painted = on_terminal(&words, |_| {});
    assert!(painted.out.contains("\u{1b}[31mcritical\u{1b}[0m"), "{painted:?}");
    let stripped = (painted.out)
        .replace("\u{1b}[31m", "")
        .replace("\u{1b}[33m", "")
        .replace("\u{1b}[0m", "")
        .replace('\r', "");
    assert_eq!(stripped, Said::by(&mut aami(&words)).out);
}
