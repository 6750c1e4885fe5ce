//! Removing what the services wrote themselves: the one thing no receipt names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aami_install::Host;
use aami_install::host::{Command, CommandError, Commands, Ended, Output};

use super::config::broken;
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

/// Stops the services and empties their data folders. The folders themselves are the plan's: uninstalling
/// takes them back, now that they are empty. Called again after a crash it goes on. Answers what was emptied.
pub(crate) fn purge(host: &Host, wishes: &Wishes) -> Result<Vec<String>, PurgeError> {
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
    let mut emptied = Vec::new();
    let folders = Part::ALL
        .into_iter()
        .map(|part| layout.data_of(part).map_err(broken));
    for folder in folders.chain([Ok(layout.targets.clone())]) {
        let folder = folder?;
        if empty(&host.root.outside(&folder))? {
            emptied.push(folder.to_string());
        }
    }
    Ok(emptied)
}

/// Stops a container that runs; taking the project back removes it later.
fn stop_container(commands: &dyn Commands, name: &'static str) -> Result<(), PurgeError> {
    let look = Command::look(["docker", "inspect", "--format={{.State.Running}}", name]);
    let runs = |output: Output| output.ended == Ended::Status(0) && output.text().trim() == "true";
    if !commands.run(&look).is_ok_and(runs) {
        return Ok(());
    }
    let stop = Command::change(["docker", "stop", "--time=20", name]).within(Duration::from_secs(60));
    let running = |source: CommandError| PurgeError::Running {
        unit: name,
        source: source.into(),
    };
    commands.succeed(&stop).map_err(running)?;
    Ok(())
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

        assert_eq!(purge(&host, &wishes).unwrap(), ["/var/lib/aami/prometheus"]);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
        assert!(theirs.join("kept").exists());
        assert!(purge(&host, &wishes).unwrap().is_empty(), "again is no harm");
    }
}
