//! `aami webhooks deliveries`.

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_model::Exit;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List attempts to deliver, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami webhooks deliveries
  aami webhooks deliveries pager --result dead")]
pub(crate) struct Deliveries {
    /// Only to this destination, by name or id
    webhook: Option<String>,
    /// delivered, failed (tried again) or dead (given up)
    #[arg(long, value_parser = result)]
    result: Option<DeliveryResult>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

fn result(text: &str) -> Result<DeliveryResult, &'static str> {
    DeliveryResult::from_name(text).ok_or("it is delivered, failed or dead")
}

impl Deliveries {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let found = listed(session, self.webhook.as_deref(), self.result, self.limit)?;
        session.screen.show(&found, |wide| table(&found, wide))?;
        Ok(Exit::Ok)
    }
}

/// The newest attempts.
pub(super) fn listed(
    session: &Session,
    webhook: Option<&str>,
    result: Option<DeliveryResult>,
    limit: usize,
) -> Result<Vec<Delivery>, Failure> {
    let mut query = Query::default();
    if let Some(name) = webhook {
        query.add("webhook", find::webhook(session, name)?.id);
    }
    if let Some(result) = result {
        query.add("result", result.name());
    }
    paging::all(session, "/api/v1/deliveries", &query, Some(limit))
}

pub(crate) fn table(deliveries: &[Delivery], wide: bool) -> Table {
    let mut headings = vec!["ID", "AT", "TO", "EVENT", "TRY", "RESULT", "ANSWER", "NEXT TRY"];
    if wide {
        headings.extend(["ABOUT", "TOOK", "EVENT ID"]);
    }
    let mut table = Table::new(&headings, "no deliveries");
    for one in deliveries {
        let answer = match (&one.error, one.status) {
            (Some(error), _) => error.clone(),
            (None, Some(status)) => status.to_string(),
            (None, None) => String::new(),
        };
        let mut cells = vec![
            one.id.to_string(),
            one.at.to_string(),
            one.name.clone(),
            one.event.kind.clone(),
            one.attempt.to_string(),
            one.result.name().to_owned(),
            answer,
            one.next_try.map(|at| at.to_string()).unwrap_or_default(),
        ];
        if wide {
            cells.extend([
                one.event.subject.clone(),
                format!("{} ms", one.took_ms),
                one.event.id.to_string(),
            ]);
        }
        table.row(cells);
    }
    table
}
