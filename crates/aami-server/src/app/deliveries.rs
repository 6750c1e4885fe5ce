//! Deliveries: each attempt there was, and the dead letters among them, which can be sent again.

use std::collections::HashSet;

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::notice::Notice;
use aami_api::page::Page;
use aami_model::access::{Caller, Orgs, Role};
use aami_model::event::Event;
use aami_store::history::{HistoryQuery, Kind, Reading, Record};
use tokio::time::Instant;

use super::{App, Refusal, access, events};
use crate::notify::lane;
use crate::notify::outlet::{Letter, via};
use crate::notify::records::{Records, subject};
use crate::notify::wire::Wire;

/// How many records are read for one page of those that fit.
const MOST_LOOKED_AT: usize = 20_000;
const TOGETHER: usize = 500;

/// Which attempts are wanted, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) webhook: Option<String>,
    pub(crate) result: Option<DeliveryResult>,
    pub(crate) before: Option<u64>,
    pub(crate) limit: usize,
}

/// What may be shown: who sees one tenant sees nothing of a destination that every tenant's events go to.
fn read(record: &Record, caller: &Caller) -> Option<Delivery> {
    let delivery: Delivery = serde_json::from_slice(&record.json).ok()?;
    let seen = match &delivery.org {
        Some(org) => caller.orgs.includes(org),
        None => caller.orgs == Orgs::All,
    };
    seen.then_some(delivery)
}

impl App {
    /// A page of attempts. Dead letters that were replayed with success are no longer among the dead.
    pub(crate) async fn deliveries(
        &self,
        caller: &Caller,
        wanted: &Wanted,
    ) -> Result<Page<Delivery>, Refusal> {
        access::require(caller, Role::Viewer)?;
        let mut reading = Reading::Before(wanted.before.unwrap_or(u64::MAX));
        let mut items: Vec<Delivery> = Vec::new();
        let mut replayed = HashSet::new();
        let mut looked_at = 0;
        loop {
            let mut query = HistoryQuery::new(Kind::Delivery, reading, TOGETHER);
            if let Orgs::Only(orgs) = &caller.orgs {
                query = query.of(orgs.clone());
            }
            if let Some(webhook) = &wanted.webhook {
                query = query.about(subject(webhook));
            }
            let page = self.history.read(query).await?;
            looked_at += page.records.len();
            let mut last = None;
            for record in &page.records {
                if items.len() == wanted.limit {
                    break;
                }
                last = Some(record.seq);
                let Some(delivery) = read(record, caller) else {
                    continue;
                };
                if delivery.result == DeliveryResult::Delivered {
                    replayed.extend(delivery.replay_of);
                }
                if wanted.result.is_none_or(|result| result == delivery.result)
                    && !(wanted.result == Some(DeliveryResult::Dead) && replayed.contains(&delivery.id))
                {
                    items.push(delivery);
                }
            }
            let full = items.len() == wanted.limit || looked_at >= MOST_LOOKED_AT;
            match (page.next, last) {
                (Some(next), _) if !full => reading = next,
                (next, last) => {
                    let more =
                        next.is_some() || page.records.last().is_some_and(|record| Some(record.seq) != last);
                    return Ok(Page {
                        items,
                        next_page_token: last.filter(|_| more).map(|last| last.to_string()),
                    });
                }
            }
        }
    }

    /// Sends what an attempt was about once more, now, and says what came of it.
    pub(crate) async fn replay_delivery(&self, caller: &Caller, id: u64) -> Result<Delivery, Refusal> {
        access::require(caller, Role::Admin)?;
        let unknown = || Refusal::not_found("delivery");
        let query = HistoryQuery::new(
            Kind::Delivery,
            Reading::After(id.checked_sub(1).ok_or_else(unknown)?),
            1,
        );
        let page = self.history.read(query).await?;
        let record = page.records.first().filter(|record| record.seq == id);
        let delivery = record
            .and_then(|record| read(record, caller))
            .ok_or_else(unknown)?;
        let forgotten = || {
            Refusal::new(
                aami_model::code::NOT_FOUND,
                "the event of this delivery is no longer kept",
            )
        };
        if delivery.event.seq == 0 {
            return Err(Refusal::new(
                aami_model::code::CONFLICT,
                "a test is not replayed; send another",
            ));
        }
        let wanted = events::Wanted {
            after: delivery.event.seq - 1,
            limit: 1,
            subject: None,
        };
        let told = self.events(&Caller::system(), &wanted).await?;
        let event = told
            .events
            .first()
            .filter(|event| event.id == delivery.event.id)
            .ok_or_else(forgotten)?;
        self.deliver_once(&delivery.webhook, event, Some(id)).await
    }

    /// One attempt outside the lanes, noted when this returns. It does not wait for back-off or breaker: somebody asks
    /// because they think it works again.
    pub(crate) async fn deliver_once(
        &self,
        webhook: &str,
        event: &Event,
        replay_of: Option<u64>,
    ) -> Result<Delivery, Refusal> {
        let destination = self
            .destination(webhook)
            .ok_or_else(|| Refusal::not_found("webhook"))?;
        let here = self.view.current().epoch().map(|epoch| epoch.epoch.clone());
        let notice = Notice::of(event);
        let letter = Letter {
            id: event.id.as_str(),
            notice: &notice,
            via: via(event, here.as_deref().unwrap_or_default()),
            now: self.world.now(),
        };
        let begun = Instant::now();
        let outcome = destination
            .send(&mut Wire::default(), &letter, self.config.delivery_timeout)
            .await;
        let now = self.world.now();
        let id = self.notify.records.number(self, now).await?;
        let mut delivery = lane::delivery(&destination, event, outcome, id, now);
        delivery.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        delivery.replay_of = replay_of;
        Records::note_now(self, &event.org, &delivery).await;
        Ok(delivery)
    }
}
