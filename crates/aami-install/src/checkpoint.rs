//! The places where a run can be cut off: before every change to the host, seen by whoever watches.
//!
//! In production nobody watches and a checkpoint costs one branch. Tests watch in order to stop a
//! run dead at each one in turn, or to make the disk full there.

use std::io;

/// What is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// A file is created (empty, under a temporary name).
    CreateFile,
    /// Bytes are written to a file that has a temporary name.
    Write,
    /// Mode or owner are set.
    Attributes,
    /// A file or folder is made durable.
    Sync,
    /// A temporary name is given its real one.
    Rename,
    /// A folder is made.
    MakeDirectory,
    /// A symbolic link is made.
    Link,
    /// A name is removed.
    Remove,
    /// A command that changes the host is run.
    Command,
    /// The record of one or more effects is about to be written.
    Record,
    /// An effect begins; its record is durable.
    Effect,
    /// An effect has happened and nothing has noted it yet.
    Done,
    /// A line is appended to the run's log.
    Append,
}

impl Act {
    /// Whether it can fail because the disk is full.
    pub const fn takes_space(self) -> bool {
        matches!(
            self,
            Self::CreateFile | Self::Write | Self::Sync | Self::MakeDirectory | Self::Link | Self::Append
        )
    }
}

/// Somebody who sees every checkpoint and may cut the run off there.
pub trait Watch: Send + Sync {
    /// `act` on `subject` (a path, a command line, an effect) is about to happen. An error makes it
    /// not happen and is reported as the operating system's own.
    fn at(&self, act: Act, subject: &str) -> io::Result<()>;
}
