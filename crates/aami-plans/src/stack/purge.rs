//! Removing what the services wrote themselves: the one thing no receipt names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aami_install::host::{Command, CommandError, Commands, Ended, Output};
use aami_install::receipt::Receipt;
use aami_install::{Host, HostPath};

use super::config::broken;
use super::folders;
use super::layout::Layout;
use super::part::Part;
use super::wishes::{Runtime, Wishes};

/// Why data could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// A service still runs and would write on.
    #[error("{unit} cannot be stopped: {source}")]
    Running {
        /// Its unit, or its container.
        unit: &'static str,
        /// Why.
        source: aami_install::host::UnitError,
    },
    /// Something is in the way.
    #[error("{} cannot be removed: {source}", path.display())]
    Stays {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folders cannot be named.
    #[error(transparent)]
    Layout(#[from] aami_install::StepError),
}

/// What became of the data folders.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Purged {
    /// Those that were emptied.
    pub(crate) emptied: Vec<String>,
    /// Those that hold something and were there before the server, so that nobody can tell what in them is whose.
    pub(crate) left: Vec<String>,
}

/// Stops the services and empties those of their data folders that `receipts` say we made. The folders themselves
/// are the plan's: uninstalling takes them back, now that they are empty. Called again after a crash it goes on.
pub(crate) fn purge(host: &Host, wishes: &Wishes, receipts: &[Receipt]) -> Result<Purged, PurgeError> {
    let layout = Layout::of(wishes).map_err(broken)?;
    if let (Some(units), Runtime::Systemd) = (&host.units, wishes.runtime) {
        for part in Part::ALL.into_iter().rev() {
            let unit = part.unit();
            let running = |source| PurgeError::Running { unit, source };
            if units.show(unit).map_err(running)?.is_active() {
                units.stop(unit).map_err(running)?;
            }
        }
    }
    if let (Some(commands), Runtime::Compose) = (&host.commands, wishes.runtime) {
        for part in Part::ALL.into_iter().rev() {
            stop_container(commands.as_ref(), part.container())?;
        }
    }
    let mut purged = Purged::default();
    let folders = Part::ALL
        .into_iter()
        .map(|part| layout.data_of(part).map_err(broken));
    for folder in folders.chain([Ok(layout.targets.clone())]) {
        let folder = folder?;
        if !folders::is_made(receipts, &folder) {
            if holds_any(host, &folder) {
                let why = "it was there before the server, and what lies in it stays";
                purged.left.push(format!("{folder}: {why}"));
            }
        } else if empty(&host.root.outside(&folder))? {
            purged.emptied.push(folder.to_string());
        }
    }
    Ok(purged)
}

/// Whether anything lies in a folder, links included.
fn holds_any(host: &Host, folder: &HostPath) -> bool {
    fs::read_dir(host.root.outside(folder)).is_ok_and(|mut entries| entries.next().is_some())
}

/// Stops a container that runs; taking the project back removes it later. An engine that does not answer is no word
/// that nothing runs: with live restore containers write on while it is down.
fn stop_container(commands: &dyn Commands, name: &'static str) -> Result<(), PurgeError> {
    let running = |source: CommandError| PurgeError::Running {
        unit: name,
        source: source.into(),
    };
    let look = Command::look(["docker", "inspect", "--format={{.State.Running}}", name]);
    let runs = match commands.run(&look) {
        Err(CommandError::Missing { .. }) => false,
        Err(error) => return Err(running(error)),
        Ok(output) if output.ended == Ended::Status(0) => output.text().trim() == "true",
        Ok(output) if is_unknown(&output) => false,
        Ok(_) => return commands.succeed(&look).map_err(running).map(|_| ()),
    };
    if runs {
        let stop = Command::change(["docker", "stop", "--time=20", name]).within(Duration::from_secs(60));
        commands.succeed(&stop).map_err(running)?;
    }
    Ok(())
}

/// Whether the engine answered that it has no such container.
fn is_unknown(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    said.contains("no such object") || said.contains("no such container")
}

