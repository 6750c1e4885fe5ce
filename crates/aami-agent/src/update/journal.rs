//! What is written down of an update: the request, how far it is, how it ended, and which agent the control plane
//! acknowledged last. Each file is replaced in one move that is on the disk before anything else happens.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aami_model::{CommandId, Timestamp};
use aami_plans::node::{OUTCOME, REQUEST, STANDING, UPDATE_FOLDER, UPDATE_JOURNAL};
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
}

/// How far an update is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(super) enum Phase {
    /// The release is fetched and judged.
    Fetching,
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
    pub(crate) at: Timestamp,
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

/// Reads a file of JSON; nothing where there is none, or it is something else.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
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
}
