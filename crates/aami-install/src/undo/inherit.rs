//! Things two plans share: undoing one leaves them, and the other learns what it needs to take them
//! back itself one day.

use super::Undoing;
use crate::effect::{EffectError, Key};
use crate::receipt::{self, Before, Record};
use crate::saved::Saved;
use crate::tracking::Folder;

impl Undoing<'_> {
    /// Where another plan's receipt names the thing: hands it the original (where ours is the real
    /// one and the other's is not) and what we wrote, durably, and answers the other's name.
    pub(super) fn pass_on(
        &mut self,
        folder: &Folder,
        key: &Key,
        record: &Record,
    ) -> Result<Option<String>, EffectError> {
        let Some((id, other)) = self
            .others
            .iter_mut()
            .find(|(_, other)| other.find(key).is_some())
        else {
            return Ok(None);
        };
        let root = &self.host.root;
        let theirs = self.tracking.folder(id);
        let mut heir = other.clone();
        let Some(inherited) = heir.find_mut(key) else {
            return Ok(None);
        };
        if matches!(inherited.before, Before::Shared { .. })
            && !matches!(record.before, Before::Shared { .. })
        {
            if let Before::File { saved, .. } = record.before {
                let ours = Saved::new(root, folder.saved());
                let passed = ours.pass_on(saved, &Saved::new(root, theirs.saved()))?;
                if !passed && let Some(file) = record.file() {
                    return Err(EffectError::OriginalLost {
                        path: file.path.clone(),
                        saved,
                    });
                }
            }
            inherited.before = record.before.clone();
        }
        inherited.learn(record);
        if heir != *other {
            heir.updated_at = self.host.clock.now();
            receipt::store(root, &theirs, &heir)?;
            *other = heir;
        }
        Ok(Some(id.to_string()))
    }
}
