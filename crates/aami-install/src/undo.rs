//! Taking a plan back: an interpreter over the records of its receipt, last first. It never calls a
//! step, so it works for plans this program no longer knows.
//!
//! Each record is compared with what stands on the host before anything is done. What another plan's
//! receipt names stays, and that plan inherits the original. After each record the receipt is
//! written without it, so an undo that was cut off goes on where it stopped; what cannot be undone
//! stays in the receipt and is reported.

mod inherit;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aami_model::Code;
use aami_model::code;
use aami_model::run::{RunEventKind, RunStatus, StepOutcome, StepSummary};

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::effect::{EffectError, Key, Scene, Unregister, undo_one};
use crate::executor::textfile::Told;
use crate::host::Host;
use crate::path::HostPath;
use crate::receipt::{self, Before, Receipt, Record, Recorded};
use crate::root::FsError;
use crate::saved::Saved;
use crate::step::StepError;
use crate::stream::Stream;
use crate::tracking::{Folder, PlanId, Tracking};

/// How taking one effect back ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It is not there any more.
    Gone,
    /// What was there before is there again.
    Restored,
    /// The same, and what somebody made of ours lies here now.
    Kept(HostPath),
    /// It was left as it is, and why.
    Left(String),
    /// Of many things, those that were changed lie here now, and these were left, and why.
    Partly { kept: Vec<HostPath>, left: Vec<String> },
    /// Ours is gone; what was there before is not known.
    Unknown,
}

/// What uninstalling did.
#[derive(Debug, Clone, Default)]
pub struct UninstallReport {
    /// What was taken back, in the order it was.
    pub undone: Vec<String>,
    /// Edits of files of ours, and where they lie now.
    pub kept: Vec<HostPath>,
    /// What was left as it is, and why.
    pub left: Vec<String>,
    /// What tools wrote down about work of ours, and stays by their design: logs, lists, backups.
    pub traces: Vec<String>,
    /// What could not be taken back; it stays recorded.
    pub failed: Vec<UndoFailure>,
    /// Whether it was called off before its end.
    pub interrupted: bool,
}

/// One thing that could not be taken back.
#[derive(Debug, Clone)]
pub struct UndoFailure {
    /// The path, user, unit, ...
    pub subject: String,
    /// The condition.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// What to do next, by whoever failed where they know better than the condition does.
    pub hint: String,
}

impl UndoFailure {
    fn new(subject: String, error: EffectError) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let hint = StepError::Effect(error).hint();
        Self {
            subject,
            code,
            message,
            hint,
        }
    }
}

impl UninstallReport {
    /// Notes what a tool keeps about an effect that was taken back.
    fn trace(&mut self, effect: &Recorded) {
        let Some(trace) = trace::of(effect) else { return };
        if !self.traces.contains(&trace) {
            self.traces.push(trace);
        }
    }

    /// The condition to end with; `None` when all went well.
    pub fn code(&self) -> Option<Code> {
        if self.interrupted {
            Some(code::INTERRUPTED)
        } else {
            (!self.failed.is_empty()).then_some(code::UNDO_INCOMPLETE)
        }
    }
}

/// One plan being taken back.
pub(crate) struct Undoing<'a> {
    pub(crate) host: &'a Host,
    pub(crate) tracking: &'a Tracking,
    pub(crate) id: &'a PlanId,
    pub(crate) receipt: Receipt,
    pub(crate) others: Vec<(PlanId, Receipt)>,
    pub(crate) unregister: Option<&'a dyn Unregister>,
    pub(crate) stream: &'a Stream,
    pub(crate) cancel: &'a Cancel,
    /// Titles of the steps, where they are known.
    pub(crate) titles: BTreeMap<String, String>,
    /// The only things that are taken back; all of them where absent.
    pub(crate) only: Option<BTreeSet<Key>>,
    /// What it told about itself, where that goes as well.
    pub(crate) told: Option<Told>,
}

