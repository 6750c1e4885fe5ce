//! `aami batches list`.

use aami_api::batch::BatchView;
use aami_model::batch::BatchStatus;
use aami_model::{Exit, Timestamp};
use clap::Args;

use crate::cli::age::age;
use crate::cli::failure::Failure;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List batches, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami batches list
  aami batches list --status running")]
pub(crate) struct List {
    /// Only those that are running, completed or cancelled
    #[arg(long, value_parser = status)]
    status: Option<BatchStatus>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

fn status(text: &str) -> Result<BatchStatus, &'static str> {
    BatchStatus::from_name(text).ok_or("a status is running, completed or cancelled")
}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut query = Query::default();
        query.add_if("status", self.status.map(BatchStatus::name));
        let batches: Vec<BatchView> = paging::all(session, "/api/v1/batches", &query, self.limit)?;
        let now = session.screen.now();
        session.screen.show(&batches, |wide| table(&batches, now, wide))?;
        Ok(Exit::Ok)
    }
}

fn table(batches: &[BatchView], now: Timestamp, wide: bool) -> Table {
    let mut headings = vec![
        "ID",
        "ACTION",
        "STATUS",
        "NODES",
        "DONE",
        "UNCHANGED",
        "REFUSED",
        "AGE",
    ];
    if wide {
        headings.extend(["BY", "REASON"]);
    }
    let mut table = Table::new(&headings, "no batches");
    for batch in batches {
        let mut cells = vec![
            batch.id.to_string(),
            batch.action.name().to_owned(),
            batch.status.name().to_owned(),
            batch.total.to_string(),
            batch.counts.done.to_string(),
            batch.counts.unchanged.to_string(),
            batch.counts.refused.to_string(),
            age(now, batch.created_at),
        ];
        if wide {
            cells.push(batch.created_by.clone());
            cells.push(batch.status_reason.clone().unwrap_or_default());
        }
        table.row(cells);
    }
    table
}
