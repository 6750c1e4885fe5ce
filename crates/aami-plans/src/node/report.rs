//! Telling the control plane how the run goes, while it goes.

use std::sync::Arc;

use aami_api::token::OpenedRun;
use aami_install::Sink;
use aami_model::run::{RunEvent, RunEventKind};
use aami_model::secret::{Secret, SecretKind};

use super::session::Session;

/// As many events as one report takes.
const MOST: usize = 256;
/// As many as are kept while the control plane does not answer; beyond that, those that only show
/// progress go first.
const KEPT: usize = 2048;

/// A run that a script opened and reported to before this program: it goes on there.
#[derive(Debug, Clone, PartialEq)]
pub struct BegunRun {
    /// Its id and credential.
    pub run: OpenedRun,
    /// The number of the last event that the script told.
    pub after: u64,
}

impl BegunRun {
    /// Reads what the script left: the credential on the first line, the number on the second. `None` for anything
    /// else.
    pub fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let credential = Secret::parse(lines.next()?).ok()?;
        let after = lines.next()?.trim().parse().ok()?;
        let is_run = credential.kind() == SecretKind::RunCredential;
        let id = credential.id().parse().ok().filter(|_| is_run)?;
        let credential = credential.reveal().to_owned();
        let run = OpenedRun { id, credential };
        Some(Self { run, after })
    }
}

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
        let (Some(run), Some(plane)) = (self.session.run(), self.session.plane()) else {
            return;
        };
        let client = plane.reporting.with_bearer(&run.credential);
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
        // A node on its own has nobody to tell.
        if self.refused || self.session.plane().is_none() {
            return;
        }
        let mut event = event.clone();
        event.seq += self.session.options.run.as_ref().map_or(0, |begun| begun.after);
        // Progress and notes travel with the next thing that happens.
        let waits = matches!(
            event.kind,
            RunEventKind::StepProgress { .. } | RunEventKind::StepNote { .. }
        );
        self.pending.push(event);
        if self.pending.len() > KEPT {
            self.pending
                .retain(|kept| !matches!(kept.kind, RunEventKind::StepProgress { .. }));
            self.pending.truncate(KEPT);
        }
        if !waits {
            self.send();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_left_is_read_and_nothing_else() {
        let credential = Secret::from_random(SecretKind::RunCredential, "abcdefghijklmnop", [7; 20]);
        let begun = BegunRun::read(&format!("{}\n6\n", credential.reveal())).unwrap();
        assert_eq!((begun.run.id.as_str(), begun.after), ("abcdefghijklmnop", 6));
        assert!(!format!("{begun:?}").contains(credential.reveal()));
        let token = Secret::from_random(SecretKind::BootstrapToken, "abcdefghijklmnop", [7; 20]);
        for text in [
            String::new(),
            credential.reveal().to_owned(),
            format!("{}\nmany\n", credential.reveal()),
            format!("{}\n6\n", token.reveal()),
            "x\n6\n".to_owned(),
        ] {
            assert_eq!(BegunRun::read(&text), None, "{text:?}");
        }
    }
}
