//! Taking a tree back: what is as we placed it goes, what somebody changed is kept beside, what others put
//! there stays.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::list::{LIST, LONGEST_LIST, Listing, Thing};
use super::{at, read_list, staging};
use crate::digest::Digest;
use crate::effect::{EffectError, Scene, directory, place};
use crate::path::HostPath;
use crate::receipt::{Before, Record};
use crate::root::{Entry, FsError};
use crate::saved::Saved;
use crate::undo::Undone;

/// Takes the tree at `path` back.
pub(in crate::effect) fn undo(
    scene: Scene<'_>,
    path: &HostPath,
    record: &Record,
    saved: &Saved<'_>,
) -> Result<Undone, EffectError> {
    let root = &scene.host.root;
    root.remove_tree(&staging(path))?;
    match root.entry(path)? {
        Entry::Absent => return Ok(Undone::Gone),
        Entry::Directory(_) => {}
        other => return Ok(Undone::Left(format!("{path} is {} now", other.name()))),
    }
    let unknown = matches!(record.before, Before::Unknown | Before::Shared { .. });
    let Some(placed) = placed(scene, path, record, saved)? else {
        if !root.remove_folder(path)? {
            let why = "which of its files are AAMI's is not known any more";
            return Ok(Undone::Left(format!("{path}: {why}")));
        }
        directory::sync_parent(scene, path)?;
        return Ok(if unknown { Undone::Unknown } else { Undone::Gone });
    };
    let mut taking = Taking {
        scene,
        record,
        kept: Vec::new(),
        left: Vec::new(),
    };
    // Backwards: what lies in a folder comes before it.
    for (below, things) in placed.iter().rev() {
        if is_reached(scene, path, below)? {
            taking.one(&at(path, below)?, things)?;
        }
    }
    taking.list(path)?;
    let stays = matches!(record.before, Before::Directory { .. });
    if !stays && !root.remove_folder(path)? && taking.kept.is_empty() && taking.left.is_empty() {
        taking.left.push(format!("{path} is not empty"));
    }
    directory::sync_parent(scene, path)?;
    Ok(
        match (taking.kept.is_empty() && taking.left.is_empty(), unknown) {
            (false, _) => Undone::Partly {
                kept: taking.kept,
                left: taking.left,
            },
            (true, true) => Undone::Unknown,
            (true, false) => Undone::Gone,
        },
    )
}

/// Everything we ever placed below the tree, from every list that can be had; none where none can.
fn placed(
    scene: Scene<'_>,
    path: &HostPath,
    record: &Record,
    saved: &Saved<'_>,
) -> Result<Option<BTreeMap<String, Vec<Thing>>>, EffectError> {
    let mut placed: BTreeMap<String, Vec<Thing>> = BTreeMap::new();
    let mut is_known = false;
    for digest in record.trees().flat_map(|tree| &tree.wrote) {
        let listing = match saved_list(path, saved, *digest)? {
            Some(listing) => Some(listing),
            None => read_list(&scene.host.root, path, *digest)?,
        };
        is_known |= listing.is_some();
        for (below, thing) in listing.unwrap_or_default().0 {
            placed.entry(below).or_default().push(thing);
        }
    }
    Ok(is_known.then_some(placed))
}

fn saved_list(path: &HostPath, saved: &Saved<'_>, digest: Digest) -> Result<Option<Listing>, EffectError> {
    let Some(file) = saved.open(digest)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(LONGEST_LIST)
        .read_to_end(&mut bytes)
        .map_err(|source| FsError {
            doing: "read the list of",
            path: path.clone(),
            source,
        })?;
    Ok(Listing::parse(&bytes))
}

/// Whether every folder on the way to `below` is a real one: behind a link lies what is not ours.
fn is_reached(scene: Scene<'_>, path: &HostPath, below: &str) -> Result<bool, EffectError> {
    for (end, _) in below.match_indices('/') {
        let folder = at(path, &below[..end])?;
        if !matches!(scene.host.root.entry(&folder)?, Entry::Directory(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Taking<'a> {
    scene: Scene<'a>,
    record: &'a Record,
    kept: Vec<HostPath>,
    left: Vec<String>,
}

impl Taking<'_> {
    fn one(&mut self, path: &HostPath, things: &[Thing]) -> Result<(), EffectError> {
        let root = &self.scene.host.root;
        let is_folder = |thing: &Thing| *thing == Thing::Folder;
        if !things.iter().all(is_folder) {
            root.remove_leftover(path)?;
        }
        match root.entry(path)? {
            Entry::Absent => {}
            Entry::Directory(_) if things.iter().any(is_folder) => {
                root.remove_folder(path)?;
            }
            Entry::File(_) => {
                let found = root.digest(path)?;
                let is_ours =
                    |thing: &Thing| matches!(thing, Thing::File { digest, .. } if found == Some(*digest));
                self.take(path, things.iter().any(is_ours))?;
            }
            Entry::Symlink(found) => {
                let is_ours = |thing: &Thing| matches!(thing, Thing::Link { target } if *target == found);
                self.take(path, things.iter().any(is_ours))?;
            }
            other => self.left.push(format!("{path} is {} now", other.name())),
        }
        Ok(())
    }

    fn take(&mut self, path: &HostPath, is_ours: bool) -> Result<(), EffectError> {
        if is_ours {
            self.scene.host.root.remove(path)?;
        } else if self.record.done {
            self.kept.push(place::set_aside(self.scene, path)?);
        } else {
            // A run that was cut off may never have written here: then nothing of ours was edited.
            self.left
                .push(format!("{path} is neither ours nor as it was before"));
        }
        Ok(())
    }

    /// The list goes last: a run that is cut off here needs it.
    fn list(&mut self, tree: &HostPath) -> Result<(), EffectError> {
        let root = &self.scene.host.root;
        let path = tree.below(LIST);
        root.remove_leftover(&path)?;
        match root.entry(&path)? {
            Entry::Absent => Ok(()),
            Entry::File(_) => {
                let found = root.digest(&path)?;
                let mut wrote = self.record.trees().flat_map(|tree| &tree.wrote);
                let is_ours = wrote.any(|digest| found == Some(*digest));
                self.take(&path, is_ours)
            }
            Entry::Symlink(_) => self.take(&path, false),
            other => {
                self.left.push(format!("{path} is {} now", other.name()));
                Ok(())
            }
        }
    }
}
