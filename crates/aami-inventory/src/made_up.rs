//! A made-up machine for tests: files in a folder of its own, and the programs of this one.

use tempfile::TempDir;

use crate::{Host, SystemCommands};

/// Its root folder; it ends with it.
pub(crate) struct Root {
    folder: TempDir,
    commands: SystemCommands,
}

impl Root {
    /// With nothing on it.
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            commands: SystemCommands::default(),
        }
    }

    /// As it is looked at, with every right.
    pub(crate) fn host(&self) -> Host<'_> {
        Host {
            root: self.folder.path(),
            privileged: true,
            commands: &self.commands,
        }
    }

    /// Writes a file, in the folders it needs.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.host().path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}
