//! Making a tree that is there what it should be, thing by thing: what is right is not touched, what
//! somebody changed is kept beside, what others put there stays.

use std::collections::BTreeSet;

use super::fill::{self, Making};
use super::list::{LIST, Listing, Thing};
use super::stand::{self, Wrong};
use super::{FOLDER, PlaceTree, at, list_of, read_list};
use crate::digest::Digest;
use crate::effect::{EffectError, Scene, place};
use crate::path::HostPath;
use crate::root::Entry;
use crate::step::{StepError, Voice};

/// Mends the tree. Its list is written last, so that a run that was cut off knows what it found.
pub(super) fn mend(
    from: &Making<'_>,
    scene: Scene<'_>,
    tree: &PlaceTree,
    voice: &Voice<'_>,
) -> Result<(), StepError> {
    let mending = Mending {
        from,
        scene,
        tree: &tree.path,
        voice,
        found: found(scene, &tree.path)?,
    };
    let listing = match from.unpacked {
        Some(unpacked) => unpacked.listing.as_ref(),
        None => &mending.found,
    };
    let root = from.root;
    // What an earlier archive had makes room first.
    mending.sweep(listing)?;
    let mut files = BTreeSet::new();
    for wrong in stand::compare(scene, &tree.path, listing, tree.owner.as_ref())? {
        voice.check()?;
        mending.one(&wrong, listing, &mut files)?;
    }
    if !files.is_empty() {
        fill::unpack(from, &tree.path, Some(&files), voice)?;
    }
    if let Some(unpacked) = from.unpacked
        && list_of(root, &tree.path).map_err(EffectError::from)? != Some(Digest::of(&unpacked.text))
    {
        mending.keep(&tree.path.below(LIST), None)?;
        from.write_list(&tree.path)?;
    }
    root.sync_tree(&tree.path).map_err(EffectError::from)?;
    Ok(())
}

/// The list that lies in the tree, where it is one of ours.
fn found(scene: Scene<'_>, tree: &HostPath) -> Result<Listing, EffectError> {
    let root = &scene.host.root;
    let wrote = scene.record.into_iter().flat_map(|record| record.trees());
    for digest in wrote.flat_map(|tree| &tree.wrote) {
        if let Some(listing) = read_list(root, tree, *digest)? {
            return Ok(listing);
        }
    }
    Ok(Listing::default())
}

struct Mending<'a> {
    from: &'a Making<'a>,
    scene: Scene<'a>,
    tree: &'a HostPath,
    voice: &'a Voice<'a>,
    /// What was placed before, as far as it is known.
    found: Listing,
}

impl Mending<'_> {
    /// Mends one thing; of a file that only the archive has, notes that it is to be unpacked.
    fn one(&self, wrong: &Wrong, listing: &Listing, files: &mut BTreeSet<String>) -> Result<(), EffectError> {
        let root = self.from.root;
        if wrong.path.is_empty() {
            return Ok(root.make_folder(self.tree, self.from.attributes(FOLDER))?);
        }
        let path = at(self.tree, &wrong.path)?;
        let thing = if wrong.path == LIST {
            None
        } else {
            listing.0.get(&wrong.path)
        };
        if wrong.is_other {
            self.keep(&path, thing)?;
        }
        match thing {
            Some(thing @ Thing::Folder) => root.make_folder(&path, self.from.attributes(thing.mode()))?,
            Some(Thing::Link { target }) => root.link(&path, target)?,
            Some(Thing::File { .. }) if wrong.content => {
                files.insert(wrong.path.clone());
            }
            // Right but for its mode or owner: the same bytes once more.
            thing => {
                let mode = thing.map_or(super::LIST_MODE, Thing::mode);
                if let Some(mut file) = root.open_file(&path)? {
                    root.replace(&path, &mut file, self.from.attributes(mode), false)?;
                }
            }
        }
        Ok(())
    }

    /// Keeps what stands at `path` beside it, unless it is nothing, or ours from before.
    fn keep(&self, path: &HostPath, wanted: Option<&Thing>) -> Result<(), EffectError> {
        let root = self.from.root;
        let entry = root.entry(path)?;
        let below = path.as_str().strip_prefix(self.tree.as_str());
        let was = below.and_then(|below| self.found.0.get(below.trim_start_matches('/')));
        let is_ours = match (&entry, was) {
            (Entry::Absent, _) => true,
            (Entry::Directory(_), Some(Thing::Folder)) => true,
            (Entry::File(_), Some(Thing::File { digest, .. })) => root.digest(path)? == Some(*digest),
            (Entry::Symlink(target), Some(Thing::Link { target: was })) => target == was,
            // A list of ours; which, the records say.
            (Entry::File(_), None) if path.name() == LIST => {
                let digest = root.digest(path)?;
                let mut trees = self.scene.record.into_iter().flat_map(|record| record.trees());
                trees.any(|tree| digest.is_some_and(|digest| tree.wrote.contains(&digest)))
            }
            _ => false,
        };
        let wants_folder = wanted == Some(&Thing::Folder);
        if is_ours {
            return match entry {
                // What was ours and becomes something else makes room.
                Entry::Directory(_) if !wants_folder && !root.remove_folder(path)? => {
                    Err(self.in_the_way(path, &entry))
                }
                Entry::File(_) | Entry::Symlink(_) if wants_folder => Ok(root.remove(path)?),
                _ => Ok(()),
            };
        }
        let kept = match &entry {
            Entry::File(_) | Entry::Symlink(_) if wants_folder => place::set_aside(self.scene, path)?,
            Entry::File(_) | Entry::Symlink(_) => place::keep_copy(self.scene, path)?,
            _ => return Err(self.in_the_way(path, &entry)),
        };
        self.voice
            .warn(format!("{path} had been edited; the edit is kept as {kept}"));
        Ok(())
    }

    fn in_the_way(&self, path: &HostPath, entry: &Entry) -> EffectError {
        EffectError::InTheWay {
            path: path.clone(),
            found: entry.name(),
            wanted: "a thing of AAMI's own",
        }
    }

    /// Removes what an earlier archive had and this one has not, where it is as it was placed.
    fn sweep(&self, listing: &Listing) -> Result<(), EffectError> {
        let root = self.from.root;
        let gone = self
            .found
            .0
            .iter()
            .rev()
            .filter(|(path, _)| !listing.0.contains_key(*path));
        for (path, thing) in gone {
            let place = at(self.tree, path)?;
            match (thing, root.entry(&place)?) {
                (Thing::File { digest, .. }, Entry::File(_)) if root.digest(&place)? == Some(*digest) => {
                    root.remove(&place)?;
                }
                (Thing::Link { target }, Entry::Symlink(found)) if *target == found => root.remove(&place)?,
                (Thing::Folder, Entry::Directory(_)) => {
                    root.remove_folder(&place)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
