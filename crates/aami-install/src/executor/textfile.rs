//! The numbers of a run in a file of node_exporter's textfile collector, while it is at work.

use std::time::Duration;

use aami_model::run::{RunEvent, RunEventKind};

use crate::host::Host;
use crate::path::HostPath;
use crate::render::{Origin, Progress, exposition, samples};
use crate::root::Attributes;
use crate::stream::Sink;
use crate::tracking::PlanId;

/// How often the progress within a step is written.
const OFTEN: Duration = Duration::from_secs(2);

/// The file of a plan in `folder`.
pub(super) fn path(folder: &HostPath, id: &PlanId) -> HostPath {
    folder.below(&format!("aami_install_{}_{}.prom", id.cluster, id.plan))
}

/// Writes the file anew, whole, when something happened; from the first step on that is begun, so that
/// a run with nothing to do writes nothing. That it cannot (the folder is not there yet) stops nothing.
pub(super) struct Textfile {
    host: Host,
    path: HostPath,
    origin: Origin,
    progress: Progress,
    begun: bool,
    written: Option<Duration>,
}

impl Textfile {
    pub(super) fn new(host: &Host, path: HostPath, origin: Origin) -> Self {
        Self {
            host: host.clone(),
            path,
            origin,
            progress: Progress::new(),
            begun: false,
            written: None,
        }
    }

    fn write(&mut self) {
        let text = exposition(&samples(&self.progress, &self.origin));
        // node_exporter runs as another user.
        let attributes = Attributes {
            mode: 0o644,
            owner: None,
        };
        let root = &self.host.root;
        if root
            .replace(&self.path, &mut text.as_bytes(), attributes, false)
            .is_ok()
        {
            self.written = Some(self.host.clock.elapsed());
        }
    }
}

impl Sink for Textfile {
    fn event(&mut self, event: &RunEvent) {
        self.progress.take(event);
        let now = self.host.clock.elapsed();
        let worth_it = match event.kind {
            RunEventKind::StepStarted { .. } => {
                self.begun = true;
                true
            }
            RunEventKind::StepNote { .. } => false,
            RunEventKind::StepProgress { .. } => {
                self.written.is_none_or(|then| now.saturating_sub(then) >= OFTEN)
            }
            _ => true,
        };
        if worth_it && self.begun {
            self.write();
        }
    }
}
