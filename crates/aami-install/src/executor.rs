//! Running a plan on a host.
//!
//! [`Installer`] is the entry point: [`Installer::run`] makes a plan hold, [`Installer::dry_run`]
//! and [`Installer::status`] look, [`Installer::uninstall`] takes it back.

mod earlier;
mod error;
mod held;
mod look;
mod report;
mod schedule;
pub(crate) mod textfile;
mod uninstall;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aami_model::code;
use aami_model::run::{RunEventKind, RunStatus, StepStatus};

pub use error::InstallError;
pub use held::Held;
pub use look::{DryRun, PlannedEffect, PlannedStep, StatusReport, StepStanding, StepStatusReport};
pub use report::{RunReport, StepReport, Verdict};
use textfile::Textfile;

use crate::cancel::Cancel;
use crate::context::{Shared, Survey};
use crate::effect::{Effect, EffectError, Signature};
use crate::host::Host;
use crate::ledger::Ledger;
use crate::lock::{Lock, LockError};
use crate::path::HostPath;
use crate::plan::Plan;
use crate::receipt::{self, Receipt, ReceiptError};
use crate::render::Origin;
use crate::state::State;
use crate::stream::{Sink, Stream};
use crate::tracking::{PlanId, Tracking};
use crate::undo::millis;

/// How long sinks may take to read the last events after the run ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a run is for. All of them probe every step first and do only what does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Install, or go on with an install.
    Fresh,
    /// Go on with an install that stopped.
    Resume,
    /// Mend what is broken, the record included: one that cannot be read is set aside and rebuilt
    /// from the marks on the host.
    Repair,
}

/// How a plan is run, beside the plan itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's name.
    pub cluster: String,
    /// Where the memory of the plan lies.
    pub tracking: Tracking,
    /// How many steps may be at work at once; at least 1.
    pub parallel: usize,
    /// The approvals given, for effects that cannot be taken back.
    pub approvals: Vec<String>,
}

impl Default for Options {
    /// The cluster `default`, tracked for the whole host, four steps at once, nothing approved.
    fn default() -> Self {
        Self {
            cluster: "default".to_owned(),
            tracking: Tracking::host(),
            parallel: 4,
            approvals: Vec::new(),
        }
    }
}

/// A plan about to be run on a host.
pub struct Installer<'a> {
    host: &'a Host,
    plan: &'a Plan,
    id: PlanId,
    options: Options,
    cancel: Cancel,
    sinks: Vec<Box<dyn Sink>>,
    textfile: Option<(HostPath, String)>,
    /// Whether whoever runs it holds the lock.
    is_within: bool,
}

impl<'a> Installer<'a> {
    /// Fails when the plan's or cluster's name cannot be a folder's.
    pub fn new(host: &'a Host, plan: &'a Plan, options: Options) -> Result<Self, InstallError> {
        let id = PlanId::new(&options.cluster, plan.name())?;
        Ok(Self {
            host,
            plan,
            id,
            options,
            cancel: Cancel::new(),
            sinks: Vec::new(),
            textfile: None,
            is_within: false,
        })
    }

