//! Running a program: an argument list, bytes for its input, a deadline, bounded output. Never a
//! shell, never the caller's environment.

use std::fmt;
use std::io;
use std::time::Duration;

/// A program to run. Secrets go to its input, never into its arguments.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments. A program without a slash is looked for in `/usr/sbin`,
    /// `/usr/bin`, `/sbin` and `/bin`.
    pub argv: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// Variables beside the fixed `PATH`, `LC_ALL=C` and `LANG=C`; nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// How long it may take before it and what it started are stopped.
    pub deadline: Duration,
    /// How many bytes of each output are kept: the last ones.
    pub keep: usize,
    /// Whether it changes the host, or only looks.
    pub changes: bool,
}

impl Command {
    /// A program that only looks, with 10 s and 64 KiB of output.
    pub fn look<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Vec::new(),
            env: Vec::new(),
            deadline: Duration::from_secs(10),
            keep: 64 << 10,
            changes: false,
        }
    }

    /// A program that changes the host, with 60 s and 64 KiB of output.
    pub fn change<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            deadline: Duration::from_secs(60),
            changes: true,
            ..Self::look(argv)
        }
    }

    /// With these bytes as its input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// With one more variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With another deadline.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command line as a person would type it, for messages.
    pub fn line(&self) -> String {
        self.argv.join(" ")
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({} bytes of input)", self.line(), self.stdin.len())
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub ended: Ended,
    /// The end of its output.
    pub stdout: Vec<u8>,
    /// The end of its error output.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Its output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last lines it complained with, on one line of at most 300 characters.
    pub fn complaint(&self) -> String {
        let said = if self.stderr.is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        let said = String::from_utf8_lossy(said);
        let lines: Vec<&str> = said
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let last = lines[lines.len().saturating_sub(3)..].join("; ");
        last.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(300)
            .collect()
    }
}

/// Why a program could not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such program in the folders looked in.
    #[error("the program {program} is not on this host")]
    Missing {
        /// Its name.
        program: String,
    },
    /// It could not be started, or its output could not be read.
    #[error("cannot run `{line}`: {source}")]
    Start {
        /// The command line.
        line: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It took longer than allowed and was stopped.
    #[error("`{line}` did not end within {} s and was stopped", deadline.as_secs_f32())]
    Deadline {
        /// The command line.
        line: String,
        /// What was allowed.
        deadline: Duration,
    },
    /// It ended with something other than 0.
    #[error("`{line}` ended with {ended}: {complaint}")]
    Failed {
        /// The command line.
        line: String,
        /// How.
        ended: Ended,
        /// Its last words.
        complaint: String,
    },
    /// Programs cannot be run here.
    #[error("`{line}` cannot be run: only a folder is being installed to, not a system")]
    NoSystem {
        /// The command line.
        line: String,
    },
}

/// Something that runs programs.
pub trait Commands: Send + Sync {
    /// Runs `command` to its end, however it ends.
    fn run(&self, command: &Command) -> Result<Output, CommandError>;

    /// Runs `command`, and takes anything but status 0 for a failure.
    fn succeed(&self, command: &Command) -> Result<Output, CommandError> {
        let output = self.run(command)?;
        if output.ended == Ended::Status(0) {
            return Ok(output);
        }
        Err(CommandError::Failed {
            line: command.line(),
            ended: output.ended,
            complaint: output.complaint(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_never_shows() {
        let command = Command::change(["chpasswd"]).stdin("root:hunter2");
        assert_eq!(format!("{command:?}"), "`chpasswd` (12 bytes of input)");
    }

    #[test]
    fn a_complaint_is_one_short_line() {
        let stderr = b"first\n\nsecond\x1b[31m\nthird\nfourth\n".to_vec();
        let output = Output {
            ended: Ended::Status(1),
            stdout: vec![],
            stderr,
        };
        assert_eq!(output.complaint(), "second [31m; third; fourth");
    }
}
