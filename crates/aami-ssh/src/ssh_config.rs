//! The useful part of `~/.ssh/config`.
//!
//! [`SshConfig::read`] reads files as OpenSSH does: sections of `Host` patterns, the first value of each option
//! wins, `Include` is followed. [`SshConfig::host`] makes a [`Host`](crate::Host) of a name and of what is known
//! about it otherwise, jump hosts included. What is not understood is named and passed over, never guessed:
//! [`SshConfig::notes`].

mod parse;
mod resolve;
mod words;

use std::path::PathBuf;

use crate::HostKeyPolicy;

pub use parse::Note;
pub use resolve::{Wanted, Whose};

/// What the files say.
#[derive(Debug, Clone, Default)]
pub struct SshConfig {
    sections: Vec<Section>,
    notes: Vec<Note>,
}

/// Lines that hold for some hosts.
#[derive(Debug, Clone)]
struct Section {
    /// Lists of patterns, each of which has to take the host; none takes every host.
    hosts: Vec<Vec<String>>,
    options: Vec<Opt>,
}

/// One option and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Opt {
    HostName(String),
    User(String),
    Port(u16),
    IdentityFile(String),
    IdentitiesOnly(bool),
    IdentityAgent(String),
    ProxyJump(String),
    ProxyCommand(String),
    UserKnownHostsFile(Vec<String>),
    StrictHostKeyChecking(HostKeyPolicy),
    HashKnownHosts(bool),
    HostKeyAlias(String),
    ConnectTimeout(u64),
}

impl SshConfig {
    /// Lines that were passed over, by file and line, with the reason.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Reads the user's file and then the system's; those that do not exist say nothing.
    ///
    /// In: the files, and the home folder that `~` and relative names in the user's file stand for. A file that
    /// exists and cannot be read is noted, as everything else that is not understood.
    pub fn read(user: Option<PathBuf>, system: Option<PathBuf>, home: &std::path::Path) -> Self {
        let mut config = Self::default();
        for (path, base) in [(user, home.join(".ssh")), (system, PathBuf::from("/etc/ssh"))] {
            if let Some(path) = path {
                parse::file(&mut config, &path, &base, home);
            }
        }
        config
    }
}

#[cfg(test)]
mod tests;