    /// With one more reader of the run's events.
    #[must_use]
    pub fn sink(mut self, sink: impl Sink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// With a file `aami_install_<cluster>_<plan>.prom` in `folder`, the textfile collector's, that
    /// tells how far the run on `host` is; see [`crate::render`]. It never fails a run; it is there as soon as
    /// `folder` is. A run with nothing to do leaves it alone, unless it says what is no longer so. Uninstalling
    /// removes it.
    #[must_use]
    pub fn textfile(mut self, folder: HostPath, host: impl Into<String>) -> Self {
        self.textfile = Some((folder, host.into()));
        self
    }

    /// Tells what is remembered of the last run in the file of [`Self::textfile`], where there is none: its folder may
    /// have been made after that run. Nothing else is changed, and that it cannot stops nothing.
    pub fn tell(&self) {
        let folder = self.options.tracking.folder(&self.id);
        if let (Some((told, name)), Some(state)) = (&self.textfile, State::load(&self.host.root, &folder)) {
            textfile::catch_up(self.host, told, &self.id, &state, name);
        }
    }

    /// Whether the last run of this plan is remembered as one in which a step did not come to a good end.
    pub fn is_unfinished(&self) -> bool {
        let folder = self.options.tracking.folder(&self.id);
        State::load(&self.host.root, &folder).is_some_and(|state| {
            let mut steps = state.steps.0.iter();
            steps.any(|(_, step)| step.status != StepStatus::Completed)
        })
    }

    /// With a flag that calls the run off.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Makes the plan hold. An error means that nothing was begun; how a run that began came out is
    /// in the report.
    pub fn run(self, mode: Mode) -> Result<RunReport, InstallError> {
        let host = self.host;
        let turn = self.turn()?;
        let report = self.run_locked(mode);
        turn.release(host);
        report
    }

    fn run_locked(mut self, mode: Mode) -> Result<RunReport, InstallError> {
        let started = self.host.clock.elapsed();
        let aside = if mode == Mode::Repair {
            self.set_aside()?
        } else {
            None
        };
        let ledger = self.ledger()?;
        let mut sinks = std::mem::take(&mut self.sinks);
        let changes = Arc::<AtomicBool>::default();
        if let Some((folder, host)) = &self.textfile {
            let (cluster, host) = (self.options.cluster.clone(), host.clone());
            let origin = Origin { cluster, host };
            let sink = Textfile::new(self.host, folder, &self.id, origin, changes.clone());
            sinks.push(Box::new(sink));
        }
        let stream = Stream::new(self.host.clock.clone(), sinks);
        let shared = Shared {
            changes,
            ..self.shared(ledger, &stream)
        };
        if shared.ledger().is_empty() {
            let rebuilt = self.rebuilt(&shared)?;
            shared.ledger().begin_with(rebuilt);
        }
        let is_to_learn = shared.ledger().receipt().lacks_inputs();
        if is_to_learn {
            let desired = self.all_desired(&shared).into_iter();
            shared.ledger().learn(desired.map(|(_, effect)| effect));
        }
        let start = RunEventKind::RunStarted {
            plan: self.plan.name().to_owned(),
            steps: self.plan.summaries(),
        };
        stream.emit(self.host, start);
        let mut report = schedule::run(self.plan, &shared, self.options.parallel.max(1));
        report.set_aside = aside;
        self.finish(&shared, mode, &mut report);
        let duration_ms = millis(self.host.clock.elapsed().saturating_sub(started));
        stream.emit(
            self.host,
            RunEventKind::RunFinished {
                status: report.status,
                duration_ms,
            },
        );
        stream.close(PATIENCE);
        Ok(report)
    }

    /// Brings the memory on disk up to date. After a repair that found nothing to do it may still be
    /// the first to write a rebuilt receipt.
    fn finish(&self, shared: &Shared<'_>, mode: Mode, report: &mut RunReport) {
        let mut ledger = shared.ledger();
        let recover = mode == Mode::Repair && ledger.is_rebuilt_and_unstored();
        let synced = shared.sync_names();
        let settled = if recover { ledger.open(self.host) } else { Ok(()) };
        let settled = settled.and_then(|()| ledger.settle(self.host));
        let settled = synced.and(settled.map_err(EffectError::from));
        if report.status == RunStatus::Completed && ledger.is_open() {
            // What was staged for a later try is of no more use, but for what could not be had whole.
            let parts = shared.parts.load(Ordering::Relaxed);
            let _ = ledger.folder().clear_staging(&self.host.root, parts);
        }
        report.wrote = ledger.is_open();
        report.executed = std::mem::take(
            &mut *shared
                .executed
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        if let (Err(error), RunStatus::Completed) = (settled, report.status) {
            report.fail_whole(&error);
        }
        if report
            .failure()
            .is_some_and(|(failed, _)| failed == code::DISK_FULL)
        {
            // Parts can be had again, and the room may be what the next run lacks.
            let _ = ledger.folder().clear_parts(&self.host.root);
        }
    }

    /// Forgets how far earlier runs came. What was done stays recorded.
    pub fn reset(self) -> Result<(), InstallError> {
        let turn = self.turn()?;
        let folder = self.options.tracking.folder(&self.id);
        let removed = self.host.root.remove(folder.state());
        turn.release(self.host);
        removed.map_err(|error| InstallError::Effect(error.into()))
    }

    fn lock(&self) -> Result<Lock, InstallError> {
        let path = self.options.tracking.lock();
        Lock::take(self.host, path, &self.id).map_err(|error| match error {
            LockError::Held(holder) => InstallError::Locked {
                lock: path.clone(),
                holder,
            },
            LockError::Fs(error) => InstallError::Effect(error.into()),
        })
    }

    /// What is known on disk. Reads only.
    fn ledger(&self) -> Result<Ledger, InstallError> {
        let (root, tracking) = (&self.host.root, &self.options.tracking);
        let stored = receipt::load(root, &tracking.folder(&self.id))?;
        let others = receipt::others(root, tracking, &self.id)?;
        let now = self.host.clock.now();
        let receipt = (
            stored.clone().unwrap_or_else(|| Receipt::new(&self.id, now)),
            stored.is_some(),
        );
        let steps: Vec<&str> = self.plan.ids().collect();
        Ok(Ledger::new(
            self.host,
            tracking.clone(),
            &self.id,
            receipt,
            others,
            &steps,
        ))
    }

    fn shared<'s>(&'s self, ledger: Ledger, stream: &'s Stream) -> Shared<'s> {
        Shared {
            host: self.host,
            signature: Signature::of(&self.id),
            ledger: ledger.into(),
            stream,
            cancel: &self.cancel,
            approvals: &self.options.approvals,
            executed: Vec::new().into(),
            unsynced: BTreeSet::new().into(),
            changes: Arc::default(),
            parts: AtomicUsize::new(0),
        }
    }

    /// Gives a receipt that cannot be read another name.
    fn set_aside(&self) -> Result<Option<HostPath>, InstallError> {
        let folder = self.options.tracking.folder(&self.id);
        match receipt::load(&self.host.root, &folder) {
            Err(
                ReceiptError::Malformed { .. }
                | ReceiptError::Newer { .. }
                | ReceiptError::UnknownKind { .. },
            ) => Ok(Some(
                receipt::set_aside(&self.host.root, &folder).map_err(EffectError::from)?,
            )),
            _ => Ok(None),
        }
    }

    /// All effects of the plan that can be named now, each with its step and sealed.
    fn all_desired(&self, shared: &Shared<'_>) -> Vec<(String, Effect)> {
        let signature = Signature::of(&self.id);
        let of = |step: &dyn crate::step::Step| {
            let effects = step.desired(&Survey::new(shared)).unwrap_or_default();
            effects
                .into_iter()
                .map(|effect| (step.id().to_owned(), effect.sealed(&signature)))
                .collect::<Vec<_>>()
        };
        self.plan
            .steps()
            .iter()
            .flat_map(|step| of(step.as_ref()))
            .collect()
    }

    /// The receipt as far as the marks on the host tell it.
    fn rebuilt(&self, shared: &Shared<'_>) -> Result<Receipt, InstallError> {
        let effects = self.all_desired(shared);
        let now = self.host.clock.now();
        let mut rebuilt = receipt::rebuilt(self.host, &self.id, &shared.signature, &effects, now)?;
        rebuilt.rebuilt = !rebuilt.effects.is_empty();
        Ok(rebuilt)
    }
}
