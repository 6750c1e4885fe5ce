//! What the daemon knows of itself from one start to the next: the configuration it was given, how far it read the
//! kernel's log, what it told last. Written seldom, in one move; what cannot be read is begun anew, which tells some
//! things twice and loses nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aami_api::link::{FoundExporter, NodeConfig};
use aami_model::finding::Finding;
use aami_xid::kmsg::Position;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::replace::replaced;

/// No file of the daemon's own is longer.
const LONGEST: u64 = 8 * 1024 * 1024;

/// Everything noted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Noted {
    /// How the control plane wants it to behave.
    pub(super) config: NodeConfig,
    /// How far the kernel's log was told.
    pub(super) kernel: Option<Position>,
    /// The status each check was last told to have.
    pub(super) checks: BTreeMap<String, String>,
    /// SHA-256 of the inventory that was told last.
    pub(super) inventory: Option<String>,
    /// The findings that were told last.
    pub(super) findings: Vec<Finding>,
    /// The exporters of others that were told last.
    pub(super) found: Vec<FoundExporter>,
}

/// The notes and their file.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    noted: Mutex<Noted>,
}

impl Memory {
    /// Reads the notes, or begins new ones.
    pub(super) fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            noted: Mutex::new(read(path).unwrap_or_default()),
        }
    }

    /// The notes as they are.
    pub(super) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the notes. Where they cannot be written they hold for this process, and the next one tells again.
    pub(super) fn change(&self, change: impl FnOnce(&mut Noted)) -> io::Result<()> {
        let mut noted = self.noted();
        let before = noted.clone();
        change(&mut noted);
        if *noted == before {
            return Ok(());
        }
        write(&self.path, &*noted)
    }
}

/// Reads a file of JSON; `None` where there is none or it is something else.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Replaces a file of JSON in one move, on the disk when this returns.
pub(super) fn write<T: Serialize>(path: &Path, what: &T) -> io::Result<()> {
    let text = serde_json::to_vec(what).map_err(io::Error::other)?;
    replaced(path, |writer| writer.write_all(&text)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn notes_are_there_again_and_what_is_no_note_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.json");
        let memory = Memory::open(&path);
        let position = Position {
            boot: "boot".to_owned(),
            next: 7,
        };
        memory
            .change(|noted| noted.kernel = Some(position.clone()))
            .unwrap();
        assert_eq!(Memory::open(&path).noted().kernel, Some(position));
        fs::write(&path, "{\"kernel\":").unwrap();
        assert_eq!(*Memory::open(&path).noted(), Noted::default());
    }

    #[test]
    fn notes_that_cannot_be_written_hold_for_this_process() {
        let memory = Memory::open(Path::new("/nonexistent/memory.json"));
        let changed = memory.change(|noted| noted.inventory = Some("x".to_owned()));
        assert!(changed.is_err());
        assert_eq!(memory.noted().inventory.as_deref(), Some("x"));
    }
}
