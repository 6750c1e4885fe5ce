//! Folders and users that any plan needs before its own things.

use aami_install::effect::{CreateGroup, CreateUser};
use aami_install::root::Entry;
use aami_install::{Effect, EffectError, Host, HostPath, StepError};
use aami_model::code;

/// A path that a plan names.
pub(crate) fn host_path(text: &str) -> Result<HostPath, StepError> {
    HostPath::new(text).map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
}

/// A system user of its own, with its group.
pub(crate) fn account(user: &str) -> Result<[Effect; 2], StepError> {
    let (home, shell) = (host_path("/nonexistent")?, host_path("/usr/sbin/nologin")?);
    Ok([
        Effect::CreateGroup(CreateGroup::system(user)),
        Effect::CreateUser(CreateUser::system(user, user, home, shell)),
    ])
}

/// The folders above `path` that are not there, each before what lies in it. Those that are keep the mode they have.
pub(crate) fn missing_parents(host: &Host, path: &HostPath) -> Result<Vec<HostPath>, StepError> {
    let mut missing = Vec::new();
    let mut next = path.parent();
    while let Some(parent) = next {
        if host.root.entry(&parent).map_err(EffectError::from)? != Entry::Absent {
            break;
        }
        next = parent.parent();
        missing.push(parent);
    }
    missing.reverse();
    Ok(missing)
}
