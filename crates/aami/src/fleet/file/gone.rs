//! What the commands of a declared fleet wrote themselves: no receipt of an installation names it, so an uninstall takes
//! it away here.
//!
//! Looked at first, so that it can be shown, and removed as it was shown. Rules are made from the configuration and
//! always go. Lists, the note of what is installed where, and the configuration are the operator's data, and go where
//! that is asked for. The notes say whose all this is: what is another's stays. Folders of ours go when nothing is left
//! in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aami_model::rule_file;
use aami_monitor::file_sd;
use aami_plans::rules::{self, Owner};
use aami_plans::whole_file::LOCK;

use super::alerts::is_gone;
use super::targets::{self, NOTE, TARGETS};
use crate::cli::failure::Failure;
use crate::fleet::{Place, monitor};

/// What there is of a declared fleet beside what was installed.
pub(crate) struct Remains {
    place: Place,
    /// The rules that were made from its configuration, and the note of them.
    pub(crate) rules: Vec<PathBuf>,
    /// Prometheus' lists, and the note they are made from.
    pub(crate) nodes: Vec<PathBuf>,
    /// The configuration.
    pub(crate) configuration: Vec<PathBuf>,
    /// What stays because it is another's, each with whose it is.
    pub(crate) others: Vec<String>,
}

impl Remains {
    /// Looks for them; nothing is changed. The configuration is the one that the notes on this machine name: `place`'s
    /// where they name none. Fails where a note cannot be read: then nobody knows whose things these are.
    pub(crate) fn look(place: &Place) -> Result<Self, Failure> {
        let folder = place.path(monitor::RULES);
        let rules_owner = rules::owner_of(&folder)?;
        let place = whose(place, rules_owner.as_ref())?;
        let is_ours = match &rules_owner {
            Some(Owner::Configuration { file, .. }) => {
                *file == targets::named(&place) || is_gone(&place.path(file))
            }
            Some(Owner::Server { .. } | Owner::Agent { .. }) => false,
            None => true,
        };
        let mut others = Vec::new();
        let rules = match rules_owner {
            Some(owner) if !is_ours => {
                others.push(format!("{}: the rules of {owner}", folder.display()));
                Vec::new()
            }
            _ => rules_in(&folder)?,
        };
        let (note, targets) = (place.path(NOTE), place.path(TARGETS));
        let lists = (file_sd::KINDS.into_iter()).map(|kind| targets.join(file_sd::file_name(kind)));
        let lock = note.with_file_name(LOCK);
        Ok(Self {
            rules,
            nodes: there(lists.chain([note, lock])),
            configuration: there([place.config.clone(), place.config.with_file_name(LOCK)]),
            others,
            place,
        })
    }

    /// Where the configuration lies.
    pub(crate) fn config(&self) -> &Path {
        &self.place.config
    }

    /// Removes the rules. Out: what was removed.
    pub(crate) fn forget_rules(&self) -> Result<Vec<String>, Failure> {
        remove(&self.rules)
    }

    /// Removes the lists for Prometheus and the note they are made from. Out: what was removed.
    pub(crate) fn forget_nodes(&self) -> Result<Vec<String>, Failure> {
        let removed = remove(&self.nodes)?;
        remove_empty(&self.place.path(TARGETS));
        Ok(removed)
    }

    /// Removes the configuration. Out: what was removed.
    pub(crate) fn forget_configuration(&self) -> Result<Vec<String>, Failure> {
        let removed = remove(&self.configuration)?;
        // A folder that an operator chose is the operator's.
        for ours in [aami_config::USUAL_PATH, NOTE] {
            if let Some(folder) = self.place.path(ours).parent() {
                remove_empty(folder);
            }
        }
        Ok(removed)
    }
}

/// The place with the configuration that this machine's notes name: of what is installed first, then of the rules.
fn whose(place: &Place, rules: Option<&Owner>) -> Result<Place, Failure> {
    let by_rules = || match rules {
        Some(Owner::Configuration { file, .. }) if !is_gone(&place.path(file)) => Some(file.clone()),
        Some(Owner::Configuration { .. } | Owner::Server { .. } | Owner::Agent { .. }) | None => None,
    };
    let mut place = place.clone();
    if let Some(file) = targets::owner(&place)?.or_else(by_rules)
        && file != targets::named(&place)
    {
        place.config = place.path(file);
    }
    Ok(place)
}

/// The rules of a declared fleet in a folder, and what was noted of them. Rules that nobody of us made are none.
fn rules_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder)(error)),
    };
    let mut ours = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if rule_file::is_of_a_fleet(&name) || [rules::NOTE, LOCK].contains(&name.as_str()) {
            ours.push(entry.path());
        }
    }
    ours.sort();
    Ok(ours)
}

/// Those that are there.
fn there(files: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    files.into_iter().filter(is_there).collect()
}

