//! Deliveries: each attempt there was, and the dead letters among them, which can be sent again.

use std::collections::HashSet;

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::notice::Notice;
use aami_api::page::Page;
use aami_model::OrgId;
use aami_model::access::{Caller, Orgs, Role};
use aami_model::event::Event;
use aami_store::StoreError;
use aami_store::history::{History, HistoryQuery, Kind, Reading, Record};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::commit::{Change, Wanted as Write, Wrote};
use super::{App, Asking, Refusal, access, events};
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
    caller.orgs.covers(delivery.org.as_ref()).then_some(delivery)
}

/// One page of attempts that the caller may see.
fn query(caller: &Caller, webhook: Option<&str>, reading: Reading) -> HistoryQuery {
    let mut query = HistoryQuery::new(Kind::Delivery, reading, TOGETHER);
    if let Orgs::Only(orgs) = &caller.orgs {
        query = query.of(orgs.clone());
    }
    if let Some(webhook) = webhook {
        query = query.about(subject(webhook));
    }
    query
}

impl App {
    /// A page of attempts. Dead letters that were replayed with success are no longer among the dead.
    pub(crate) async fn deliveries(
        &self,
        caller: &Caller,
        wanted: &Wanted,
    ) -> Result<Page<Delivery>, Refusal> {
        access::require(caller, Role::Viewer)?;
        let mut items: Vec<Delivery> = Vec::new();
        // Replays are newer than what they are of, so those of a later page stand before it.
        let mut replayed = match (wanted.result, wanted.before) {
            (Some(DeliveryResult::Dead), Some(before)) => {
                let newest = query(caller, wanted.webhook.as_deref(), Reading::Before(u64::MAX));
                replayed_since(&*self.history, caller, newest, before).await?
            }
            _ => HashSet::new(),
        };
        let mut reading = Reading::Before(wanted.before.unwrap_or(u64::MAX));
        let mut looked_at = 0;
        loop {
            let page = self
                .history
                .read(query(caller, wanted.webhook.as_deref(), reading))
                .await?;
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
                // One that was sent again in vain is no further letter: what it is of stays dead.
                let is_settled = delivery.replay_of.is_some() || replayed.contains(&delivery.id);
                if wanted.result.is_none_or(|result| result == delivery.result)
                    && !(wanted.result == Some(DeliveryResult::Dead) && is_settled)
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

    /// Writes down who has something sent outside the lanes. `false` where the same request did so before: it is not
    /// sent again.
    pub(super) async fn note_sending(
        &self,
        asking: &Asking,
        org: OrgId,
        action: &'static str,
        webhook: &str,
        note: Value,
    ) -> Result<bool, Refusal> {
        let wrote = self
            .write(asking, |_, _| {
                let change = Change::new(org.clone(), action, format!("webhook:{webhook}"));
                Ok(Write::Write(Box::new(change.noting(note.clone())), ()))
            })
            .await?;
        Ok(matches!(wrote, Wrote::Fresh(..)))
    }

    /// The newest attempt at a destination that fits, for a request that was made before and asks for its answer.
    pub(super) async fn newest_delivery(
        &self,
        caller: &Caller,
        webhook: &str,
        fits: impl Fn(&Delivery) -> bool,
    ) -> Result<Delivery, Refusal> {
        let query = query(caller, Some(webhook), Reading::Before(u64::MAX));
        let page = self.history.read(query).await?;
        let mut seen = page.records.iter().filter_map(|record| read(record, caller));
        seen.find(fits).ok_or_else(|| {
            Refusal::new(
                aami_model::code::CONFLICT,
                "this request was made before and is still being carried out; look at the deliveries",
            )
        })
    }

    /// Sends what an attempt was about once more, now, and says what came of it.
    pub(crate) async fn replay_delivery(&self, asking: &Asking, id: u64) -> Result<Delivery, Refusal> {
        let caller = &asking.caller;
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
        // A try that was sent again itself stands for the letter it is of.
        let of = delivery.replay_of.unwrap_or(id);
        let note = json!({ "delivery": of, "event": event.id });
        let org = delivery.org.clone().unwrap_or_else(OrgId::every);
        let sent = self.note_sending(asking, org, "delivery.replay", &delivery.webhook, note);
        if !sent.await? {
            let is_this = |delivery: &Delivery| delivery.replay_of == Some(of);
            return self.newest_delivery(caller, &delivery.webhook, is_this).await;
        }
        self.deliver_once(&delivery.webhook, event, Some(of)).await
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

/// The attempts that were replayed with success after the attempt `before`, as far as those replays are among the newest
/// [`MOST_LOOKED_AT`] attempts: `newest` reads from there backwards.
async fn replayed_since(
    history: &dyn History,
    caller: &Caller,
    newest: HistoryQuery,
    before: u64,
) -> Result<HashSet<u64>, StoreError> {
    let mut replayed = HashSet::new();
    let mut query = newest;
    let mut looked_at = 0;
    loop {
        let page = history.read(query.clone()).await?;
        looked_at += page.records.len();
        let since = page.records.iter().take_while(|record| record.seq > before);
        let taken = since
            .filter_map(|record| read(record, caller))
            .filter(|delivery| delivery.result == DeliveryResult::Delivered);
        replayed.extend(taken.filter_map(|delivery| delivery.replay_of));
        let is_through = page.records.last().is_none_or(|record| record.seq <= before);
        match page.next {
            Some(next) if !is_through && looked_at < MOST_LOOKED_AT => query.reading = next,
            _ => return Ok(replayed),
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_api::delivery::DeliveredEvent;
    use aami_model::{EventId, Timestamp};
    use aami_store::history::MemoryHistory;

    use super::*;

    fn taken(id: u64, replay_of: Option<u64>) -> Record {
        let delivery = Delivery {
            id,
            webhook: "w".into(),
            name: "w".into(),
            org: None,
            event: DeliveredEvent {
                id: EventId::from_random([0; 10]),
                seq: 1,
                kind: "node.registered".into(),
                subject: "node:x".into(),
            },
            attempt: 1,
            at: Timestamp::EPOCH,
            took_ms: 1,
            result: DeliveryResult::Delivered,
            status: Some(200),
            answer: String::new(),
            error: None,
            next_try: None,
            replay_of,
        };
        Record {
            kind: Kind::Delivery,
            seq: id,
            at: Timestamp::EPOCH,
            org: OrgId::default(),
            subject: subject("w"),
            json: serde_json::to_vec(&delivery).unwrap().into(),
        }
    }

    #[tokio::test]
    async fn a_page_of_old_dead_letters_does_not_read_all_that_came_after_them() {
        // Given many attempts after an old one, a replay among the newest of them and one just behind the old one
        let history = MemoryHistory::new();
        let last = u64::try_from(MOST_LOOKED_AT).unwrap() * 2;
        let ids: Vec<u64> = (1..=last).collect();
        for piece in ids.chunks(1000) {
            let records = piece.iter().map(|id| match *id {
                12 => taken(12, Some(5)),
                id if id == last - 700 => taken(id, Some(6)),
                id => taken(id, None),
            });
            history.append(records.collect()).await.unwrap();
        }
        let since = async |before| {
            let newest = query(&Caller::system(), Some("w"), Reading::Before(u64::MAX));
            replayed_since(&history, &Caller::system(), newest, before)
                .await
                .unwrap()
        };
        // when a page from the old one on is made, then the newest are looked at, and no more than a list may;
        assert_eq!(since(10).await, HashSet::from([6]));
        // and never what is not newer.
        assert_eq!(since(last - 701).await, HashSet::from([6]));
        assert_eq!(since(last - 700).await, HashSet::new());
    }
}
