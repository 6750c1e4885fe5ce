//! The one line that a login shell is given, whatever shell it is.
//!
//! It replaces the login shell by one that runs the command as a script for `/bin/sh`, in a process group or session of
//! its own, with something beside it that ends it when the time is up: a command ends even where the connection is
//! gone. Before the command's own output it prints a marker, on both streams, with the number all of it can be ended
//! by. [`timed`] does that by a program that nearly every host has, [`supervised`] where that one is not there and
//! below sudo; [`words`] is how it is written so that every shell reads the same.

mod supervised;
#[cfg(test)]
mod tests;
pub(super) mod timed;
mod words;

use std::time::Duration;

use crate::{Command, Host, SshError};
use words::nonce;

/// A longer line is turned down by kernels (`MAX_ARG_STRLEN`), servers or shells.
const LONGEST: usize = 120 * 1024;

/// What ends a command when its time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    /// `timeout`, where it is as expected.
    Timeout,
    /// Our own.
    Supervisor,
}

/// A command on its way to a host.
#[derive(Debug)]
pub(super) struct Envelope {
    /// What the login shell is given.
    pub(super) line: Vec<u8>,
    /// In front of the command's output.
    pub(super) begin: String,
    /// How sudo is asked for, where it is.
    pub(super) sudo: Option<SudoMarks>,
    /// What ends it there.
    pub(super) keeper: Keeper,
}

/// By what sudo's words are told from others.
#[derive(Debug)]
pub(super) struct SudoMarks {
    /// Printed before sudo is started.
    pub(super) before: String,
    /// What sudo prints when it wants a password.
    pub(super) prompt: String,
}

impl Envelope {
    /// Closes a command in, for a host and a time it may run. What keeps its time is what is asked for, but below sudo
    /// always our own: only root can end what runs as root.
    pub(super) fn new(
        command: &Command,
        host: &Host,
        keeper: Keeper,
        limit: Duration,
        kill_after: Duration,
    ) -> Result<Self, SshError> {
        if command.text().contains('\0') {
            return Err(SshError::Local {
                why: "a command with a zero byte in it cannot be sent".to_owned(),
            });
        }
        let grace = seconds(kill_after);
        // Later than we end it ourselves: the watch is for when we cannot.
        let watch = seconds(limit)
            .saturating_add(grace.saturating_mul(2))
            .saturating_add(5);
        Self::watched(command, host, keeper, (watch, grace))
    }

    fn watched(command: &Command, host: &Host, keeper: Keeper, times: (u64, u64)) -> Result<Self, SshError> {
        let begin = nonce()?;
        let needs_sudo = command.root && (host.user != "root" || host.sudo_for_root);
        let sudo = match needs_sudo {
            true => Some(SudoMarks {
                before: nonce()?,
                prompt: format!("{}:", nonce()?),
            }),
            false => None,
        };
        let keeper = if needs_sudo { Keeper::Supervisor } else { keeper };
        let line = match keeper {
            Keeper::Timeout => timed::line(command.text(), &begin, times),
            Keeper::Supervisor => {
                let sudo = sudo.as_ref().map(|marks| (host.sudo, marks));
                supervised::line(command.text(), &begin, times, sudo)
            }
        };
        if line.len() > LONGEST {
            return Err(SshError::Local {
                why: format!(
                    "the command is too long to be sent as one line ({} bytes, {LONGEST} at most)",
                    line.len()
                ),
            });
        }
        Ok(Self {
            line,
            begin,
            sudo,
            keeper,
        })
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
