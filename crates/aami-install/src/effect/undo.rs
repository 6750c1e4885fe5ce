//! Taking one recorded effect back.

use std::io;

use aami_model::{Code, code};

use super::{
    EffectError, Scene, Unregister, account, directory, firewall, package, place, project, tree, unit,
};
use crate::path::HostPath;
use crate::receipt::{Before, Record, Recorded};
use crate::saved::Saved;
use crate::step::StepError;
use crate::undo::Undone;

/// Takes back what `record` says, after comparing with what stands on the host.
pub(crate) fn undo(
    scene: Scene<'_>,
    record: &Record,
    saved: &Saved<'_>,
    unregister: Option<&dyn Unregister>,
) -> Result<Undone, EffectError> {
    let before = &record.before;
    // Also where something else was recorded for its folder since: a tree goes as a tree.
    if let Some(tree) = record.trees().next() {
        return tree::undo(scene, &tree.path, record, saved);
    }
    match &record.effect {
        Recorded::MakeDirectory { path, mode, owner } => {
            directory::undo(scene, path, *mode, owner.as_ref(), before)
        }
        Recorded::WriteFile(file) | Recorded::PlaceBinary(file) => {
            let undone = place::undo(scene, &file.path, record, saved)?;
            reload_after(scene, &file.path)?;
            Ok(undone)
        }
        Recorded::PlaceTree(placed) => tree::undo(scene, &placed.path, record, saved),
        Recorded::Symlink { path, .. } => {
            let undone = place::undo(scene, path, record, saved)?;
            reload_after(scene, path)?;
            Ok(undone)
        }
        Recorded::CreateGroup { name } => account::undo_group(scene, name),
        Recorded::CreateUser { name, comment } => account::undo_user(scene, name, comment),
        Recorded::GroupMembership { user, group } => account::undo_membership(scene, user, group),
        Recorded::UnitState { unit, .. } => unit::undo(scene, unit, before),
        Recorded::PackageSet { .. } => package::undo(scene, &record.effect),
        Recorded::FirewallRule { .. } => firewall::undo(scene, record),
        Recorded::ContainerProject { .. } => project::undo(scene, &record.effect, before),
        Recorded::Registration {
            server,
            credential,
            node,
        } => {
            let Some(unregister) = unregister else {
                return Ok(Undone::Left(format!("the registration with {server} stands")));
            };
            match unregister.unregister(scene.host, server, node.as_deref(), credential) {
                Ok(()) => Ok(Undone::Gone),
                // As what it is registered was in the record that is lost, and nobody can tell, now or later: that stops
                // nothing.
                Err(StepError::Failed(failure))
                    if node.is_none() && matches!(before, Before::Unknown) && !may_pass(failure.code) =>
                {
                    Ok(Undone::Left(format!(
                        "the registration with {server} stands: {failure}"
                    )))
                }
                Err(StepError::Failed(failure)) => Err(EffectError::Called(failure)),
                Err(StepError::Effect(error)) => Err(error),
                Err(StepError::Interrupted) => Err(EffectError::Cut {
                    what: "unregister".into(),
                    source: io::ErrorKind::Interrupted.into(),
                }),
            }
        }
        Recorded::Irreversible { what, .. } => Ok(Undone::Left(format!("{what}: cannot be taken back"))),
    }
}

/// Whether a control plane that answered so, or not at all, may answer otherwise another time.
fn may_pass(code: Code) -> bool {
    !matches!(code.http, 400 | 401 | 403 | 404 | 422) && code != code::SERVER_NOT_TRUSTED
}

/// A service manager that still holds a unit whose file is gone shows a ghost.
fn reload_after(scene: Scene<'_>, path: &HostPath) -> Result<(), EffectError> {
    if unit::is_unit_file(path) {
        unit::reload(scene)
    } else {
        Ok(())
    }
}
