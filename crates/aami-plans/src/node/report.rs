//! Telling the control plane how the run goes, while it goes.

use std::sync::Arc;

use aami_install::Sink;
use aami_model::run::{RunEvent, RunEventKind};

use super::session::Session;

/// As many events as one report takes.
const MOST: usize = 256;
/// As many as are kept while the control plane does not answer; beyond that, those that only show
/// progress go first.
const KEPT: usize = 2048;

/// Reports a run's events under the run's own credential. It never holds up or fails the run: what
/// cannot be reported now is tried with the next event, and what is refused is dropped.
pub struct Reporter {
    session: Arc<Session>,
    pending: Vec<RunEvent>,
    refused: bool,
}

impl Reporter {
    /// Reports for `session`, from the moment its token was validated.
    pub const fn new(session: Arc<Session>) -> Self {
        Self {
            session,
            pending: Vec::new(),
            refused: false,
        }
    }

    fn send(&mut self) {
        let Some(run) = self.session.run() else { return };
        let client = self.session.reporting.with_bearer(&run.credential);
        while !self.pending.is_empty() {
            let batch: Vec<RunEvent> = self.pending.iter().take(MOST).cloned().collect();
            match client.report(&run.id, batch) {
                Ok(reported) => {
                    let before = self.pending.len();
                    self.pending.retain(|event| event.seq > reported.accepted_through);
                    if self.pending.len() == before {
                        return;
                    }
                }
                Err(error) => {
                    self.refused = !error.is_passing();
                    return;
                }
            }
        }
    }
}

impl Sink for Reporter {
    fn event(&mut self, event: &RunEvent) {
        if self.refused {
            return;
        }
        self.pending.push(event.clone());
        if self.pending.len() > KEPT {
            self.pending
                .retain(|kept| !matches!(kept.kind, RunEventKind::StepProgress { .. }));
            self.pending.truncate(KEPT);
        }
        // Progress and notes travel with the next thing that happens.
        if !matches!(
            event.kind,
            RunEventKind::StepProgress { .. } | RunEventKind::StepNote { .. }
        ) {
            self.send();
        }
    }
}
