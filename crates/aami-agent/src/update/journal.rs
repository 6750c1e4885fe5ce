//! What is written down of an update: the request, how far it is, how it ended, and which agent the control plane
//! acknowledged last. Each file is replaced in one move that is on the disk before anything else happens.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aami_model::{CommandId, Timestamp};
use aami_plans::node::{OUTCOME, REQUEST, STANDING, UPDATE_FOLDER, UPDATE_JOURNAL};
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::daemon::replace::replaced;

/// No file of these is longer.
const LONGEST: u64 = 64 * 1024;

/// What the daemon asks for. It is the daemon's word, and judged before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) command_id: CommandId,
    pub(crate) version: String,
    /// Whether the node is pinned to that version: then it may be an older one.
    #[serde(default)]
    pub(crate) pinned: bool,
    /// When: an old request is not carried out.
    pub(crate) asked: Timestamp,
}

/// How far an update is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(super) enum Phase {
    /// The release is fetched and judged.
    Fetching {
        /// How often it was begun: a server that sends a byte now and then shall not keep it at work for ever.
        begun: u32,
    },
    /// It runs, and has to connect.
    Trial {
        /// How often it was begun: a machine that reboots in the middle begins it again.
        begun: u32,
    },
    /// It installs itself.
    Settling {
        /// How often it was begun.
        begun: u32,
    },
    /// The old agent is taken back.
    Back {
        /// The code of what went wrong.
        code: String,
        /// One sentence.
        message: String,
        /// Whether the new agent had begun to install itself.
        settled: bool,
        /// How often that failed.
        tried: u32,
    },
    /// It is over, and that is to be told.
    Done {
        /// Whether the new agent is in its place.
        ok: bool,
        /// The code of what went wrong.
        code: Option<String>,
        /// One sentence.
        message: String,
    },
}

/// The update under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) command_id: CommandId,
    pub(super) version: String,
    /// The version that is replaced.
    pub(super) from: String,
    #[serde(flatten)]
    pub(super) phase: Phase,
}

/// How the last update ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) command_id: CommandId,
    pub(crate) version: String,
    pub(crate) ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) at: Timestamp,
}

/// Which agent the control plane acknowledged last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) version: String,
    /// Which run of the daemon it was, see [`life_of`].
    pub(crate) life: String,
    pub(crate) at: Timestamp,
}

/// What a run of the daemon is known by, to itself and to whoever asks the service manager: the invocation, or the
/// number of its process where the manager is too old to know invocations.
pub(crate) fn life_of(invocation: &str, pid: u32) -> String {
    if invocation.is_empty() {
        format!("pid {pid}")
    } else {
        invocation.to_owned()
    }
}

/// Where all of it is written.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    spool: PathBuf,
    folder: PathBuf,
}

impl Book {
    /// On a host, below `root`; `spool` is the daemon's folder.
    pub(crate) fn below(root: &Path, spool: &Path) -> Self {
        Self {
            spool: spool.to_owned(),
            folder: root.join(UPDATE_FOLDER.trim_start_matches('/')),
        }
    }

    /// The updater's own folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is asked for; nothing where nothing is.
    pub(crate) fn request(&self) -> Option<Request> {
        read(&self.spool.join(REQUEST))
    }

    /// Asks for an update.
    pub(crate) fn ask(&self, request: &Request) -> io::Result<()> {
        write(&self.spool.join(REQUEST), Some(request))
    }

    /// Nothing is asked for any more.
    pub(crate) fn answered(&self) -> io::Result<()> {
        write(&self.spool.join(REQUEST), None::<&Request>)
    }

    /// How the last one ended.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        read(&self.folder.join(OUTCOME))
    }

    pub(super) fn set_outcome(&self, outcome: &Outcome) -> io::Result<()> {
        write(&self.folder.join(OUTCOME), Some(outcome))
    }

    pub(super) fn journal(&self) -> Option<Journal> {
        read(&self.folder.join(UPDATE_JOURNAL))
    }

    /// Whether the updater has begun with something that it has not ended yet.
    pub(crate) fn is_under_way(&self) -> bool {
        self.journal().is_some()
    }

    pub(super) fn set_journal(&self, journal: Option<&Journal>) -> io::Result<()> {
        write(&self.folder.join(UPDATE_JOURNAL), journal)
    }

    /// Which agent was acknowledged last.
    pub(crate) fn standing(&self) -> Option<Standing> {
        read(&self.spool.join(STANDING))
    }

    /// An agent was acknowledged; `None` forgets the one before.
    pub(crate) fn set_standing(&self, standing: Option<&Standing>) -> io::Result<()> {
        write(&self.spool.join(STANDING), standing)
    }
}

/// Reads a file of JSON; nothing where there is none, or it is something else. The updater reads what lies in the
/// daemon's folder too, so no link is followed there, and nothing that is no file is waited for.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags | OFlags::RDONLY, Mode::empty()).ok()?;
    let file = File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Replaces a file of JSON in one move; `None` leaves it empty. When this returns it is on the disk, its name as well.
fn write<T: Serialize>(path: &Path, what: Option<&T>) -> io::Result<()> {
    replaced(path, |file| match what {
        Some(what) => serde_json::to_writer(file, what).map_err(io::Error::other),
        None => Ok(()),
    })
    .map(drop)
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_there_again_and_what_is_empty_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book {
            spool: folder.path().to_owned(),
            folder: folder.path().to_owned(),
        };
        let request = Request {
            command_id: "c1".parse().unwrap(),
            version: "1.2.3".to_owned(),
            pinned: false,
            asked: Timestamp::EPOCH,
        };
        assert_eq!(book.request(), None);
        book.ask(&request).unwrap();
        assert_eq!(book.request(), Some(request));
        book.answered().unwrap();
        assert_eq!(book.request(), None);
        for text in ["{\"command_id\":", "[]", "null", "\u{0}"] {
            fs::write(folder.path().join(REQUEST), text).unwrap();
            assert_eq!(book.request(), None, "{text:?}");
        }
    }

    #[test]
    fn what_the_daemon_laid_there_instead_of_a_file_is_neither_followed_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book {
            spool: folder.path().to_owned(),
            folder: folder.path().to_owned(),
        };
        let standing = Standing {
            version: "1.2.3".to_owned(),
            life: "a".to_owned(),
            at: Timestamp::EPOCH,
        };
        let (file, elsewhere) = (folder.path().join(STANDING), folder.path().join("elsewhere"));
        // A link to a file of somebody else is not read,
        book.set_standing(Some(&standing)).unwrap();
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert_eq!(book.standing(), None);
        // and one where the new file is made is not written through.
        fs::write(&elsewhere, "mine").unwrap();
        std::os::unix::fs::symlink(&elsewhere, file.with_extension("new")).unwrap();
        book.set_standing(Some(&standing)).unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine");
        assert_eq!(book.standing(), Some(standing));
        // A pipe that nobody writes to holds nobody up.
        fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &file,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(book.standing(), None);
    }
}
