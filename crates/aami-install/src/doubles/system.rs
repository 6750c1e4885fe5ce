//! A system that answers command lines.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{accounts, containers, firewall, packages, systemd};
use crate::host::{Command, CommandError, Commands, Ended, Output};

/// The programs `systemctl`, `journalctl`, `useradd`, `userdel`, `usermod`, `groupadd`, `groupdel`
/// and `gpasswd`, acting below a root; and, where a test placed a file of that name in `/usr/bin` or
/// `/usr/sbin`, package managers, firewalls and a container engine.
#[derive(Debug)]
pub struct System {
    root: PathBuf,
    memory: PathBuf,
    /// One program at a time, as the real ones lock their files.
    busy: Mutex<()>,
}

/// What a program answers: status, output, error output.
pub(super) struct Answer(pub(super) i32, pub(super) String, pub(super) String);

impl Answer {
    pub(super) const fn done() -> Self {
        Self(0, String::new(), String::new())
    }

    pub(super) fn said(output: impl Into<String>) -> Self {
        Self(0, output.into(), String::new())
    }

    pub(super) fn failed(status: i32, complaint: impl Into<String>) -> Self {
        Self(status, String::new(), complaint.into())
    }
}

impl System {
    /// A system whose files lie below `root` and whose memory (what PID 1 would hold) in `memory`.
    pub fn new(root: &Path, memory: &Path) -> Self {
        Self {
            root: root.to_owned(),
            memory: memory.to_owned(),
            busy: Mutex::new(()),
        }
    }

    /// What the container engine holds.
    pub fn containers(&self) -> Vec<String> {
        containers::picture(&self.memory)
    }

    /// Whether a test placed a program of this name.
    fn has(&self, program: &str) -> bool {
        ["usr/bin", "usr/sbin"]
            .iter()
            .any(|folder| self.root.join(folder).join(program).exists())
    }

    /// What systemd knows of its units.
    pub fn units(&self) -> Vec<systemd::UnitPicture> {
        systemd::Systemd::load(&self.root, &self.memory).picture()
    }
}

impl Commands for System {
    fn run(&self, command: &Command) -> Result<Output, CommandError> {
        let _busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let argv: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        let Some((program, args)) = argv.split_first() else {
            return Err(CommandError::Missing {
                program: String::new(),
            });
        };
        let answer = match *program {
            "systemctl" => systemd::Systemd::load(&self.root, &self.memory).systemctl(args),
            "journalctl" => systemd::Systemd::load(&self.root, &self.memory).journalctl(args),
            "useradd" | "userdel" | "usermod" | "groupadd" | "groupdel" | "gpasswd" => {
                accounts::run(&self.root, program, args)
            }
            other if !self.has(other) => {
                return Err(CommandError::Missing {
                    program: other.to_owned(),
                });
            }
            "firewall-cmd" => firewall::firewalld(&self.root, &self.memory, args),
            "ufw" => firewall::ufw(&self.root, args),
            "nft" => firewall::nft(&self.memory, args, &command.stdin),
            "docker" | "docker-compose" => containers::run(&self.memory, program, args),
            "apt-get" | "dpkg" | "dpkg-query" | "dnf" | "yum" | "rpm" => {
                packages::run(&self.root, &self.memory, program, args)
            }
            other => Answer::failed(127, format!("{other}: no double of it")),
        };
        let Answer(status, stdout, stderr) = answer;
        Ok(Output {
            ended: Ended::Status(status),
            stdout: stdout.into_bytes(),
            stderr: stderr.into_bytes(),
        })
    }
}