impl Undoing<'_> {
    /// Takes everything back that can be, and forgets the plan when nothing is left of it.
    pub(crate) fn run(mut self) -> UninstallReport {
        let started = self.host.clock.elapsed();
        let folder = self.tracking.folder(self.id);
        let mut report = UninstallReport::default();
        let order = self.order();
        self.announce(&order);
        let mut open: BTreeMap<String, (usize, Duration)> = BTreeMap::new();
        for (_, step) in &order {
            open.entry(step.clone()).or_insert((0, Duration::ZERO)).0 += 1;
        }
        for (key, step) in order {
            if self.cancel.is_cancelled() {
                report.interrupted = true;
                break;
            }
            self.begin(&step, &mut open);
            self.forget_told_in(&key);
            self.take_back(&folder, &key, &step, &mut report);
            self.end(&step, &mut open, &report);
            // The host still is what the control plane believes; whoever would rather go on says so.
            if self.is_registration(&key) && report.failed.iter().any(|one| one.subject == key.to_string()) {
                break;
            }
        }
        if self.receipt.effects.is_empty() && self.only.is_none() && !report.interrupted {
            self.told.iter().for_each(Told::forget);
        }
        if self.receipt.effects.is_empty()
            && self.only.is_none()
            && !report.interrupted
            && let Err(error) = self.forget(&folder, &mut report)
        {
            let (subject, error) = (folder.path().to_string(), EffectError::from(error));
            report.failed.push(UndoFailure::new(subject, error));
        }
        let status = match report.code() {
            None => RunStatus::Completed,
            Some(code) if code == code::INTERRUPTED => RunStatus::Interrupted,
            Some(_) => RunStatus::Failed,
        };
        let duration_ms = millis(self.host.clock.elapsed().saturating_sub(started));
        self.stream
            .emit(self.host, RunEventKind::RunFinished { status, duration_ms });
        report
    }

    /// Before the folder that plans tell in, which goes only when it is empty: what they told goes with it, unless
    /// another plan keeps it.
    fn forget_told_in(&self, key: &Key) {
        let Some(told) = self.told.as_ref().filter(|told| Key::path(told.folder()) == *key) else {
            return;
        };
        let is_ours = (self.receipt.find(key)).is_some_and(|record| record.before == Before::Absent);
        let is_anothers = self.others.iter().any(|(_, other)| other.find(key).is_some());
        // One that was there before us stays, and whoever reads it reads on what other plans told.
        if is_ours && !is_anothers {
            told.forget_all();
        } else {
            told.forget();
        }
    }

    fn is_registration(&self, key: &Key) -> bool {
        let record = self.receipt.find(key);
        record.is_some_and(|record| matches!(record.effect, Recorded::Registration { .. }))
    }

    /// Registrations before everything, while all is there that taking them back needs; then last first; units that
    /// ran before come at the very end, when their files are as they were.
    fn order(&self) -> Vec<(Key, String)> {
        let registered = |record: &&Record| matches!(record.effect, Recorded::Registration { .. });
        let ran = |record: &Record| matches!(record.before, Before::Unit { active: true, .. });
        let (last, first): (Vec<_>, Vec<_>) =
            self.receipt.effects.iter().rev().partition(|record| ran(record));
        let (now, first): (Vec<_>, Vec<_>) = first.into_iter().partition(registered);
        now.into_iter()
            .chain(first)
            .chain(last)
            .map(|record| (record.effect.key(), record.step.clone()))
            .filter(|(key, _)| self.only.as_ref().is_none_or(|only| only.contains(key)))
            .collect()
    }

    fn announce(&self, order: &[(Key, String)]) {
        let mut steps: Vec<StepSummary> = Vec::new();
        for (_, id) in order {
            if !steps.iter().any(|step| step.id == *id) {
                let title = self.titles.get(id).unwrap_or(id);
                steps.push(StepSummary {
                    id: id.clone(),
                    title: format!("Undoing: {title}"),
                });
            }
        }
        self.stream.emit(
            self.host,
            RunEventKind::RunStarted {
                plan: self.id.plan.clone(),
                steps,
            },
        );
    }

    fn begin(&self, step: &str, open: &mut BTreeMap<String, (usize, Duration)>) {
        if let Some((_, since)) = open.get_mut(step)
            && since.is_zero()
        {
            *since = self.host.clock.elapsed().max(Duration::from_nanos(1));
            self.stream.emit(
                self.host,
                RunEventKind::StepStarted {
                    step: step.to_owned(),
                    attempt: 1,
                },
            );
        }
    }

    fn end(&self, step: &str, open: &mut BTreeMap<String, (usize, Duration)>, report: &UninstallReport) {
        let Some((left, since)) = open.get_mut(step) else {
            return;
        };
        *left -= 1;
        if *left > 0 {
            return;
        }
        let step = step.to_owned();
        let duration_ms = millis(self.host.clock.elapsed().saturating_sub(*since));
        let remains = self
            .receipt
            .effects
            .iter()
            .filter(|record| record.step == step)
            .map(|record| record.effect.key());
        let remains: Vec<String> = remains.map(|key| key.to_string()).collect();
        let kind = match report
            .failed
            .iter()
            .find(|failure| remains.contains(&failure.subject))
        {
            None => RunEventKind::StepCompleted {
                step,
                outcome: StepOutcome::Changed,
                duration_ms,
            },
            Some(failure) => RunEventKind::StepFailed {
                step,
                code: failure.code.symbol.to_owned(),
                message: failure.message.clone(),
                hint: failure.hint.clone(),
                details: BTreeMap::new(),
                duration_ms,
            },
        };
        self.stream.emit(self.host, kind);
    }

    fn take_back(&mut self, folder: &Folder, key: &Key, step: &str, report: &mut UninstallReport) {
        let Some(record) = self.receipt.find(key).cloned() else {
            return;
        };
        let note = |message: String, warning| {
            self.stream.emit(
                self.host,
                RunEventKind::StepNote {
                    step: step.to_owned(),
                    message,
                    warning,
                },
            );
        };
        if self.holds_tracking(&record, folder) {
            // Removed with the tracking folders in it, at the end.
            self.drop_record(folder, key);
            return;
        }
        match self.undo(folder, key, &record) {
            Ok(Undone::Gone | Undone::Restored) => report.undone.push(key.to_string()),
            Ok(Undone::Kept(kept)) => {
                note(format!("{key} had been edited; the edit is kept as {kept}"), true);
                report.undone.push(key.to_string());
                report.kept.push(kept);
            }
            Ok(Undone::Partly { kept, left }) => {
                for kept in kept {
                    note(format!("{key} had been edited; the edit is kept as {kept}"), true);
                    report.kept.push(kept);
                }
                for why in left {
                    note(format!("left: {why}"), true);
                    report.left.push(why);
                }
                report.undone.push(key.to_string());
            }
            Ok(Undone::Unknown) => {
                note(
                    format!("{key} is gone; what stood there before AAMI is not known"),
                    true,
                );
                report.undone.push(key.to_string());
            }
            Ok(Undone::Left(why)) => {
                note(format!("left: {why}"), true);
                report.left.push(why);
            }
            Err(error) => {
                let failure = UndoFailure::new(key.to_string(), error);
                note(failure.message.clone(), true);
                report.failed.push(failure);
                return;
            }
        }
        for effect in record.all() {
            report.trace(effect);
        }
        self.drop_record(folder, key);
    }

    fn undo(&mut self, folder: &Folder, key: &Key, record: &Record) -> Result<Undone, EffectError> {
        if let Some(other) = self.pass_on(folder, key, record)? {
            return Ok(Undone::Left(format!("{key} is also {other}'s")));
        }
        let (record, shared) = self.pass_on_packages(key, record)?;
        let scene = Scene {
            host: self.host,
            record: Some(&record),
        };
        let undone = undo_one(
            scene,
            &record,
            &Saved::new(&self.host.root, folder.saved()),
            self.unregister,
        )?;
        Ok(match (undone, shared) {
            (undone, None) => undone,
            (Undone::Left(why), Some(shared)) => Undone::Left(format!("{why}; {shared}")),
            (_, Some(shared)) => Undone::Left(shared),
        })
    }

    /// Whether the record is of a folder our own tracking lies in.
    fn holds_tracking(&self, record: &Record, folder: &Folder) -> bool {
        matches!(&record.effect, Recorded::MakeDirectory { path, .. }
            if record.before == Before::Absent && folder.path().is_within(path))
    }

    /// Takes a record out of the receipt. That the receipt cannot be written (a full disk) is no
    /// reason to stop: undoing twice comes to the same.
    fn drop_record(&mut self, folder: &Folder, key: &Key) {
        let gone = self.receipt.find(key).into_iter().flat_map(Record::trees);
        let lists: Vec<Digest> = gone.flat_map(|tree| tree.wrote.clone()).collect();
        self.receipt.effects.retain(|record| record.effect.key() != *key);
        self.receipt.updated_at = self.host.clock.now();
        let root = &self.host.root;
        if receipt::store(root, folder, &self.receipt).is_err() {
            return;
        }
        // The lists of a tree are nobody's originals; the others' may be the same.
        for list in lists {
            let mut left = self.receipt.effects.iter().flat_map(Record::trees);
            if !left.any(|tree| tree.wrote.contains(&list)) {
                let _ = Saved::new(root, folder.saved()).forget(list);
            }
        }
    }

    /// Removes what is kept about the plan. Originals without a receipt that names them stay.
    fn forget(&self, folder: &Folder, report: &mut UninstallReport) -> Result<(), FsError> {
        let root = &self.host.root;
        let orphans =
            self.receipt.rebuilt && root.list(folder.saved())?.is_some_and(|saved| !saved.is_empty());
        if orphans {
            report
                .left
                .push(format!("{}: originals whose receipt is lost", folder.saved()));
        }
        folder.clear(root, orphans)?;
        receipt::remove(root, folder)?;
        self.tracking.prune(root, folder)
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
