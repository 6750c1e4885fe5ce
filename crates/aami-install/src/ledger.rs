//! The memory of a plan on disk while a run is at work: receipt and state, and the rule that a
//! record is durable before what it records.
//!
//! Nothing is written before the first effect is due ([`Ledger::record`]); until then the ledger is
//! only read.

use aami_model::Timestamp;
use aami_model::run::StepStatus;

use crate::checkpoint::Act;
use crate::digest::Digest;
use crate::effect::{Due, Effect, EffectError, Key};
use crate::host::Host;
use crate::receipt::{self, Before, Receipt, Record, Recorded};
use crate::root::{Entry, FsError};
use crate::saved::Saved;
use crate::state::{State, StepState};
use crate::tracking::{Folder, PlanId, Tracking};

/// One effect to be recorded.
pub(crate) struct Entering<'a> {
    pub(crate) effect: &'a Effect,
    /// `None` where it holds and only our share in it is recorded.
    pub(crate) due: Option<&'a Due>,
    /// What its record says.
    pub(crate) recorded: Recorded,
    /// What undoing it will go by, and its digest.
    pub(crate) list: Option<(&'a [u8], Digest)>,
}

pub(crate) struct Ledger {
    tracking: Tracking,
    folder: Folder,
    receipt: Receipt,
    /// Whether the receipt exists on disk.
    stored: bool,
    /// Whether the receipt in memory knows more than the one on disk.
    ahead: bool,
    others: Vec<(PlanId, Receipt)>,
    state: State,
    /// Whether this run has begun to write; then every change of state is written.
    open: bool,
    /// What the state file says, where there is one.
    on_disk: Option<State>,
    /// Whether a step has ended of which the state file does not know yet.
    behind: bool,
}

impl Ledger {
    /// `receipt` is the one on disk (`stored`), or one to begin with.
    pub(crate) fn new(
        host: &Host,
        tracking: Tracking,
        id: &PlanId,
        (receipt, stored): (Receipt, bool),
        others: Vec<(PlanId, Receipt)>,
        steps: &[&str],
    ) -> Self {
        let folder = tracking.folder(id);
        let on_disk = State::load(&host.root, &folder);
        let state = on_disk
            .clone()
            .unwrap_or_else(|| State::new(&id.cluster, host.clock.now(), []));
        let state = state.for_steps(steps.iter().copied());
        Self {
            tracking,
            folder,
            receipt,
            stored,
            ahead: false,
            others,
            state,
            open: false,
            on_disk,
            behind: false,
        }
    }

    pub(crate) const fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(crate) const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// Whether no receipt is on disk.
    pub(crate) const fn is_empty(&self) -> bool {
        !self.stored
    }

    /// Whether an earlier run left its state.
    pub(crate) const fn has_state(&self) -> bool {
        self.on_disk.is_some()
    }

    /// Whether the receipt was rebuilt in this run and is not on disk yet.
    pub(crate) const fn is_rebuilt_and_unstored(&self) -> bool {
        !self.stored && self.receipt.rebuilt
    }

    /// Begins with this receipt, as there is none on disk.
    pub(crate) fn begin_with(&mut self, receipt: Receipt) {
        self.receipt = receipt;
    }

    /// What an earlier version did not write into the receipt, as far as the plan tells it. On disk with what is recorded
    /// next: only that goes by it.
    pub(crate) fn learn(&mut self, desired: impl IntoIterator<Item = Effect>) {
        self.receipt.learn_inputs(desired);
    }

    pub(crate) fn into_parts(self) -> (Receipt, Vec<(PlanId, Receipt)>) {
        (self.receipt, self.others)
    }

    /// Our record of the thing, else another plan's.
    pub(crate) fn find(&self, key: &Key) -> Option<&Record> {
        self.receipt
            .find(key)
            .or_else(|| self.others.iter().find_map(|(_, other)| other.find(key)))
    }

    /// Another plan that names the thing.
    pub(crate) fn sharer(&self, key: &Key) -> Option<&PlanId> {
        self.others
            .iter()
            .find(|(_, other)| other.find(key).is_some())
            .map(|(id, _)| id)
    }

    /// Whether another plan made the thing, and our share in it is not recorded yet.
    pub(crate) fn unclaimed(&self, effect: &Effect) -> bool {
        let key = effect.key();
        self.receipt.find(&key).is_none()
            && (self.sharer(&key).is_some() || self.others.iter().any(|(_, other)| other.brought(effect)))
    }

    /// Makes the folder and the first receipt, once. For what is written before anything is recorded.
    pub(crate) fn open(&mut self, host: &Host) -> Result<(), FsError> {
        if self.open {
            return Ok(());
        }
        self.tracking.make(&host.root, &self.folder)?;
        if !self.stored {
            receipt::store(&host.root, &self.folder, &self.receipt)?;
            self.stored = true;
        }
        self.open = true;
        self.write_state(host);
        Ok(())
    }

