//! Whether a folder takes files and lets programs be run, by doing it: modes, mounts, quotas, attributes
//! and security modules are too many to be asked one by one.
//!
//! What is made is removed at once, and the folder gets its time of change back, so that a look leaves
//! nothing to see.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aami_inventory::{CommandError, Host};
use rustix::fs::{CWD, Timespec, Timestamps, UTIME_OMIT};

/// The name of what is made; beginners of names with a dot are passed over by everything that reads folders
/// of configuration.
const NAME: &str = ".aami-preflight";
/// What the script ends with, so that it is told from a shell that could not run it.
const STATUS: i32 = 42;

/// How a trial came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// A file was written and removed.
    Written,
    /// And a script was run from there.
    Ran,
    /// Nothing could be written: full, read-only, or refused, in the words of the system.
    NotWritten(io::ErrorKind, String),
    /// It could be written and not run.
    NotRun(String),
}

/// Writes a file into `folder`, which must exist, runs it where `run` says so, and removes it.
pub(super) fn try_folder(host: &Host<'_>, folder: &str, run: bool) -> Trial {
    let real = host.path(folder);
    let before = std::fs::metadata(&real).ok();
    let name = format!("{NAME}-{}", std::process::id());
    let path = real.join(&name);
    let written = write(&path);
    let trial = match written {
        Err(error) => Trial::NotWritten(error.kind(), error.to_string()),
        Ok(()) if !run => Trial::Written,
        Ok(()) => ran(host, &path),
    };
    let _ = std::fs::remove_file(&path);
    if let Some(before) = before {
        set_back(&real, &before);
    }
    trial
}

fn write(path: &Path) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(path)?;
    file.write_all(format!("#!/bin/sh\nexit {STATUS}\n").as_bytes())?;
    // A full disk is often noticed only then.
    file.sync_data()
}

fn ran(host: &Host<'_>, path: &Path) -> Trial {
    let Some(program) = path.to_str() else {
        return Trial::Written;
    };
    match host.commands.run(program, &[]) {
        Ok(output) if output.status == Some(STATUS) => Trial::Ran,
        Ok(output) => Trial::NotRun(format!("it ended with {:?}", output.status)),
        Err(CommandError::NotStarted { source, .. }) => Trial::NotRun(source.to_string()),
        Err(error) => Trial::NotRun(error.to_string()),
    }
}

fn set_back(folder: &Path, before: &std::fs::Metadata) {
    use std::os::unix::fs::MetadataExt as _;

    let unchanged = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let modified = Timespec {
        tv_sec: before.mtime(),
        tv_nsec: before.mtime_nsec(),
    };
    let times = Timestamps {
        last_access: unchanged,
        last_modification: modified,
    };
    // Somebody else's folder keeps the time of our look; that harms nobody.
    let _ = rustix::fs::utimensat(CWD, folder, &times, rustix::fs::AtFlags::empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_tried_looks_as_before() {
        let root = tempfile::tempdir().unwrap();
        let commands = aami_inventory::SystemCommands::default();
        let host = Host {
            root: root.path(),
            privileged: false,
            commands: &commands,
        };
        let folder = root.path().join("opt");
        std::fs::create_dir(&folder).unwrap();
        let before = std::fs::metadata(&folder).unwrap().modified().unwrap();

        assert_eq!(try_folder(&host, "/opt", true), Trial::Ran);
        assert_eq!(try_folder(&host, "/opt", false), Trial::Written);

        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(std::fs::metadata(&folder).unwrap().modified().unwrap(), before);
        let missing = try_folder(&host, "/nowhere", false);
        assert!(
            matches!(missing, Trial::NotWritten(io::ErrorKind::NotFound, _)),
            "{missing:?}"
        );
    }
}
