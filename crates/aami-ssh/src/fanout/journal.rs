//! The file that says which hosts are still to be done, so that what was stopped can go on later.
//!
//! It is text, one JSON document a line, and only this user may read it. The first line names everything, each
//! further one a host that is done:
//!
//! ```text
//! {"aami_resume":1,"command":"nodes install","hosts":["gpu1","gpu2","gpu3"]}
//! {"done":"gpu1"}
//! ```
//!
//! The first line is there whole or the file is not there; a host's line is appended in one write when it has ended
//! well. So the file is right whenever the process dies: what it does not call done is to be done (again). A last
//! line without its end was cut off and does not count. When all are done, the file is removed. While it is in use
//! it is locked.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aami_model::{Code, code, nodeset};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// More than a file for as many hosts as there may be.
const LONGEST: u64 = 128 * 1024 * 1024;

/// Why it cannot be resumed from, or noted what is done.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be made, read or written.
    #[error("the resume file {} cannot be {doing}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `written` or `read`.
        doing: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// It is not of this format.
    #[error("line {line} of {} is no line of a resume file: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It belongs to something else.
    #[error("{} is of `{was}`, and this is `{is}`", path.display())]
    Another {
        /// The file.
        path: PathBuf,
        /// What it was written for.
        was: String,
        /// What is being done.
        is: String,
    },
    /// Another process goes on from it.
    #[error("{} is in use by another command", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

impl JournalError {
    /// Whether a file could not be made because there is one.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// The condition.
    pub const fn code(&self) -> Code {
        match self {
            Self::File { .. } => code::RESUME_FILE_UNUSABLE,
            Self::Malformed { .. } | Self::Another { .. } => code::RESUME_FILE_INVALID,
            Self::InUse { .. } => code::RESUME_FILE_IN_USE,
        }
    }
}

/// What a resume file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// What was being done.
    pub command: String,
    /// The hosts that are not done, in their old order.
    pub hosts: Vec<String>,
    /// How many are.
    pub done: usize,
}

#[derive(Serialize, Deserialize)]
struct First {
    aami_resume: u32,
    command: String,
    hosts: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Done<S> {
    done: S,
}

/// A resume file that is kept up to date.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Who is not done.
    left: HashSet<String>,
}

impl Journal {
    /// Makes the file. In: what is being done, in words a later command can compare (no secrets), and all hosts. Fails
    /// where a file is there already ([`JournalError::is_there`]): it says who is left of something else, and is never
    /// replaced.
    pub fn create(path: &Path, command: &str, hosts: &[String]) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File {
            path: path.to_owned(),
            doing: "written",
            source,
        };
        let first = First {
            aami_resume: VERSION,
            command: command.to_owned(),
            hosts: hosts.to_vec(),
        };
        let mut line = serde_json::to_string(&first).map_err(|error| failed(error.into()))?;
        line.push('\n');
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let name = path
            .file_name()
            .ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let beside = folder.join(hidden);
        let make = || {
            // Left by a process of the same number that died here.
            match std::fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            // Before anybody else can see it, so it cannot be held.
            file.lock()?;
            file.write_all(line.as_bytes())?;
            file.sync_all()?;
            place(&beside, path)?;
            File::open(folder)?.sync_all()?;
            Ok(file)
        };
        let file = make().map_err(|error| {
            // What is left of the attempt helps nobody; that it cannot be removed neither.
            let _ = std::fs::remove_file(&beside);
            failed(error)
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            left: hosts.iter().cloned().collect(),
        })
    }

    /// Opens a file to go on from it. In: the same words as at its beginning. Out: what is left to be done, and the
    /// file to note it in. Fails: where it is no such file, belongs to something else, or is in use.
    pub fn resume(path: &Path, command: &str) -> Result<(Left, Self), JournalError> {
        let failed = |source| JournalError::File {
            path: path.to_owned(),
            doing: "read",
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::InUse {
                path: path.to_owned(),
            },
            TryLockError::Error(source) => failed(source),
        })?;
        let mut text = Vec::new();
        (&file).take(LONGEST + 1).read_to_end(&mut text).map_err(failed)?;
        let (left, whole) = read(path, &text)?;
        if left.command != command {
            return Err(JournalError::Another {
                path: path.to_owned(),
                was: left.command,
                is: command.to_owned(),
            });
        }
        // A line that was cut off must not become the beginning of the next one.
        file.set_len(whole).map_err(failed)?;
        let journal = Self {
            path: path.to_owned(),
            file,
            left: left.hosts.iter().cloned().collect(),
        };
        Ok((left, journal))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This host is done.
    pub(super) fn done(&mut self, host: &str) -> Result<(), JournalError> {
        let line = serde_json::to_string(&Done { done: host })
            .map_err(io::Error::from)
            .and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        line.map_err(|source| self.failed(source))?;
        self.left.remove(host);
        Ok(())
    }

    /// The end. Out: the file, which is still there as long as somebody is left.
    pub fn finish(self) -> Result<Option<PathBuf>, JournalError> {
        if self.left.is_empty() {
            std::fs::remove_file(&self.path).map_err(|source| self.failed(source))?;
            return Ok(None);
        }
        self.file.sync_all().map_err(|source| self.failed(source))?;
        Ok(Some(self.path))
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::File {
            path: self.path.clone(),
            doing: "written",
            source,
        }
    }
}

/// Gives a file its name, unless that is taken.
fn place(beside: &Path, path: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match renameat_with(CWD, beside, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Not every file system knows it; a second name says the same where the first is taken.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            std::fs::hard_link(beside, path)?;
            std::fs::remove_file(beside)
        }
        Err(error) => Err(error.into()),
    }
}

/// What the file says, and how long the part of it is that counts.
fn read(path: &Path, text: &[u8]) -> Result<(Left, u64), JournalError> {
    let malformed = |line: usize, why: String| JournalError::Malformed {
        path: path.to_owned(),
        line,
        why,
    };
    if text.len() as u64 > LONGEST {
        return Err(malformed(1, "the file is too long".into()));
    }
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let mut lines = text[..whole].split_inclusive(|byte| *byte == b'\n').enumerate();
    let (_, first) = lines.next().ok_or_else(|| malformed(1, "it has no end".into()))?;
    let first: First = serde_json::from_slice(first).map_err(|error| malformed(1, error.to_string()))?;
    if first.aami_resume != VERSION {
        let why = format!("version {} is not known here", first.aami_resume);
        return Err(malformed(1, why));
    }
    if first.hosts.len() > nodeset::LIMIT {
        return Err(malformed(
            1,
            format!("it names more than {} hosts", nodeset::LIMIT),
        ));
    }
    let known: HashSet<&str> = first.hosts.iter().map(String::as_str).collect();
    let mut done = HashSet::new();
    for (index, line) in lines {
        let line: Done<String> =
            serde_json::from_slice(line).map_err(|error| malformed(index + 1, error.to_string()))?;
        if !known.contains(line.done.as_str()) {
            return Err(malformed(
                index + 1,
                "the first line does not name this host".into(),
            ));
        }
        done.insert(line.done);
    }
    let done_count = done.len();
    let hosts = first
        .hosts
        .iter()
        .filter(|host| !done.contains(*host))
        .cloned()
        .collect();
    let left = Left {
        command: first.command,
        hosts,
        done: done_count,
    };
    Ok((left, whole as u64))
}

#[cfg(test)]
mod tests;
