//! A folder with a mode and an owner. Taken back only when empty.

use super::owner::access;
use super::{EffectError, Owner, Scene, Standing};
use crate::path::HostPath;
use crate::receipt::{Before, Recorded};
use crate::root::{Attributes, Entry, Meta};
use crate::undo::Undone;

/// A folder. Its parent must exist.
#[derive(Debug, Clone)]
pub struct MakeDirectory {
    /// Where.
    pub path: HostPath,
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` leaves it to the process.
    pub owner: Option<Owner>,
    /// Whether a folder that was there before us keeps the mode and owner it has.
    pub keeps: bool,
}

impl MakeDirectory {
    pub(super) fn detail(&self) -> String {
        access(self.mode, self.owner.as_ref())
    }

    pub(super) fn record(&self) -> Recorded {
        Recorded::MakeDirectory {
            path: self.path.clone(),
            mode: self.mode,
            owner: self.owner.clone(),
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        match scene.host.root.entry(&self.path)? {
            Entry::Absent => Ok(Standing::due("missing", Before::Absent)),
            Entry::Directory(meta) if self.fits(scene, meta)? => Ok(Standing::Holds),
            Entry::Directory(_) if self.keeps && !is_made_by_us(scene) => Ok(Standing::Holds),
            Entry::Directory(meta) => {
                let because = format!("mode {:04o}, owner {}:{}", meta.mode, meta.uid, meta.gid);
                Ok(Standing::due(because, Before::directory(meta)))
            }
            // A site may keep the folder elsewhere; a link to a folder serves, and its target's
            // mode is the site's business.
            Entry::Symlink(_)
                if scene
                    .host
                    .root
                    .list(&self.path)
                    .is_ok_and(|found| found.is_some()) =>
            {
                Ok(Standing::Holds)
            }
            other => Err(EffectError::InTheWay {
                path: self.path.clone(),
                found: other.name(),
                wanted: "a folder",
            }),
        }
    }

    fn fits(&self, scene: Scene<'_>, meta: Meta) -> Result<bool, EffectError> {
        let owner = match &self.owner {
            None => true,
            Some(owner) => owner.numbers(scene.host)? == Some((meta.uid, meta.gid)),
        };
        Ok(owner && meta.mode == self.mode)
    }

    pub(super) fn apply(&self, scene: Scene<'_>) -> Result<(), EffectError> {
        let owner = Owner::resolve(self.owner.as_ref(), scene.host, &self.path)?;
        scene.host.root.make_folder(
            &self.path,
            Attributes {
                mode: self.mode,
                owner,
            },
        )?;
        Ok(())
    }
}

/// Whether the folder is there because this plan, or another of ours, made it.
fn is_made_by_us(scene: Scene<'_>) -> bool {
    scene
        .record
        .is_some_and(|record| matches!(record.before, Before::Absent | Before::Shared { .. }))
}

/// Takes a folder back: removes it when we made it and it is empty, else gives it its mode and
/// owner back where nobody changed them since.
pub(super) fn undo(
    scene: Scene<'_>,
    path: &HostPath,
    mode: u32,
    owner: Option<&Owner>,
    before: &Before,
) -> Result<Undone, EffectError> {
    let root = &scene.host.root;
    let meta = match root.entry(path)? {
        Entry::Absent => return Ok(Undone::Gone),
        Entry::Directory(meta) => meta,
        other => return Ok(Undone::Left(format!("{path} is {} now", other.name()))),
    };
    match before {
        Before::Absent => {
            if !root.remove_folder(path)? {
                return Ok(Undone::Left(format!("{path} is not empty")));
            }
            sync_parent(scene, path)?;
            Ok(Undone::Gone)
        }
        Before::Directory {
            mode: old_mode,
            uid,
            gid,
        } => {
            let numbers = owner
                .map(|owner| owner.numbers(scene.host))
                .transpose()?
                .flatten();
            let ours = meta.mode == mode && numbers.is_none_or(|numbers| numbers == (meta.uid, meta.gid));
            let already = meta.mode == *old_mode && (meta.uid, meta.gid) == (*uid, *gid);
            if already {
                return Ok(Undone::Restored);
            }
            if !ours {
                return Ok(Undone::Left(format!(
                    "{path} was given another mode or owner since"
                )));
            }
            root.make_folder(
                path,
                Attributes {
                    mode: *old_mode,
                    owner: Some((*uid, *gid)),
                },
            )?;
            Ok(Undone::Restored)
        }
        _ => Ok(Undone::Left(format!(
            "{path}: whether it was there before is not known"
        ))),
    }
}

pub(super) fn sync_parent(scene: Scene<'_>, path: &HostPath) -> Result<(), EffectError> {
    if let Some(parent) = path.parent() {
        scene.host.root.sync_folder(&parent)?;
    }
    Ok(())
}
