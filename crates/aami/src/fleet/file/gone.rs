//! What the commands of a declared fleet wrote themselves: no receipt of an installation names it, so an uninstall takes
//! it away here.
//!
//! Rules are made from the configuration and always go. Lists, the note of what is installed where, and the configuration
//! are the operator's data, and go where that is asked for. Folders go when nothing is left in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aami_model::rule_file;
use aami_monitor::file_sd;
use aami_plans::rules;
use aami_plans::whole_file::LOCK;

use super::targets::{NOTE, TARGETS};
use crate::cli::failure::Failure;
use crate::fleet::{Place, monitor};

/// Removes the rules that were made from the configuration, and what was noted of them. Rules that nobody of us made
/// stay. Out: what was removed.
pub(crate) fn forget_rules(place: &Place) -> Result<Vec<String>, Failure> {
    let folder = place.path(monitor::RULES);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&folder)(error)),
    };
    let mut ours = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(&folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if rule_file::is_of_a_fleet(&name) || [rules::NOTE, LOCK].contains(&name.as_str()) {
            ours.push(entry.path());
        }
    }
    remove(ours)
}

/// Removes the lists for Prometheus and the note they are made from. Out: what was removed.
pub(crate) fn forget_nodes(place: &Place) -> Result<Vec<String>, Failure> {
    let (note, targets) = (place.path(NOTE), place.path(TARGETS));
    let lists = (file_sd::KINDS.into_iter()).map(|kind| targets.join(file_sd::file_name(kind)));
    let lock = note.with_file_name(LOCK);
    let removed = remove(lists.chain([note, lock]).collect())?;
    remove_empty(&targets);
    Ok(removed)
}

/// Removes the configuration. Out: what was removed.
pub(crate) fn forget_configuration(place: &Place) -> Result<Vec<String>, Failure> {
    let lock = place.config.with_file_name(LOCK);
    let removed = remove(vec![place.config.clone(), lock])?;
    if let Some(folder) = place.config.parent() {
        remove_empty(folder);
    }
    if let Some(folder) = place.path(NOTE).parent() {
        remove_empty(folder);
    }
    Ok(removed)
}

/// Removes files, and says which were there.
fn remove(files: Vec<PathBuf>) -> Result<Vec<String>, Failure> {
    let mut removed = Vec::new();
    for path in files {
        match fs::remove_file(&path) {
            Ok(()) => removed.push(path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(Failure::File {
                    path,
                    doing: "removed",
                    source,
                });
            }
        }
    }
    Ok(removed)
}

/// A folder that holds something is somebody's, and stays.
fn remove_empty(folder: &Path) {
    let _ = fs::remove_dir(folder);
}

fn unreadable(folder: &Path) -> impl Fn(io::Error) -> Failure + use<> {
    let path = folder.to_owned();
    move |source| Failure::File {
        path: path.clone(),
        doing: "read",
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::surroundings::Surroundings;

    #[test]
    fn what_was_made_goes_and_what_was_not_stays() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(Some(root.path()), None, &Surroundings::default());
        let put = |path: &str| {
            let path = place.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        for path in [
            "/etc/aami/config.yaml",
            "/etc/aami/.aami.lock",
            "/etc/aami/rules/aami-custom.yaml",
            "/etc/aami/rules/ours.yaml",
            "/etc/aami/rules/.aami.lock",
            "/var/lib/aami/fleet.json",
            "/var/lib/aami/targets/nodes.json",
        ] {
            put(path);
        }
        assert_eq!(forget_rules(&place).unwrap().len(), 2);
        assert!(place.path("/etc/aami/rules/ours.yaml").exists());
        assert_eq!(forget_nodes(&place).unwrap().len(), 2);
        assert!(!place.path(TARGETS).exists());
        assert_eq!(forget_configuration(&place).unwrap().len(), 2);
        // The operator's own rules hold the folder.
        assert!(place.path("/etc/aami/rules").exists());
        // Once more there is nothing to do.
        assert!(forget_configuration(&place).unwrap().is_empty());
        assert!(forget_nodes(&place).unwrap().is_empty());
    }
}
