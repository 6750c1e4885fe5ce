//! Comparing a tree with its list.

use std::fmt;

use super::at;
use super::list::{LIST, Listing, Thing};
use crate::effect::{EffectError, Owner, Scene};
use crate::path::HostPath;
use crate::root::{Entry, Meta};

/// One thing of a tree that is not as it should be.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Its path below the tree; empty for the tree's own folder.
    pub(super) path: String,
    because: String,
    /// Whether what it is, or holds, is wrong, and not only its mode or owner.
    pub(super) is_other: bool,
    /// Whether bytes are missing that only the archive has.
    pub(super) content: bool,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.because)
        } else {
            write!(f, "{}: {}", self.path, self.because)
        }
    }
}

/// What of the tree at `tree` is not as `listing` says. No link on the way is followed: what lies behind
/// something that is no folder is missing.
pub(super) fn compare(
    scene: Scene<'_>,
    tree: &HostPath,
    listing: &Listing,
    owner: Option<&Owner>,
) -> Result<Vec<Wrong>, EffectError> {
    let owner = owner.map(|owner| owner.numbers(scene.host)).transpose()?;
    // Nobody of that name: nothing belongs to them.
    let belongs = |meta: &Meta| owner.is_none_or(|owner| owner == Some((meta.uid, meta.gid)));
    let access = |meta: &Meta, mode: u32| {
        let fits = meta.mode == mode && belongs(meta);
        (!fits).then(|| format!("mode {:04o}, owner {}:{}", meta.mode, meta.uid, meta.gid))
    };
    let root = &scene.host.root;
    let mut wrong = Vec::new();
    for (path, mode) in [("", super::FOLDER), (LIST, super::LIST_MODE)] {
        let place = if path.is_empty() {
            tree.clone()
        } else {
            tree.below(path)
        };
        if let Entry::Directory(meta) | Entry::File(meta) = root.entry(&place)?
            && let Some(because) = access(&meta, mode)
        {
            wrong.push(Wrong {
                path: path.to_owned(),
                because,
                is_other: false,
                content: false,
            });
        }
    }
    let mut lost: Option<String> = None;
    for (path, thing) in &listing.0 {
        let is_lost = lost.as_ref().is_some_and(|lost| {
            path.strip_prefix(lost.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        });
        let place = at(tree, path)?;
        let found = if is_lost {
            Entry::Absent
        } else {
            root.entry(&place)?
        };
        let (because, is_other) = match (thing, found) {
            (Thing::Folder, Entry::Directory(meta)) => (access(&meta, thing.mode()), false),
            (Thing::Link { target }, Entry::Symlink(found)) if *target == found => continue,
            (Thing::File { digest, .. }, Entry::File(meta)) => {
                if root.digest(&place)? == Some(*digest) {
                    (access(&meta, thing.mode()), false)
                } else {
                    (Some("holds something else".to_owned()), true)
                }
            }
            (_, Entry::Absent) => (Some("missing".to_owned()), true),
            (_, Entry::Symlink(target)) => (Some(format!("is a link to {target}")), true),
            (_, other) => (Some(format!("is {}", other.name())), true),
        };
        if *thing == Thing::Folder && is_other && !is_lost {
            lost = Some(path.clone());
        }
        if let Some(because) = because {
            wrong.push(Wrong {
                path: path.clone(),
                because,
                is_other,
                content: is_other && matches!(thing, Thing::File { .. }),
            });
        }
    }
    Ok(wrong)
}
