//! `aami webhooks list`.

use aami_api::page::Page;
use aami_api::webhook::WebhookView;
use aami_model::Exit;
use clap::Args;

use super::show::{events, flow, whereto};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List destinations; never their secrets
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami webhooks list
  aami webhooks list -o wide")]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let page: Page<WebhookView> = session.client.get("/api/v1/webhooks")?;
        let webhooks = page.items;
        session.screen.show(&webhooks, |wide| table(&webhooks, wide))?;
        Ok(Exit::Ok)
    }
}

fn table(webhooks: &[WebhookView], wide: bool) -> Table {
    let mut headings = vec!["NAME", "ID", "TO", "EVENTS", "DELIVERING"];
    if wide {
        headings.extend(["ORG", "LAST ERROR"]);
    }
    let mut table = Table::new(&headings, "no destinations");
    for view in webhooks {
        let mut cells = vec![
            view.name.clone(),
            view.id.to_string(),
            whereto(view),
            events(view),
            flow(view),
        ];
        if wide {
            let error = view
                .standing
                .as_ref()
                .and_then(|standing| standing.last_error.clone());
            cells.push(
                view.org
                    .as_ref()
                    .map_or_else(|| "all".to_owned(), ToString::to_string),
            );
            cells.push(error.unwrap_or_default());
        }
        table.row(cells);
    }
    table
}
