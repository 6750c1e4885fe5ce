//! The receipt: what was done to this host, with all that taking it back needs.
//!
//! One JSON document per plan, version 1 to 3, replaced whole and durably *before* the effects it names
//! happen. So a record means "this may have happened"; whether it has is seen on the host.

mod rebuild;
mod record;
mod store;
mod succession;

use aami_model::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use rebuild::rebuilt;
pub use record::{Before, PlacedTree, Record, Recorded, WrittenFile};
pub use store::ReceiptError;
pub(crate) use store::{load, others, remove, set_aside, store};

use crate::effect::{ContainerProject, Effect, Key, UnitState};

/// The newest version this program writes; it reads this one and every older one. A receipt is written
/// with the oldest version that has all its kinds of effects, so that an older program can still undo
/// what it knows whole:
///
/// 1. files, folders, links, accounts, units, registrations, what cannot be undone;
/// 2. packages, firewall rules, compose projects;
/// 3. trees.
pub(crate) const VERSION: u32 = 3;

/// What was done to a host by one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// 1, 2 or 3.
    pub version: u32,
    /// The plan.
    pub plan: String,
    /// The cluster the host was made part of.
    pub cluster: String,
    /// When the first effect was due.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// Whether it was put together from what stood on the host, because the original was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuilt: bool,
    /// In the order they were first done; undoing goes backwards.
    pub effects: Vec<Record>,
}

impl Receipt {
    pub(crate) fn new(plan: &crate::tracking::PlanId, now: Timestamp) -> Self {
        Self {
            version: 1,
            plan: plan.plan.clone(),
            cluster: plan.cluster.clone(),
            created_at: now,
            updated_at: now,
            rebuilt: false,
            effects: Vec::new(),
        }
    }

    /// The oldest version that has all of it.
    pub(crate) fn least_version(&self) -> u32 {
        let since = |effect: &Recorded| match effect {
            Recorded::PlaceTree(_) => 3,
            Recorded::PackageSet { .. }
            | Recorded::FirewallRule { .. }
            | Recorded::ContainerProject { .. } => 2,
            Recorded::MakeDirectory { .. }
            | Recorded::WriteFile(_)
            | Recorded::PlaceBinary(_)
            | Recorded::Symlink { .. }
            | Recorded::CreateGroup { .. }
            | Recorded::CreateUser { .. }
            | Recorded::GroupMembership { .. }
            | Recorded::UnitState { .. }
            | Recorded::Registration { .. }
            | Recorded::Irreversible { .. } => 1,
        };
        self.effects
            .iter()
            .flat_map(Record::all)
            .map(since)
            .max()
            .unwrap_or(1)
    }

    /// The record of the thing `key` names.
    pub fn find(&self, key: &Key) -> Option<&Record> {
        self.effects.iter().find(|record| record.effect.key() == *key)
    }

    /// Whether this plan installed packages that `effect` of another plan is about as well.
    pub(crate) fn brought(&self, effect: &Effect) -> bool {
        let Effect::PackageSet(set) = effect else {
            return false;
        };
        self.effects.iter().any(|record| {
            matches!(&record.effect, Recorded::PackageSet { added, .. }
                if added.iter().any(|package| set.packages.contains(package)))
        })
    }

    pub(crate) fn find_mut(&mut self, key: &Key) -> Option<&mut Record> {
        self.effects.iter_mut().find(|record| record.effect.key() == *key)
    }

    /// What runs with a file that `effect` is about to write again may have been started with what stands there now:
    /// it counts as started with nothing known, so that it is started again, in this run or after a crash in the next.
    pub(crate) fn forget_starts(&mut self, effect: &Effect) {
        for record in &mut self.effects {
            record.effect.forget_start(|input| effect.changes(input));
        }
    }

    /// Whether an earlier version wrote it, which did not note the files that units and containers run with.
    pub(crate) fn lacks_inputs(&self) -> bool {
        self.effects.iter().any(|record| record.effect.lacks_inputs())
    }

    /// Notes the files that units and containers run with, as the plan says, where it was not noted when they began to.
    pub(crate) fn learn_inputs(&mut self, desired: impl IntoIterator<Item = Effect>) {
        for effect in desired {
            let key = effect.key();
            let (Effect::UnitState(UnitState { inputs: wanted, .. })
            | Effect::ContainerProject(ContainerProject { inputs: wanted, .. })) = effect
            else {
                continue;
            };
            let record = self.find_mut(&key).map(|record| &mut record.effect);
            if let Some(Recorded::UnitState { inputs, .. } | Recorded::ContainerProject { inputs, .. }) =
                record.filter(|record| record.lacks_inputs())
            {
                *inputs = wanted;
            }
        }
    }

    /// Records an effect. What was there before the *first* touch stays, whatever comes later.
    pub(crate) fn put(&mut self, step: &str, at: Timestamp, effect: Recorded, before: Before) {
        let key = effect.key();
        match self.find_mut(&key) {
            Some(known) => {
                known.supersede(effect);
                step.clone_into(&mut known.step);
                known.at = at;
                known.done = false;
            }
            None => {
                let (step, earlier) = (step.to_owned(), Vec::new());
                self.effects.push(Record {
                    step,
                    at,
                    done: false,
                    effect,
                    before,
                    earlier,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::succession::REMEMBERED;
    use super::*;
    use crate::digest::Digest;
    use crate::path::HostPath;

    fn written(content: &[u8]) -> Recorded {
        Recorded::WriteFile(WrittenFile {
            path: HostPath::new("/etc/x").unwrap(),
            mode: 0o644,
            owner: None,
            wrote: vec![Digest::of(content)],
            origin: None,
            changes_in_use: false,
        })
    }

    #[test]
    fn the_first_original_stays_however_often_a_file_is_written() {
        let mut receipt = Receipt {
            version: VERSION,
            plan: "node".into(),
            cluster: "default".into(),
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
            rebuilt: false,
            effects: Vec::new(),
        };
        let original = Before::File {
            saved: Digest::of(b"old"),
            mode: 0o600,
            uid: 0,
            gid: 0,
        };
        receipt.put("a", Timestamp::EPOCH, written(b"1"), original.clone());
        for n in 2..40 {
            receipt.put(
                "a",
                Timestamp::EPOCH,
                written(n.to_string().as_bytes()),
                Before::Absent,
            );
        }
        let [record] = receipt.effects.as_slice() else {
            panic!("one thing, one record")
        };
        assert_eq!(record.before, original);
        let Recorded::WriteFile(file) = &record.effect else {
            panic!("a file")
        };
        assert_eq!(file.wrote.len(), REMEMBERED);
        assert_eq!(file.wrote.last(), Some(&Digest::of(b"39")));
    }
}
