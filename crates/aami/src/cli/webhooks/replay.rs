//! `aami webhooks replay`.

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_model::Exit;
use clap::Args;

use super::deliveries::listed;
use super::taken;
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// The most dead letters that are sent again at once.
const MOST: usize = 10_000;

/// Send again what was given up, oldest first
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct Replay {
    /// Ids of deliveries, as `aami webhooks deliveries --result dead` lists them
    #[arg(value_name = "DELIVERY", group = "what")]
    deliveries: Vec<u64>,
    /// Every dead letter of this destination, by name or id
    #[arg(long, value_name = "WEBHOOK", group = "what")]
    all_of: Option<String>,
}

impl Replay {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut ids = self.deliveries;
        if let Some(webhook) = &self.all_of {
            let dead = listed(session, Some(webhook), Some(DeliveryResult::Dead), MOST)?;
            ids = dead.iter().rev().map(|one| one.id).collect();
        }
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        each(session, &ids, |session, id| {
            let path = format!("/api/v1/deliveries/{id}/replay");
            let delivery: Delivery = session.client.post(&path, None::<&()>)?;
            taken(&delivery)?;
            let event = &delivery.event;
            Ok(Done::new(
                id,
                format!("{} took {} about {}", delivery.name, event.kind, event.subject),
            ))
        })
    }
}
