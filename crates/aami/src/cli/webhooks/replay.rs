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
            true => listed(session, self.all_of.as_deref(), None, MOST)?,
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
                return change.would(id, told(&known, id)?);
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

/// What would be sent again; refused where the control plane refuses it.
fn told(known: &[Delivery], id: &str) -> Result<String, Failure> {
    let Some(delivery) = known.iter().find(|delivery| delivery.id.to_string() == id) else {
        // There are older ones than were looked at.
        return match known.len() {
            MOST.. => Ok(format!("delivery {id} would be sent again")),
            _ => Err(Failure::found(
                code::NOT_FOUND,
                format!("there is no delivery {id}"),
            )),
        };
    };
    if delivery.event.seq == 0 {
        return Err(Failure::found(
            code::CONFLICT,
            "a test is not replayed; send another",
        ));
    }
    let (name, event) = (&delivery.name, &delivery.event);
    Ok(format!(
        "{} about {} would be sent to {name}",
        event.kind, event.subject
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_and_what_was_a_test_is_not_sent_again() {
        let delivery = |id: u64, seq: u64| -> Delivery {
            serde_json::from_value(json!({
                "id": id, "webhook": "abc", "name": "pager", "attempt": 3, "at": "2026-11-21T10:00:00Z",
                "event": { "id": "abc", "seq": seq, "type": "node.connected", "subject": "node:abc" },
                "took_ms": 12, "result": "dead", "answer": "",
            }))
            .unwrap()
        };
        let known = [delivery(7, 70), delivery(8, 0)];
        let line = told(&known, "7").unwrap();
        assert_eq!(line, "node.connected about node:abc would be sent to pager");
        let refused = |id| told(&known, id).unwrap_err().code();
        assert_eq!(refused("8"), Some(code::CONFLICT));
        assert_eq!(refused("9"), Some(code::NOT_FOUND));
        let many: Vec<Delivery> = (0..MOST as u64).map(|id| delivery(id, 1)).collect();
        assert!(told(&many, "99999999").is_ok(), "it may be older");
    }
}
