//! `aami webhooks show`.

use aami_api::webhook::{Flow, WebhookView};
use aami_model::Exit;
use aami_model::webhook::Target;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show one destination, and how delivering to it goes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami webhooks show pager
  aami webhooks show pager -o json | jq .standing")]
pub(crate) struct Show {
    /// Name or id
    webhook: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let view = find::webhook(session, &self.webhook)?;
        session.screen.show(&view, |_| table(&view))?;
        Ok(Exit::Ok)
    }
}

/// Where it goes, in a few words.
pub(super) fn whereto(view: &WebhookView) -> String {
    match &view.target {
        Target::Webhook { url } => url.clone(),
        Target::Slack { host } => format!("slack at {host}"),
        Target::Email { server, to, .. } => format!("{} by {server}", to.join(", ")),
    }
}

/// How it goes, in a word or a few.
pub(super) fn flow(view: &WebhookView) -> String {
    let Some(standing) = &view.standing else {
        return "delivered by another replica".to_owned();
    };
    match standing.flow {
        Flow::Open if standing.failures == 0 => "ok".to_owned(),
        Flow::Open | Flow::Waiting => format!("failing ({} in a row)", standing.failures),
        Flow::Trying => "trying again".to_owned(),
        Flow::Disabled => "off".to_owned(),
    }
}

pub(super) fn events(view: &WebhookView) -> String {
    match view.events.as_slice() {
        [] => "all".to_owned(),
        events => events.join(","),
    }
}

pub(crate) fn table(view: &WebhookView) -> Table {
    let mut table = Table::of_one();
    table.line("Name", &view.name);
    table.line("Id", &view.id);
    table.line("To", whereto(view));
    table.line("Events", events(view));
    table.line(
        "Organisation",
        view.org
            .as_ref()
            .map_or_else(|| "all".to_owned(), ToString::to_string),
    );
    table.line(
        "Private addresses",
        if view.allow_private { "allowed" } else { "refused" },
    );
    table.line("Rate", format!("{} a second", view.rate_per_second));
    table.line("Delivering", flow(view));
    if let Some(standing) = &view.standing {
        table.line("Last error", standing.last_error.as_deref().unwrap_or_default());
        let at = |at: Option<aami_model::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        table.line("Next try", at(standing.next_try));
        table.line("Last delivered", at(standing.last_delivered_at));
    }
    if let Some(through) = view.lost_through {
        let lost = format!("events up to {through} were kept no longer before they could be delivered");
        table.line("Lost", lost);
    }
    table
}
