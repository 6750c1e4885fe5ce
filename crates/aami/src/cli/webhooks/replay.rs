//! `aami webhooks replay`.

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_model::{Exit, code};
use clap::Args;
use http::Method;

use super::deliveries::listed;
use super::taken;
use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// The most dead letters that are sent again at once.
const MOST: usize = 10_000;

/// Send again what was given up, oldest first
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
#[command(after_help = "\
Examples:
  aami webhooks deliveries pager --result dead
  aami webhooks replay 4711 4712
  aami webhooks replay --all-of pager --dry-run")]
pub(crate) struct Replay {
    /// Ids of deliveries, as `aami webhooks deliveries --result dead` lists them
    #[arg(value_name = "DELIVERY", group = "what")]
    deliveries: Vec<u64>,
    /// Every dead letter of this destination, by name or id
    #[arg(long, value_name = "WEBHOOK", group = "what")]
    all_of: Option<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Replay {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut ids = self.deliveries;
        let known = match self.dry.dry_run {
            true => listed(session, self.all_of.as_deref(), None, usize::MAX)?,
            false => Vec::new(),
        };
        if let Some(webhook) = &self.all_of {
            let dead = listed(session, Some(webhook), Some(DeliveryResult::Dead), MOST)?;
            ids = dead.iter().rev().map(|one| one.id).collect();
        }
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        each(session, &ids, |session, id| {
            let path = format!("/api/v1/deliveries/{id}/replay");
            let change = Change::bare(Method::POST, path);
            if self.dry.dry_run {
                let delivery = replayable(&known, id)?;
                let (name, event) = (&delivery.name, &delivery.event);
                let line = format!("{} about {} would be sent to {name}", event.kind, event.subject);
                return change.would(id, line);
            }
            let delivery: Delivery = change.send(session)?;
            taken(&delivery)?;
            let event = &delivery.event;
            Ok(Done::new(
                id,
                format!("{} took {} about {}", delivery.name, event.kind, event.subject),
            ))
        })
    }
}

/// The delivery of this id, which may be sent again.
fn replayable<'a>(known: &'a [Delivery], id: &str) -> Result<&'a Delivery, Failure> {
    let delivery = (known.iter())
        .find(|delivery| delivery.id.to_string() == id)
        .ok_or_else(|| Failure::found(code::NOT_FOUND, format!("there is no delivery {id}")))?;
    if delivery.event.seq == 0 {
        return Err(Failure::found(
            code::CONFLICT,
            "a test is not replayed; send another",
        ));
    }
    Ok(delivery)
}
