//! `aami runs follow`.

use std::collections::BTreeMap;
use std::time::Duration;

use aami_api::run::{RunStep, RunView};
use aami_model::Exit;
use aami_model::run::{RunStatus, StepStatus};
use clap::Args;

use super::show::{path, standing, took};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// How often to ask.
const EVERY: Duration = Duration::from_secs(1);
/// How long to wait at most while no control plane answers.
const LONGEST: Duration = Duration::from_secs(30);

/// Show a run's steps as they happen, until it ends; the exit code says how
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami runs follow 0698qk3v7d8e6m2c")]
pub(crate) struct Follow {
    /// Id
    run: String,
}

impl Follow {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let path = path(&self.run);
        let mut seen = Seen::default();
        let mut wait = EVERY;
        loop {
            match session.client.get::<RunView>(&path) {
                Ok(run) => {
                    wait = EVERY;
                    for (step, line) in seen.news(&run) {
                        session.screen.show_one(&step, &line)?;
                    }
                    if let Some(exit) = ended(run.status) {
                        if !session.screen.format().is_for_programs() {
                            session.screen.write(&format!("{}\n", run.status.name()))?;
                        }
                        return Ok(exit);
                    }
                }
                Err(error) if error.is_passing() => {
                    wait = (wait * 2).min(LONGEST);
                    session
                        .screen
                        .note(&format!("aami: {error}; asking again in {} s", wait.as_secs()));
                }
                Err(error) => return Err(error.into()),
            }
            std::thread::sleep(wait);
        }
    }
}

/// How a command that waited for a run ends; `None` while it goes on.
const fn ended(status: RunStatus) -> Option<Exit> {
    match status {
        RunStatus::Pending | RunStatus::Running => None,
        RunStatus::Completed => Some(Exit::Ok),
        RunStatus::Failed | RunStatus::Cancelled => Some(Exit::Failed),
        RunStatus::Interrupted => Some(Exit::Interrupted),
    }
}

/// What has been shown already.
#[derive(Default)]
struct Seen(BTreeMap<String, (StepStatus, u32)>);

impl Seen {
    /// Steps that stand otherwise than they were shown last, with a line for each.
    fn news(&mut self, run: &RunView) -> Vec<(RunStep, String)> {
        let mut news = Vec::new();
        for step in &run.steps {
            let now = (step.status, step.attempts);
            let before = self.0.insert(step.id.clone(), now);
            let is_new = before.map_or(step.status != StepStatus::Pending, |before| before != now);
            if is_new {
                news.push((step.clone(), line(step)));
            }
        }
        news
    }
}

fn line(step: &RunStep) -> String {
    let mut line = format!("{}: {}", step.title, standing(step));
    if step.duration_ms.is_some() {
        line.push_str(&format!(" ({})", took(step)));
    }
    if let Some(error) = &step.error {
        line.push_str(&format!(": {error}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_a_step_is_told_once() {
        let mut run: RunView = serde_json::from_value(serde_json::json!({
            "id": "r1", "org": "default", "status": "running", "last_event": 1,
            "steps": [{ "id": "a", "title": "Doing a" }, { "id": "b", "title": "Doing b" }],
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        }))
        .unwrap();
        let mut seen = Seen::default();
        let lines = |seen: &mut Seen, run: &RunView| -> Vec<String> {
            seen.news(run).into_iter().map(|(_, line)| line).collect()
        };
        assert!(lines(&mut seen, &run).is_empty());
        run.steps[0].status = StepStatus::InProgress;
        assert_eq!(lines(&mut seen, &run), ["Doing a: in progress"]);
        assert!(lines(&mut seen, &run).is_empty());
        run.steps[0].status = StepStatus::Failed;
        run.steps[0].duration_ms = Some(1_500);
        run.steps[0].error = Some("DISK_FULL: no room".into());
        assert_eq!(
            lines(&mut seen, &run),
            ["Doing a: failed (1.5s): DISK_FULL: no room"]
        );
    }
}
