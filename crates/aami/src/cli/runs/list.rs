//! `aami runs list`.

use aami_api::run::{RunStep, RunView};
use aami_model::run::StepStatus;
use aami_model::{Exit, Timestamp};
use clap::Args;

use crate::cli::age::age;
use crate::cli::failure::Failure;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List runs, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami runs list
  aami runs list --node gpu-01")]
pub(crate) struct List {
    /// Only runs on this node
    #[arg(long, value_name = "HOSTNAME")]
    node: Option<String>,
    /// Only runs that have not ended well: pending, running, failed or interrupted
    #[arg(long)]
    unfinished: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut runs: Vec<RunView> = paging::all(session, "/api/v1/runs", &Query::default(), None)?;
        runs.retain(|run| {
            let there = self.node.as_ref().is_none_or(|wanted| {
                let is = run.hostname.as_ref().map(ToString::to_string);
                is.is_some_and(|is| is.eq_ignore_ascii_case(wanted))
            });
            there && !(self.unfinished && run.status.is_final())
        });
        runs.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| b.id.cmp(&a.id)));
        runs.truncate(self.limit);
        let now = session.screen.now();
        session.screen.show(&runs, |wide| table(&runs, now, wide))?;
        Ok(Exit::Ok)
    }
}

/// How many of its steps hold.
fn progress(run: &RunView) -> String {
    let held = run
        .steps
        .iter()
        .filter(|step| step.status == StepStatus::Completed);
    format!("{}/{}", held.count(), run.steps.len())
}

/// The step that a reader wants to know of: the one that failed, or the one at work.
fn present(run: &RunView) -> Option<&RunStep> {
    let at = |status| run.steps.iter().find(|step| step.status == status);
    at(StepStatus::Failed).or_else(|| at(StepStatus::InProgress))
}

pub(crate) fn table(runs: &[RunView], now: Timestamp, wide: bool) -> Table {
    let mut headings = vec!["ID", "NODE", "PLAN", "STATUS", "STEPS", "AT", "AGE"];
    if wide {
        headings.extend(["TOKEN", "LAST REPORT", "ERROR"]);
    }
    let mut table = Table::new(&headings, "no runs");
    for run in runs {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let mut cells = vec![
            run.id.to_string(),
            or_dash(run.hostname.as_ref().map(ToString::to_string)),
            or_dash(run.plan.clone()),
            run.status.name().to_owned(),
            progress(run),
            or_dash(present(run).map(|step| step.id.clone())),
            age(now, run.created_at),
        ];
        if wide {
            cells.extend([
                or_dash(run.token_id.as_ref().map(ToString::to_string)),
                run.updated_at.to_string(),
                or_dash(present(run).and_then(|step| step.error.clone())),
            ]);
        }
        table.row(cells);
    }
    table
}