/// Removes files, and says which were there.
fn remove(files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut removed = Vec::new();
    for path in files {
        match fs::remove_file(path) {
            Ok(()) => removed.push(path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(Failure::File {
                    path: path.clone(),
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

    /// A machine with files, each of them with this text.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Place) {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(Some(root.path()), None, &Surroundings::default());
        for (path, text) in files {
            let path = place.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (root, place)
    }

    fn all_of(remains: &Remains) -> Vec<String> {
        [&remains.rules, &remains.nodes, &remains.configuration]
            .into_iter()
            .flatten()
            .map(|path| path.display().to_string())
            .collect()
    }

    fn forget(remains: &Remains) -> Vec<String> {
        let removed = [
            remains.forget_rules(),
            remains.forget_nodes(),
            remains.forget_configuration(),
        ];
        removed.into_iter().flat_map(Result::unwrap).collect()
    }

    #[test]
    fn what_was_made_goes_as_it_was_shown_and_what_was_not_stays() {
        let (_root, place) = machine(&[
            ("/etc/aami/config.yaml", "x"),
            ("/etc/aami/.aami.lock", ""),
            ("/etc/aami/rules/aami-custom.yaml", "x"),
            ("/etc/aami/rules/ours.yaml", "x"),
            ("/etc/aami/rules/.aami.lock", ""),
            ("/var/lib/aami/fleet.json", r#"{"version": 1, "nodes": {}}"#),
            ("/var/lib/aami/targets/nodes.json", "x"),
        ]);
        let remains = Remains::look(&place).unwrap();
        let shown = all_of(&remains);
        assert_eq!(shown.len(), 6, "{shown:?}");
        assert!(shown.iter().all(|path| Path::new(path).exists()));
        assert_eq!(forget(&remains), shown);
        assert!(!place.path(TARGETS).exists());
        // The operator's own rules hold the folder.
        assert!(place.path("/etc/aami/rules/ours.yaml").exists());
        // Once more there is nothing to do.
        assert!(all_of(&Remains::look(&place).unwrap()).is_empty());
    }

    #[test]
    fn the_configuration_that_the_note_names_goes_and_another_stays() {
        // Given a fleet that a configuration elsewhere declares, by its note or by its rules alone,
        let by_note = (
            "/var/lib/aami/fleet.json",
            r#"{"version": 1, "config": "/srv/fleet.yaml", "nodes": {}}"#,
        );
        let owner = r#"{"kind": "configuration", "file": "/srv/fleet.yaml", "cluster": "c"}"#;
        let rules = format!(r#"{{"version": 1, "owner": {owner}, "files": []}}"#);
        for (noted, text) in [by_note, ("/etc/aami/rules/.aami-rules.json", &*rules)] {
            let (_root, place) = machine(&[
                ("/srv/fleet.yaml", "cluster: {name: c}\n"),
                ("/etc/aami/config.yaml", "cluster: {name: c}\n"),
                ("/etc/aami/rules/aami-preset-gpu-basic.yaml", "x"),
                (noted, text),
            ]);
            // when it is forgotten, then that one goes, with what was made from it, and not the usual one;
            let remains = Remains::look(&place).unwrap();
            assert_eq!(remains.config(), place.path("/srv/fleet.yaml"), "{noted}");
            forget(&remains);
            for gone in [
                "/srv/fleet.yaml",
                noted,
                "/etc/aami/rules/aami-preset-gpu-basic.yaml",
            ] {
                assert!(!place.path(gone).exists(), "{noted}: {gone}");
            }
            assert!(place.path("/etc/aami/config.yaml").exists(), "{noted}");
            // and the folder that an operator chose stays.
            assert!(place.path("/srv").exists(), "{noted}");
        }
    }

    #[test]
    fn rules_of_another_owner_stay_and_are_told() {
        for owner in [
            r#"{"kind": "agent", "prometheus": "p", "address": "http://127.0.0.1:9090"}"#,
            r#"{"kind": "configuration", "file": "/srv/fleet.yaml", "cluster": "c"}"#,
        ] {
            let note = format!(r#"{{"version": 1, "owner": {owner}, "files": ["aami-preset-a.yaml"]}}"#);
            let (_root, place) = machine(&[
                ("/srv/fleet.yaml", "x"),
                ("/etc/aami/config.yaml", "x"),
                (
                    "/var/lib/aami/fleet.json",
                    r#"{"version": 1, "config": "/etc/aami/config.yaml", "nodes": {}}"#,
                ),
                ("/etc/aami/rules/aami-preset-a.yaml", "x"),
                ("/etc/aami/rules/.aami-rules.json", &note),
            ]);
            let remains = Remains::look(&place).unwrap();
            assert_eq!(remains.others.len(), 1, "{owner}");
            forget(&remains);
            for stays in [
                "/etc/aami/rules/aami-preset-a.yaml",
                "/etc/aami/rules/.aami-rules.json",
            ] {
                assert!(place.path(stays).exists(), "{owner}: {stays}");
            }
            assert!(
                place.path("/srv/fleet.yaml").exists() && !place.config.exists(),
                "{owner}"
            );
        }
    }

    #[test]
    fn a_note_that_cannot_be_read_leaves_everything() {
        for note in ["/var/lib/aami/fleet.json", "/etc/aami/rules/.aami-rules.json"] {
            let (_root, place) = machine(&[("/etc/aami/config.yaml", "x"), (note, "{")]);
            let failure = Remains::look(&place).err().unwrap();
            assert!(failure.hint().is_some(), "{note}: {failure}");
        }
    }
}
