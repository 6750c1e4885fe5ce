//! Things two plans share: undoing one leaves them, and the other learns what it needs to take them
//! back itself one day.

use super::Undoing;
use crate::effect::{EffectError, Key, Scene, package};
use crate::receipt::{self, Before, Record, Recorded};
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

    /// Packages this plan added and another wants: the other takes them over, durably, and what is
    /// left of the record for us to remove is answered, with a word on what stays.
    pub(super) fn pass_on_packages(
        &mut self,
        key: &Key,
        record: &Record,
    ) -> Result<(Record, Option<String>), EffectError> {
        let mut rest = record.clone();
        let mut shared = Vec::new();
        let Recorded::PackageSet {
            added,
            packaging,
            had_configuration,
            ..
        } = &mut rest.effect
        else {
            return Ok((rest, None));
        };
        let scene = Scene {
            host: self.host,
            record: None,
        };
        for (id, other) in &mut self.others {
            let mut heir = other.clone();
            for theirs in &mut heir.effects {
                let Recorded::PackageSet { wanted, .. } = &theirs.effect else {
                    continue;
                };
                let (mut passed, kept): (Vec<_>, Vec<_>) =
                    added.drain(..).partition(|package| wanted.contains(package));
                *added = kept;
                if passed.is_empty() {
                    continue;
                }
                shared.extend(
                    passed
                        .iter()
                        .map(|package| format!("{key}: {package} is also {id}'s")),
                );
                if let Some(packaging) = *packaging {
                    // And what those need.
                    let needed = package::needed(scene, packaging, added)?;
                    added.retain(|package| !needed.contains(package));
                    passed.extend(needed);
                }
                theirs
                    .effect
                    .inherit_packages(*packaging, &passed, had_configuration);
            }
            if heir != *other {
                heir.updated_at = self.host.clock.now();
                receipt::store(&self.host.root, &self.tracking.folder(id), &heir)?;
                *other = heir;
            }
        }
        let shared = (!shared.is_empty()).then(|| shared.join("; "));
        Ok((rest, shared))
    }
}
