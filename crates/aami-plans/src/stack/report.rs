//! Running the stack plan, and telling the control plane that it installed how that went.
//!
//! Nobody can be told while there is no control plane, so what happens is kept and told in the end, each event with
//! the time it had. That nobody takes it fails nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aami_install::{InstallError, Installer, Mode, RunReport, StepError};
use aami_model::run::{RunEvent, RunEventKind};

use super::part::Part;
use super::{Stack, health};

/// As many events are kept as one report takes. A run has a few for each of its seven steps.
const MOST: usize = 256;

/// A run that ended.
#[derive(Debug)]
pub struct Ran {
    /// How it came out.
    pub report: RunReport,
    /// Why the control plane does not know of it, where it should.
    pub untold: Option<StepError>,
}

/// What happened in a run, for telling it later.
#[derive(Clone, Default)]
struct Story(Arc<Mutex<Vec<RunEvent>>>);

impl Story {
    fn events(&self) -> MutexGuard<'_, Vec<RunEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: &RunEvent) {
        let passes = matches!(
            event.kind,
            RunEventKind::StepProgress { .. } | RunEventKind::StepNote { .. }
        );
        let mut events = self.events();
        if !passes && events.len() < MOST {
            events.push(event.clone());
        }
    }
}

impl Stack {
    /// Runs the plan by this installer of it on the host called `host`, and lets the control plane know: of runs in
    /// which something was done or failed, and of the first after such a one.
    ///
    /// Fails as [`Installer::run`] does: nothing was begun then.
    pub fn run(&self, installer: Installer<'_>, mode: Mode, host: &str) -> Result<Ran, InstallError> {
        let story = Story::default();
        let was_unfinished = installer.is_unfinished();
        let sink = story.clone();
        let report = installer
            .sink(move |event: &RunEvent| sink.take(event))
            .run(mode)?;
        let is_news = report.wrote || was_unfinished || report.failure().is_some();
        let untold = if is_news {
            self.tell(host, std::mem::take(&mut *story.events())).err()
        } else {
            None
        };
        Ok(Ran { report, untold })
    }

    /// Nothing where no control plane answers: the run says so itself, where one should.
    fn tell(&self, host: &str, events: Vec<RunEvent>) -> Result<(), StepError> {
        let session = self.session();
        if !session.wishes().control_plane || health::is_well(session, Part::ControlPlane).is_err() {
            return Ok(());
        }
        session.options.control_plane.tell(host, events)
    }
}
