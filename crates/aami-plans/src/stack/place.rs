//! Folders, users and owners, as the steps ask for them.

use aami_install::{Effect, Host, HostPath, Owner, StepError};

use super::part::Part;
use super::wishes::Wishes;

/// The mode of the folder of secrets: others may pass it, and not list it.
pub(crate) const SECRETS: u32 = 0o711;

/// The owner of what only a part reads and writes.
pub(crate) fn owner(part: Part) -> Owner {
    Owner::new(part.user(), part.user())
}

/// The owner of what root writes and a part reads.
pub(crate) fn reader(part: Part) -> Owner {
    Owner::new("root", part.user())
}

/// The owner of the folder that targets are written to: whoever writes them.
pub(crate) fn targets_owner(wishes: &Wishes) -> Owner {
    if wishes.control_plane {
        owner(Part::ControlPlane)
    } else {
        Owner::root()
    }
}

/// A folder of root's that everybody may look into.
pub(crate) fn folder(path: &HostPath) -> Effect {
    Effect::directory(path.clone(), 0o755, Some(Owner::root()))
}

/// The same, but one that is there keeps the mode and owner it has: for folders that people name.
pub(crate) fn ground(path: &HostPath) -> Effect {
    Effect::directory_where_absent(path.clone(), 0o755, Some(Owner::root()))
}

/// The user of a part and its group.
pub(crate) fn account(part: Part) -> Result<[Effect; 2], StepError> {
    crate::place::account(part.user())
}

/// The folders above `path` that are not there. Those that are keep the mode they have.
pub(crate) fn missing_parents(host: &Host, path: &HostPath) -> Result<Vec<Effect>, StepError> {
    let missing = crate::place::missing_parents(host, path)?;
    Ok(missing.iter().map(folder).collect())
}