    /// Records effects, durably, before they happen: originals first, then the receipt that names
    /// them. At most four syncs: saved bytes and their folder, the receipt and its folder.
    pub(crate) fn record(
        &mut self,
        host: &Host,
        step: &str,
        entering: &[Entering<'_>],
    ) -> Result<(), EffectError> {
        if !self.open {
            // The first receipt is the one that names these: an empty one before it would tell nothing.
            self.tracking.make(&host.root, &self.folder)?;
        }
        let now = host.clock.now();
        let mut receipt = self.receipt.clone();
        let mut saved_any = false;
        for Entering {
            effect,
            due,
            recorded,
            list,
        } in entering
        {
            if let Some((list, digest)) = list {
                Saved::new(&host.root, self.folder.saved()).keep(list, *digest)?;
                saved_any = true;
            }
            let key = effect.key();
            let shared = self.sharer(&key).map(|by| Before::Shared { by: by.to_string() });
            let before = shared.unwrap_or_else(|| due.map_or(Before::Unknown, |due| due.before.clone()));
            if let (Before::File { saved, .. }, None) = (&before, receipt.find(&key)) {
                saved_any |= self.save(host, effect, *saved)?;
            }
            if due.is_some_and(|due| !due.content) {
                receipt.forget_starts(effect);
            }
            receipt.put(step, now, recorded.clone(), before);
            if due.is_none()
                && let Some(record) = receipt.find_mut(&key)
            {
                record.done = true;
            }
        }
        if saved_any {
            Saved::new(&host.root, self.folder.saved()).sync()?;
        }
        receipt.updated_at = now;
        let cut = |source| EffectError::Cut {
            what: "record the next effects".into(),
            source,
        };
        host.root.checkpoint(Act::Record, step).map_err(cut)?;
        receipt::store(&host.root, &self.folder, &receipt)?;
        self.receipt = receipt;
        self.stored = true;
        self.ahead = false;
        if !self.open {
            self.open = true;
            // Not before the receipt: a state without one reads like an installation whose receipt is lost.
            self.write_state(host);
        }
        Ok(())
    }

    fn save(&self, host: &Host, effect: &Effect, digest: Digest) -> Result<bool, EffectError> {
        let path = match effect {
            Effect::WriteFile(file) | Effect::PlaceBinary(file) => &file.path,
            Effect::Symlink(link) => &link.path,
            _ => return Ok(false),
        };
        if Saved::new(&host.root, self.folder.saved()).save(path, digest)? {
            return Ok(true);
        }
        Err(EffectError::Restless { path: path.clone() })
    }

    /// Notes that an effect happened. In memory: the receipt on disk follows with the next record or
    /// at the end, and that it did not follow does no harm.
    pub(crate) fn done(&mut self, key: &Key, note: impl FnOnce(&mut Recorded)) {
        if let Some(record) = self.receipt.find_mut(key) {
            record.done = true;
            note(&mut record.effect);
            self.ahead = true;
        }
    }

    /// Notes that an effect recorded by a run that was cut off has happened after all.
    pub(crate) fn confirm(&mut self, key: &Key) {
        if self.receipt.find(key).is_some_and(|record| !record.done) {
            self.done(key, |_| {});
        }
    }

    /// Brings the receipt on disk up to what is known.
    pub(crate) fn settle(&mut self, host: &Host) -> Result<(), FsError> {
        if self.ahead && self.open {
            self.receipt.updated_at = host.clock.now();
            receipt::store(&host.root, &self.folder, &self.receipt)?;
            self.ahead = false;
        }
        Ok(())
    }

    /// How often the step was begun.
    pub(crate) fn attempts(&self, step: &str) -> u32 {
        self.state.steps.get(step).map_or(0, |state| state.attempts)
    }

    /// Notes how a step stands now.
    ///
    /// That one has ended well is written with whatever is written next, or by [`catch_up`](Self::catch_up): between
    /// two steps that follow each other at once one writing is enough. Who is killed in between finds the step in
    /// progress, which is looked at again anyway.
    pub(crate) fn note(&mut self, host: &Host, step: &str, change: impl FnOnce(&mut StepState, Timestamp)) {
        let now = host.clock.now();
        change(self.state.steps.get_mut(step), now);
        self.state.updated_at = now;
        let status = |state: &State| state.steps.get(step).map(|state| state.status);
        // Before the first effect only a verdict that contradicts the file is worth a write, or a failure:
        // why, and how often it was tried, is news.
        let now = status(&self.state);
        let failed = now == Some(StepStatus::Failed);
        let verdict = failed || now == Some(StepStatus::Completed);
        let stale = self
            .on_disk
            .as_ref()
            .is_some_and(|disk| verdict && (failed || status(disk) != now));
        if self.open && now == Some(StepStatus::Completed) {
            self.behind = true;
        } else if self.open || stale {
            self.write_state(host);
        }
    }

    /// Writes what the state file does not know yet: before a wait, and when nothing is left to begin.
    pub(crate) fn catch_up(&mut self, host: &Host) {
        if self.behind {
            self.write_state(host);
        }
    }

    /// The state file is a projection: that it cannot be written stops nothing.
    fn write_state(&mut self, host: &Host) {
        self.behind = false;
        if host
            .root
            .entry(self.folder.path())
            .is_ok_and(|entry| matches!(entry, Entry::Directory(_)))
            && self.state.store(&host.root, &self.folder).is_ok()
        {
            self.on_disk = Some(self.state.clone());
        }
    }
}
