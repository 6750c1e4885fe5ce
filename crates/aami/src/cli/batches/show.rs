//! `aami batches show`.

use aami_api::batch::BatchView;
use aami_model::Exit;
use aami_model::batch::{BatchAction, NodeOutcome, NodeResult, Selection};
use clap::Args;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::labels;
use crate::cli::paging;
use crate::cli::query::{Query, encoded};
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show one batch, and with --nodes what came of each node
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami batches show 0698qk3v7d8e6m2c
  aami batches show 0698qk3v7d8e6m2c --nodes --outcome refused")]
pub(crate) struct Show {
    /// Id
    batch: String,
    /// What came of each node
    #[arg(long)]
    nodes: bool,
    /// Only nodes that were done, unchanged or refused
    #[arg(long, value_parser = outcome, requires = "nodes")]
    outcome: Option<NodeOutcome>,
}

fn outcome(text: &str) -> Result<NodeOutcome, &'static str> {
    NodeOutcome::from_name(text).ok_or("an outcome is done, unchanged or refused")
}

/// A batch with its results, for programs.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    batch: &'a BatchView,
    nodes: &'a [NodeResult],
}

/// Where a batch is asked for.
pub(super) fn path(batch: &str) -> String {
    format!("/api/v1/batches/{}", encoded(batch))
}

/// What came of the nodes of a batch.
pub(super) fn results(
    session: &Session,
    batch: &str,
    outcome: Option<NodeOutcome>,
) -> Result<Vec<NodeResult>, Failure> {
    let mut query = Query::default();
    query.add_if("outcome", outcome.map(NodeOutcome::name));
    paging::all(session, &format!("{}/results", path(batch)), &query, None)
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let batch: BatchView = session.client.get(&path(&self.batch))?;
        if !self.nodes {
            session.screen.show(&batch, |_| table(&batch))?;
            return Ok(Exit::Ok);
        }
        let nodes = results(session, &self.batch, self.outcome)?;
        let whole = Whole {
            batch: &batch,
            nodes: &nodes,
        };
        session.screen.show(&whole, |_| of_nodes(&nodes))?;
        Ok(Exit::Ok)
    }
}

/// Which nodes are meant, in a few words.
fn meant(selection: &Selection) -> String {
    if !selection.nodes.is_empty() {
        return format!("{} that were named", selection.nodes.len());
    }
    let group = selection
        .group
        .as_ref()
        .map(|group| format!("of the group {group}"));
    let with = labels::shown(&selection.labels);
    let with = (!with.is_empty()).then(|| format!("with {with}"));
    let status = selection.status.map(|status| status.name().to_owned());
    let words: Vec<String> = [status, group, with].into_iter().flatten().collect();
    match words.is_empty() {
        true => "all".to_owned(),
        false => words.join(" "),
    }
}

fn action(action: &BatchAction) -> String {
    let name = action.name();
    let why = |reason: &Option<String>| reason.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
    match action {
        BatchAction::Maintenance { reason, until } => {
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            format!("{name}{until}{}", why(reason))
        }
        BatchAction::Retire { reason } => format!("{name}{}", why(reason)),
        BatchAction::Resume | BatchAction::Restore => name.to_owned(),
        BatchAction::Label { set, remove } => {
            let taken: Vec<String> = remove.iter().map(|name| format!("{name}-")).collect();
            format!("{name} {} {}", labels::shown(set), taken.join(" "))
                .trim_end()
                .to_owned()
        }
    }
}

fn table(batch: &BatchView) -> Table {
    let mut table = Table::of_one();
    table.line("Id", &batch.id);
    table.line("Action", action(&batch.action));
    table.line("Nodes", meant(&batch.selection));
    if let Some(org) = &batch.org {
        table.line("Org", org);
    }
    table.line("Status", batch.status.name());
    table.line("Reason", batch.status_reason.as_deref().unwrap_or_default());
    table.line(
        "Had their turn",
        format!("{} of {}", batch.counts.all(), batch.total),
    );
    table.line("Done", batch.counts.done);
    table.line("Unchanged", batch.counts.unchanged);
    table.line("Refused", batch.counts.refused);
    table.line("By", &batch.created_by);
    table.line("Begun", batch.created_at);
    if let Some(ended) = batch.ended_at {
        table.line("Ended", ended);
    }
    table
}

fn of_nodes(results: &[NodeResult]) -> Table {
    let mut table = Table::new(
        &["HOSTNAME", "ID", "OUTCOME", "STATUS", "CODE", "DETAIL"],
        "no nodes yet",
    );
    for result in results {
        table.row([
            result.hostname.clone(),
            result.node.to_string(),
            result.outcome.name().to_owned(),
            result
                .status
                .map(|status| status.name().to_owned())
                .unwrap_or_default(),
            result.code.clone().unwrap_or_default(),
            result.detail.clone().unwrap_or_default(),
        ]);
    }
    table
}
