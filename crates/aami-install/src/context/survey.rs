//! Looking at a host with the plan's own memory at hand.

use super::Shared;
use crate::effect::{Effect, EffectError, Key, Scene, Standing};
use crate::host::Host;
use crate::path::HostPath;
use crate::receipt::Record;
use crate::step::{Probe, StepError};

/// What is known of the host and of this plan on it. Looks; never changes anything.
#[derive(Clone, Copy)]
pub struct Survey<'a> {
    shared: &'a Shared<'a>,
}

impl<'a> Survey<'a> {
    pub(crate) const fn new(shared: &'a Shared<'a>) -> Self {
        Self { shared }
    }

    /// The host.
    pub fn host(&self) -> &'a Host {
        self.shared.host
    }

    /// What this plan's receipt says about the thing `key` names, else another plan's.
    pub fn record(&self, key: &Key) -> Option<Record> {
        self.shared.ledger().find(key).cloned()
    }

    /// Whether all of `effects` hold, and if not, which does not and why.
    pub fn probe(&self, effects: &[Effect]) -> Result<Probe, StepError> {
        let effects: Vec<Effect> = effects
            .iter()
            .map(|effect| effect.sealed(&self.shared.signature))
            .collect();
        let standings = self.stand(&effects)?;
        let missing = effects
            .iter()
            .zip(&standings)
            .find_map(|(effect, standing)| match standing {
                Standing::Holds => None,
                Standing::Due(due) => Some(format!("{}: {}", effect.key(), due.because)),
            });
        Ok(missing.map_or(Probe::Holds, Probe::Missing))
    }

    /// Where each of `effects` (sealed) stands. A unit is due with any of its inputs.
    pub(crate) fn stand(&self, effects: &[Effect]) -> Result<Vec<Standing>, EffectError> {
        self.stand_after(&[], effects)
    }

    /// The same where `earlier` (sealed), of the steps before, are due as well.
    pub(crate) fn stand_after(
        &self,
        earlier: &[Effect],
        effects: &[Effect],
    ) -> Result<Vec<Standing>, EffectError> {
        let mut standings = Vec::with_capacity(effects.len());
        let mut due: Vec<&Effect> = earlier.iter().collect();
        for effect in effects {
            let key = effect.key();
            let record = self.record(&key);
            let scene = Scene {
                host: self.shared.host,
                record: record.as_ref(),
            };
            let mut standing = effect.inspect(scene)?;
            let changes = |files: &[HostPath]| {
                let is_changed = |file: &HostPath| due.iter().any(|due: &&Effect| due.changes(file));
                files.iter().any(is_changed)
            };
            standing = match (standing, effect) {
                (Standing::Holds, Effect::UnitState(unit)) if changes(&unit.inputs) => {
                    unit.due_with_its_inputs(scene)?
                }
                (Standing::Holds, Effect::ContainerProject(project)) if changes(&project.files()) => {
                    project.due_with_its_files(scene)?
                }
                // Due by what it reads: only for as long as that is to be mended.
                (Standing::Due(mut due), _) if due.follows => {
                    due.follows = match effect {
                        Effect::UnitState(unit) => changes(&unit.inputs),
                        Effect::ContainerProject(project) => changes(&project.files()),
                        _ => false,
                    };
                    Standing::Due(due)
                }
                (standing, _) => standing,
            };
            if matches!(standing, Standing::Due(_)) {
                due.push(effect);
            }
            standings.push(standing);
        }
        Ok(standings)
    }
}
