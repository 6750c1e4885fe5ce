//! A picture of a host: every path with its kind, bytes, mode and owner, and what runs on it.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use aami_install::doubles::UnitPicture;

/// One path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    Folder {
        mode: u32,
        owner: (u32, u32),
    },
    File {
        mode: u32,
        owner: (u32, u32),
        bytes: String,
    },
    Link(String),
}

/// A host at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) paths: BTreeMap<String, Thing>,
    pub(crate) units: Vec<UnitPicture>,
    pub(crate) registered: Vec<String>,
    /// What the firewall has in force and the container engine runs.
    pub(crate) tools: Vec<String>,
}

/// Takes the picture of all below `root`. Left out: the lock, which lies in memory on a real host, and
/// the contents of the plans' own memory, which tells times and attempts.
pub(crate) fn paths(root: &Path) -> BTreeMap<String, Thing> {
    let mut paths = BTreeMap::new();
    walk(root, root, &mut paths);
    paths
}

fn walk(root: &Path, folder: &Path, paths: &mut BTreeMap<String, Thing>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("/{}", path.strip_prefix(root).unwrap().display());
        if name == "/run/aami" {
            continue;
        }
        let meta = path.symlink_metadata().unwrap();
        let (mode, owner) = (meta.permissions().mode() & 0o7777, (meta.uid(), meta.gid()));
        let thing = if meta.is_symlink() {
            Thing::Link(path.read_link().unwrap().display().to_string())
        } else if meta.is_dir() {
            if name.matches('/').count() < 6 || !name.starts_with("/var/lib/aami/install/") {
                walk(root, &path, paths);
            }
            Thing::Folder { mode, owner }
        } else {
            let bytes = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            Thing::File { mode, owner, bytes }
        };
        let memory = name.starts_with("/var/lib/aami/install/") && !matches!(thing, Thing::Folder { .. });
        if !memory {
            paths.insert(name, thing);
        }
    }
}

impl Picture {
    /// What differs from `other`, one line each: for a message a person can read.
    pub(crate) fn difference(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in self.paths.keys().chain(other.paths.keys()) {
            let (ours, theirs) = (self.paths.get(name), other.paths.get(name));
            if ours != theirs {
                lines.push(format!("{name}: {ours:?} / {theirs:?}"));
            }
        }
        if self.units != other.units {
            lines.push(format!("units: {:?} / {:?}", self.units, other.units));
        }
        if self.tools != other.tools {
            lines.push(format!("tools: {:?} / {:?}", self.tools, other.tools));
        }
        if self.registered != other.registered {
            lines.push(format!(
                "registered: {:?} / {:?}",
                self.registered, other.registered
            ));
        }
        lines.sort();
        lines.dedup();
        lines
    }

    #[track_caller]
    pub(crate) fn must_be(&self, other: &Self, story: &str) {
        let difference = self.difference(other);
        assert!(difference.is_empty(), "{story}:\n{}", difference.join("\n"));
    }
}
