//! The numbers of a run in a file of node_exporter's textfile collector, while it is at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aami_model::run::{RunEvent, RunEventKind, RunStatus};

use crate::host::Host;
use crate::path::HostPath;
use crate::render::{Origin, Progress, exposition, samples, samples_of_state};
use crate::root::{Attributes, Entry, FsError};
use crate::state::State;
use crate::stream::Sink;
use crate::tracking::PlanId;

/// How often the progress within a step is written.
const OFTEN: Duration = Duration::from_secs(2);
/// What every such file is called, before the cluster and the plan, and after them.
const NAME: (&str, &str) = ("aami_install_", ".prom");
/// A file of ours has a few lines a step; a longer one is something else.
const LONGEST: u64 = 256 * 1024;

/// The file of a plan in `folder`.
fn path(folder: &HostPath, id: &PlanId) -> HostPath {
    let (head, tail) = NAME;
    folder.below(&format!("{head}{}_{}{tail}", id.cluster, id.plan))
}

fn write(host: &Host, path: &HostPath, text: &str) -> Result<(), FsError> {
    // node_exporter runs as another user.
    let attributes = Attributes {
        mode: 0o644,
        owner: None,
    };
    (host.root)
        .replace(path, &mut text.as_bytes(), attributes, false)
        .map(drop)
}

/// Writes what is remembered of the last run of a plan, where no file tells it: there may have been no folder then. That
/// it cannot stops nothing.
pub(super) fn catch_up(host: &Host, folder: &HostPath, id: &PlanId, remembered: &State, name: &str) {
    let path = path(folder, id);
    if matches!(host.root.entry(&path), Ok(Entry::Absent)) {
        let text = exposition(&samples_of_state(remembered, &id.plan, name));
        let _ = write(host, &path, &text);
    }
}

/// Writes the file anew, whole, when something happened; from the first change to the host or the first failure on,
/// so that a run with nothing to do writes nothing. That it cannot (the folder is not there yet) stops nothing.
pub(super) struct Textfile {
    host: Host,
    path: HostPath,
    origin: Origin,
    progress: Progress,
    /// Whether the run has begun to change the host.
    changes: Arc<AtomicBool>,
    begun: bool,
    written: Option<Duration>,
}

impl Textfile {
    /// For a run of the plan on `host`; `changes` says whether it has begun to change the host.
    pub(super) fn new(
        host: &Host,
        folder: &HostPath,
        id: &PlanId,
        origin: Origin,
        changes: Arc<AtomicBool>,
    ) -> Self {
        Self {
            host: host.clone(),
            path: path(folder, id),
            origin,
            progress: Progress::new(),
            changes,
            begun: false,
            written: None,
        }
    }

    fn text(&self) -> String {
        exposition(&samples(&self.progress, &self.origin))
    }

    fn write(&mut self) {
        if write(&self.host, &self.path, &self.text()).is_ok() {
            self.written = Some(self.host.clock.elapsed());
        }
    }

    /// Whether an earlier run left a file that says of a step what is no longer so, such as that it failed.
    fn is_contradicted(&self) -> bool {
        let Ok(Some(bytes)) = self.host.root.read(&self.path, LONGEST) else {
            return false;
        };
        let (before, now) = (String::from_utf8_lossy(&bytes), self.text());
        let steps = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .filter(|line| line.starts_with("aami_install_step_status{"));
            lines.map(str::to_owned).collect()
        };
        steps(&before) != steps(&now)
    }
}

impl Sink for Textfile {
    fn event(&mut self, event: &RunEvent) {
        self.progress.take(event);
        let now = self.host.clock.elapsed();
        let is_first = !self.begun
            && match event.kind {
                RunEventKind::StepFailed { .. } => true,
                RunEventKind::RunFinished {
                    status: RunStatus::Completed,
                    ..
                } => self.changes.load(Ordering::Acquire) || self.is_contradicted(),
                _ => self.changes.load(Ordering::Acquire),
            };
        self.begun |= is_first;
        let worth_it = match event.kind {
            RunEventKind::StepNote { .. } => is_first,
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

/// What a plan told in the folder, for taking it back.
pub(crate) struct Told {
    host: Host,
    folder: HostPath,
    own: HostPath,
}

impl Told {
    pub(super) fn new(host: &Host, folder: &HostPath, id: &PlanId) -> Self {
        Self {
            host: host.clone(),
            folder: folder.clone(),
            own: path(folder, id),
        }
    }

    /// Where the files lie.
    pub(crate) const fn folder(&self) -> &HostPath {
        &self.folder
    }

    /// Removes the plan's file. That it stays stops nothing.
    pub(crate) fn forget(&self) {
        self.remove(&self.own);
    }

    /// Removes what other plans told here as well: whoever read it goes, and the folder only when it is empty.
    pub(crate) fn forget_all(&self) {
        let (head, tail) = NAME;
        for name in self
            .host
            .root
            .list(&self.folder)
            .ok()
            .flatten()
            .unwrap_or_default()
        {
            if name.starts_with(head)
                && name.ends_with(tail)
                && let Ok(path) = self.folder.join(&name)
            {
                self.remove(&path);
            }
        }
        // One that was only begun has another name.
        self.forget();
    }

    fn remove(&self, path: &HostPath) {
        let root = &self.host.root;
        let _ = root.remove(path).and_then(|()| root.remove_leftover(path));
    }
}
