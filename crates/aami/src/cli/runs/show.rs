//! `aami runs show`.

use aami_api::run::{RunStep, RunView};
use aami_model::Exit;
use aami_model::run::{StepOutcome, StepStatus};
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::query::encoded;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show one run and each of its steps
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami runs show 0698qk3v7d8e6m2c")]
pub(crate) struct Show {
    /// Id
    run: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let run: RunView = session.client.get(&path(&self.run))?;
        let steps = steps(&run);
        session.screen.show(&run, |_| head(&run))?;
        if !session.screen.format().is_for_programs() && !run.steps.is_empty() {
            session.screen.write(&format!("\n{steps}"))?;
        }
        Ok(Exit::Ok)
    }
}

/// Where a run is.
pub(super) fn path(run: &str) -> String {
    format!("/api/v1/runs/{}", encoded(run))
}

fn head(run: &RunView) -> Table {
    let mut table = Table::of_one();
    table.line("Id", &run.id);
    if let Some(hostname) = &run.hostname {
        table.line("Node", hostname);
    }
    if let Some(token) = &run.token_id {
        table.line("Token", token);
    }
    table.line("Plan", run.plan.as_deref().unwrap_or_default());
    table.line("Status", run.status.name());
    table.line("Opened", run.created_at);
    if let Some(started) = run.started_at {
        table.line("Started", started);
    }
    table.line("Last report", run.updated_at);
    table
}

/// How a step stands, in a word or two.
pub(super) fn standing(step: &RunStep) -> &'static str {
    match (step.status, step.outcome) {
        (StepStatus::Pending, _) => "pending",
        (StepStatus::InProgress, _) => "in progress",
        (StepStatus::Completed, Some(StepOutcome::AlreadySo)) => "skipped: so already",
        (StepStatus::Completed, Some(StepOutcome::NotApplicable)) => "skipped: does not apply",
        (StepStatus::Completed, _) => "completed",
        (StepStatus::Failed, _) => "failed",
    }
}

/// How long a step took: `120ms`, `3.4s`.
pub(super) fn took(step: &RunStep) -> String {
    match step.duration_ms {
        None => "-".to_owned(),
        Some(millis) if millis < 1_000 => format!("{millis}ms"),
        Some(millis) => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
    }
}

pub(crate) fn steps(run: &RunView) -> Table {
    let mut table = Table::new(&["STEP", "STATUS", "ATTEMPTS", "TOOK", "ERROR"], "no steps yet");
    for step in &run.steps {
        table.row([
            step.id.clone(),
            standing(step).to_owned(),
            step.attempts.to_string(),
            took(step),
            step.error.clone().unwrap_or_default(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_with_how_often_how_long_and_why() {
        let step = |id: &str, status, outcome, duration_ms, error: Option<&str>| RunStep {
            id: id.into(),
            status,
            outcome,
            duration_ms,
            attempts: 1,
            error: error.map(Into::into),
            ..RunStep::default()
        };
        let run: RunView = serde_json::from_value(serde_json::json!({
            "id": "r1", "org": "default", "status": "failed", "steps": [], "last_event": 9,
            "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        }))
        .unwrap();
        let run = RunView {
            steps: vec![
                step(
                    "token",
                    StepStatus::Completed,
                    Some(StepOutcome::AlreadySo),
                    Some(3),
                    None,
                ),
                step(
                    "hardware",
                    StepStatus::Completed,
                    Some(StepOutcome::Changed),
                    Some(61_250),
                    None,
                ),
                step(
                    "node_exporter",
                    StepStatus::Failed,
                    None,
                    Some(4_000),
                    Some("PORT_IN_USE: port 9100 is held"),
                ),
                step("verify", StepStatus::Pending, None, None, None),
            ],
            ..run
        };
        insta::assert_snapshot!(steps(&run).to_string());
    }
}