/// Removes all that is in a folder, following no link. False where there was nothing.
fn empty(folder: &Path) -> Result<bool, PurgeError> {
    let stays = |path: &Path| {
        let path = path.to_owned();
        move |source| PurgeError::Stays { path, source }
    };
    // A link in the place of the folder leads to what is not ours.
    if !fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir()) {
        return Ok(false);
    }
    let mut any = false;
    for entry in fs::read_dir(folder).map_err(stays(folder))? {
        let entry = entry.map_err(stays(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(stays(&path))?;
        let removed = if kind.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(stays(&path))?;
        any = true;
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_and_what_a_link_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("var/lib/aami/prometheus");
        let theirs = folder.path().join("theirs");
        fs::create_dir_all(data.join("wal")).unwrap();
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("kept"), "").unwrap();
        fs::write(data.join("wal/0001"), "").unwrap();
        std::os::unix::fs::symlink(&theirs, data.join("out")).unwrap();
        std::os::unix::fs::symlink(&theirs, folder.path().join("var/lib/aami/grafana")).unwrap();
        let host = Host::folder(folder.path()).unwrap();
        let wishes = Wishes::usual().unwrap();
        let receipts = [made(&["/var/lib/aami/prometheus", "/var/lib/aami/grafana"])];

        let purged = purge(&host, &wishes, &receipts).unwrap();
        assert_eq!(purged.emptied, ["/var/lib/aami/prometheus"]);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
        assert!(theirs.join("kept").exists());
        let again = purge(&host, &wishes, &receipts).unwrap();
        assert!(again.emptied.is_empty(), "again is no harm");
    }

    #[test]
    fn a_folder_that_was_there_before_keeps_what_lies_in_it() {
        // Given a folder in a part's place that no receipt says we made, beside one that we did,
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("var/lib/aami/prometheus");
        let ours = folder.path().join("var/lib/aami/server");
        for (place, file) in [(&theirs, "chunks_head"), (&ours, "store.db")] {
            fs::create_dir_all(place).unwrap();
            fs::write(place.join(file), "").unwrap();
        }
        let host = Host::folder(folder.path()).unwrap();
        // when the data is purged,
        let receipts = [made(&["/var/lib/aami/server"])];
        let purged = purge(&host, &Wishes::usual().unwrap(), &receipts).unwrap();
        // then ours goes, and theirs stays and is named.
        assert_eq!(purged.emptied, ["/var/lib/aami/server"]);
        assert!(theirs.join("chunks_head").exists());
        let [left] = purged.left.as_slice() else {
            panic!("{:?}", purged.left)
        };
        assert!(left.starts_with("/var/lib/aami/prometheus: "), "{left}");
    }

    /// An engine that says this of every container.
    struct Says(Result<(i32, &'static str), &'static str>);

    impl Commands for Says {
        fn run(&self, command: &Command) -> Result<Output, CommandError> {
            match self.0 {
                Err(program) => Err(CommandError::Missing {
                    program: program.to_owned(),
                }),
                Ok((status, said)) => Ok(Output {
                    ended: Ended::Status(if command.line().contains("stop") {
                        0
                    } else {
                        status
                    }),
                    stdout: said.into(),
                    stderr: said.into(),
                }),
            }
        }
    }

    #[test]
    fn only_an_engine_that_says_so_means_that_nothing_runs() {
        for (says, goes_on) in [
            (Ok((0, "true")), true),
            (Ok((0, "false")), true),
            (Ok((1, "Error: No such object: aami-prometheus")), true),
            (Err("docker"), true),
            (Ok((1, "Cannot connect to the Docker daemon")), false),
        ] {
            let stopped = stop_container(&Says(says), "aami-prometheus");
            assert_eq!(stopped.is_ok(), goes_on, "{says:?}: {stopped:?}");
        }
    }

    /// A receipt that says these folders are ours.
    fn made(folders: &[&str]) -> Receipt {
        let effects: Vec<_> = folders
            .iter()
            .map(|path| {
                serde_json::json!({
                    "step": "download", "at": "2026-01-01T00:00:00.000Z", "done": true, "kind": "make_directory",
                    "path": path, "mode": 448, "owner": null, "before": { "was": "absent" },
                })
            })
            .collect();
        serde_json::from_value(serde_json::json!({
            "version": 1, "plan": "stack", "cluster": "default", "created_at": "2026-01-01T00:00:00.000Z",
            "updated_at": "2026-01-01T00:00:00.000Z", "effects": effects,
        }))
        .unwrap()
    }
}
