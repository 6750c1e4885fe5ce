//! Users and groups: read from `/etc/passwd` and `/etc/group` below the root, changed by running
//! shadow's programs. The C library's look-ups are never used: a static program would need the
//! host's NSS modules for them.

use super::Host;
use super::command::{Command, CommandError};
use crate::checkpoint::Act;
use crate::path::HostPath;
use crate::root::FsError;

/// Both files together are read up to this size each; a larger one is not a passwd file.
const LIMIT: u64 = 16 << 20;

/// Why users or groups could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// One of the files could not be read.
    #[error(transparent)]
    Read(#[from] FsError),
    /// A program did not do it.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A checkpoint cut it off.
    #[error("cannot run `{line}`: {source}")]
    Cut {
        /// The command line.
        line: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A user, as in `passwd(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Log-in name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// The comment (GECOS) field; users made by us carry our mark there.
    pub comment: String,
    /// Home folder.
    pub home: String,
    /// Log-in shell.
    pub shell: String,
}

/// A group, as in `group(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Who is in it besides those whose primary group it is.
    pub members: Vec<String>,
}

/// The users and groups of one host.
#[derive(Debug, Clone, Copy)]
pub struct Accounts<'a> {
    host: &'a Host,
}

impl<'a> Accounts<'a> {
    pub(super) const fn of(host: &'a Host) -> Self {
        Self { host }
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Result<Option<User>, AccountError> {
        Ok(self
            .lines("/etc/passwd")?
            .iter()
            .filter_map(|line| user(line))
            .find(|user| user.name == name))
    }

    /// The group of this name.
    pub fn group(&self, name: &str) -> Result<Option<Group>, AccountError> {
        Ok(self
            .lines("/etc/group")?
            .iter()
            .filter_map(|line| group(line))
            .find(|group| group.name == name))
    }

    /// Somebody whose primary group has this number.
    pub(crate) fn user_of_group(&self, gid: u32) -> Result<Option<User>, AccountError> {
        Ok(self
            .lines("/etc/passwd")?
            .iter()
            .filter_map(|line| user(line))
            .find(|user| user.gid == gid))
    }

    fn lines(&self, path: &str) -> Result<Vec<String>, AccountError> {
        let Ok(path) = HostPath::new(path) else {
            return Ok(Vec::new());
        };
        let bytes = self.host.root.read(&path, LIMIT)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// Runs one of shadow's programs.
    pub(crate) fn change(&self, argv: &[&str]) -> Result<(), AccountError> {
        let command = Command::change(argv.iter().copied());
        let Some(commands) = &self.host.commands else {
            return Err(CommandError::NoSystem { line: command.line() }.into());
        };
        let line = command.line();
        if let Err(source) = self.host.root.checkpoint(Act::Command, &line) {
            return Err(AccountError::Cut { line, source });
        }
        commands.succeed(&command)?;
        Ok(())
    }
}

fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let _password = fields.next()?;
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let mut text = || fields.next().unwrap_or_default().to_owned();
    Some(User {
        name,
        uid,
        gid,
        comment: text(),
        home: text(),
        shell: text(),
    })
}

fn group(line: &str) -> Option<Group> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let _password = fields.next()?;
    let gid = fields.next()?.parse().ok()?;
    let members = fields.next().unwrap_or_default();
    let members = members
        .split(',')
        .filter(|member| !member.is_empty())
        .map(str::to_owned)
        .collect();
    Some(Group { name, gid, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_passed_over() {
        // NIS compatibility entries, comments and torn lines stand in real files.
        for line in [
            "",
            "+::::::",
            "# x",
            "root",
            "root:x:zero:0::/:/bin/sh",
            ":x:0:0::/:/",
        ] {
            assert_eq!(user(line), None, "{line:?}");
        }
        let found = user("node_exporter:x:998:997:AAMI:/:/usr/sbin/nologin").unwrap();
        assert_eq!((found.uid, found.gid, found.comment.as_str()), (998, 997, "AAMI"));
    }

    #[test]
    fn members_of_a_group_are_listed() {
        assert_eq!(group("video:x:44:a,b").unwrap().members, ["a", "b"]);
        assert!(group("video:x:44:").unwrap().members.is_empty());
    }
}
