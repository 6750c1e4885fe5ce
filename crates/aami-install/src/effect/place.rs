//! Places where a file or link stands, or did: what is there now, keeping an edit of it, putting back
//! what was there before.

use super::directory::sync_parent;
use super::{EffectError, Scene};
use crate::path::HostPath;
use crate::receipt::{Before, Record};
use crate::root::{Attributes, Entry};
use crate::saved::Saved;
use crate::undo::Undone;

/// What stands at `path`: nothing, a file or a link; the name of anything else.
pub(super) fn found(scene: Scene<'_>, path: &HostPath) -> Result<Result<Before, &'static str>, EffectError> {
    Ok(match scene.host.root.entry(path)? {
        Entry::Absent => Ok(Before::Absent),
        Entry::Symlink(target) => Ok(Before::Symlink { target }),
        // It may be gone between the look and the reading.
        Entry::File(meta) => Ok(scene
            .host
            .root
            .digest(path)?
            .map_or(Before::Absent, |saved| Before::File {
                saved,
                mode: meta.mode,
                uid: meta.uid,
                gid: meta.gid,
            })),
        other => Err(other.name()),
    })
}

/// Takes a file or link back. One that was changed since is put beside as `.aami-kept`.
pub(super) fn undo(
    scene: Scene<'_>,
    path: &HostPath,
    record: &Record,
    saved: &Saved<'_>,
) -> Result<Undone, EffectError> {
    let root = &scene.host.root;
    root.remove_leftover(path)?;
    let before = &record.before;
    let unknown = matches!(before, Before::Unknown | Before::Shared { .. });
    let mut kept = None;
    match found(scene, path)? {
        Err(other) => return Ok(Undone::Left(format!("{path} is {other} now"))),
        Ok(Before::Absent) if unknown => return Ok(Undone::Gone),
        Ok(Before::Absent) => {}
        Ok(now) if now == *before => return Ok(Undone::Restored),
        Ok(now) if !record.is_foreign(&now) => {}
        Ok(_) if unknown => {
            let why = "was changed, and what stood there before is not known";
            return Ok(Undone::Left(format!("{path} {why}")));
        }
        // A run that was cut off may never have written here: then nothing of ours was edited.
        Ok(_) if !record.done => {
            return Ok(Undone::Left(format!(
                "{path} is neither ours nor as it was before"
            )));
        }
        Ok(_) => kept = Some(set_aside(scene, path)?),
    }
    restore(scene, path, before, saved)?;
    if path
        .parent()
        .is_some_and(|folder| root.entry(&folder).is_ok_and(|entry| entry != Entry::Absent))
    {
        sync_parent(scene, path)?;
    }
    Ok(match (kept, before) {
        (Some(kept), _) => Undone::Kept(kept),
        (None, Before::File { .. } | Before::Symlink { .. }) => Undone::Restored,
        (None, _) if unknown => Undone::Unknown,
        (None, _) => Undone::Gone,
    })
}

fn restore(scene: Scene<'_>, path: &HostPath, before: &Before, saved: &Saved<'_>) -> Result<(), EffectError> {
    let root = &scene.host.root;
    match before {
        Before::File {
            saved: digest,
            mode,
            uid,
            gid,
        } => {
            let lost = || EffectError::OriginalLost {
                path: path.clone(),
                saved: *digest,
            };
            let mut original = saved.open(*digest)?.ok_or_else(lost)?;
            let attributes = Attributes {
                mode: *mode,
                owner: Some((*uid, *gid)),
            };
            root.replace(path, &mut original, attributes, true)?;
        }
        Before::Symlink { target } => root.link(path, target)?,
        _ => root.remove(path)?,
    }
    Ok(())
}

/// Gives what stands at `path` the first free of `.aami-kept`, `.aami-kept.2`, ...
pub(super) fn set_aside(scene: Scene<'_>, path: &HostPath) -> Result<HostPath, EffectError> {
    for kept in kept_names(path) {
        if scene.host.root.set_aside(path, &kept)? {
            return Ok(kept);
        }
    }
    Err(no_room(path))
}

/// Whether what stands at `path` is the mask of a unit (`systemctl mask`): nothing anybody wrote.
pub(crate) fn is_mask(scene: Scene<'_>, path: &HostPath) -> Result<bool, EffectError> {
    let is_null = matches!(scene.host.root.entry(path)?, Entry::Symlink(target) if target == "/dev/null");
    Ok(is_null && super::unit::is_unit_file(path))
}

/// Copies what stands at `path` to the first of `.aami-kept`, `.aami-kept.2`, ... that is free, or
/// holds the same already. A copy, so that the file is never missing.
pub(crate) fn keep_copy(scene: Scene<'_>, path: &HostPath) -> Result<HostPath, EffectError> {
    let root = &scene.host.root;
    let current = root.entry(path)?;
    for kept in kept_names(path) {
        match (&current, root.entry(&kept)?) {
            (Entry::File(meta), Entry::Absent) => {
                let attributes = Attributes {
                    mode: meta.mode,
                    owner: Some((meta.uid, meta.gid)),
                };
                if let Some(mut file) = root.open_file(path)? {
                    root.replace(&kept, &mut file, attributes, true)?;
                }
                return Ok(kept);
            }
            (Entry::Symlink(target), Entry::Absent) => {
                root.link(&kept, target)?;
                return Ok(kept);
            }
            (Entry::Symlink(target), Entry::Symlink(there)) if *target == there => return Ok(kept),
            (Entry::File(_), Entry::File(_)) if root.digest(path)? == root.digest(&kept)? => return Ok(kept),
            (Entry::File(_) | Entry::Symlink(_), _) => {}
            (found, _) => {
                let (path, found) = (path.clone(), found.name());
                return Err(EffectError::InTheWay {
                    path,
                    found,
                    wanted: "a file",
                });
            }
        }
    }
    Err(no_room(path))
}

fn kept_names(path: &HostPath) -> impl Iterator<Item = HostPath> {
    (1..1000u32).map(move |n| {
        let suffix = if n == 1 {
            ".aami-kept".to_owned()
        } else {
            format!(".aami-kept.{n}")
        };
        path.beside("", &suffix)
    })
}

fn no_room(path: &HostPath) -> EffectError {
    let (path, found) = (path.clone(), "kept 999 times");
    EffectError::InTheWay {
        path,
        found,
        wanted: "a free name beside it",
    }
}
