//! Bulk actions over many nodes: begun, shown, called off. [`turn`] works through them, [`selected`] says whose turn
//! it is.
//!
//! Beginning one writes one small document, however many nodes it means. The replica that leads takes the nodes in the
//! order of their ids, a page at a time; whose turn it is stands in the document first. Each node's change is a
//! transaction of its own, made by the same function as a change of that node alone, under a key that makes it at most
//! once; then one transaction notes what came of the page and whose turn is next. Whoever leads next goes on from
//! there. Every change compares the batch's document, so that one that was called off, or that another replica has gone
//! on with, changes nothing more.

mod selected;
mod turn;

use std::collections::HashMap;
use std::time::Duration;

use aami_api::batch::{BatchResults, BatchView, CreateBatch};
use aami_api::page::Page;
use aami_model::access::{Caller, Role};
use aami_model::batch::{Batch, BatchAction, BatchStatus, Counts, NodeOutcome, PAGE};
use aami_model::{BatchId, OrgId, Timestamp, code, label};
use aami_store::{Txn, keys};
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Written, Wrote};
use super::tokens::org_or_every;
use super::{App, Asking, Refusal, access};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

/// How many batches of one organisation may be worked through at once.
const MOST_RUNNING: usize = 10;
/// How many batches of one organisation that ended are kept, and how many pages of results in all.
const MOST_ENDED: usize = 200;
const MOST_PAGES: usize = 4_000;
/// How many pages one answer looks through for results of one outcome.
const MOST_LOOKED_AT: u32 = 200;
/// How many keys one transaction of the sweep removes.
const TOGETHER: usize = 100;

/// What a batch's events tell. Its nodes tell theirs themselves.
///
/// What is begun for every organisation is told in the one everybody belongs to who names none, whose people see no
/// other's nodes: they are told that it is, and nothing of whom it is about.
fn told(batch: &Batch) -> Value {
    if batch.org.is_none() {
        return json!({ "action": batch.action.name(), "status": batch.status });
    }
    json!({
        "action": batch.action.name(),
        "status": batch.status,
        "reason": batch.status_reason,
        "counts": batch.counts,
    })
}

/// Refuses an action that every node would refuse.
fn check(action: &BatchAction, now: Timestamp) -> Result<(), Refusal> {
    match action {
        BatchAction::Maintenance { reason, until } => {
            super::nodes::check_reason(reason.as_deref())?;
            super::nodes::check_until(*until, now)
        }
        BatchAction::Retire { reason } => super::nodes::check_reason(reason.as_deref()),
        BatchAction::Resume | BatchAction::Restore => Ok(()),
        BatchAction::Label { set, remove } => {
            if set.0.is_empty() && remove.is_empty() {
                return Err(Refusal::invalid("action", "it names no label"));
            }
            set.check()
                .map_err(|error| Refusal::invalid("action.set", error))?;
            if remove.len() > label::MOST_LABELS {
                return Err(Refusal::invalid("action.remove", label::LabelError::TooMany));
            }
            remove
                .iter()
                .try_for_each(|name| label::check_name(name))
                .map_err(|error| Refusal::invalid("action.remove", error))
        }
    }
}

impl App {
    /// Begins a batch. Which nodes it means is judged as each has its turn.
    pub(crate) async fn create_batch(
        &self,
        asking: &Asking,
        wanted: CreateBatch,
    ) -> Result<(BatchView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        check(&wanted.action, self.world.now())?;
        let org = org_or_every(&asking.caller, wanted.org.clone())?;
        let id = BatchId::at(self.world.now(), self.world.random());
        let wrote = self
            .write(asking, |snapshot, now| {
                let open = snapshot.upkeep.open().filter_map(|id| snapshot.upkeep.batch(id));
                if open.filter(|held| held.doc.org == org).count() >= MOST_RUNNING {
                    return Err(
                        Refusal::plain(code::BATCHES_RUNNING).with_retry_after(Duration::from_secs(5))
                    );
                }
                let selection = selected::read(snapshot, org.as_ref(), &wanted)?;
                let mut batch = Batch {
                    id: id.clone(),
                    org: org.clone(),
                    action: wanted.action.clone(),
                    selection,
                    status: BatchStatus::Running,
                    status_reason: None,
                    total: 0,
                    counts: Counts::default(),
                    pages: 0,
                    turn: Vec::new(),
                    created_by: asking.caller.id.clone(),
                    created_at: now,
                    updated_at: now,
                    ended_at: None,
                };
                batch.total = selected::count(snapshot, &batch);
                if batch.total == 0 {
                    return Err(Refusal::new(code::NOT_FOUND, "no node is meant by that"));
                }
                batch.turn = selected::next(snapshot, &batch, None);
                let key = keys::batch(id.as_str());
                let home = org.clone().unwrap_or_default();
                let noted = match &org {
                    Some(_) => {
                        json!({ "action": batch.action, "selection": batch.selection, "nodes": batch.total })
                    }
                    None => told(&batch),
                };
                let change = Change::new(home, "batch.create", format!("batch:{id}"))
                    .noting(noted)
                    .tell("batch.started", told(&batch))
                    .transact(|txn| txn.when_absent(key.clone()).put(key, encode(&batch)));
                Ok(Wanted::Write(Box::new(change), BatchView::from(&batch)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, written)),
            Wrote::Replayed(subject) => {
                let id = subject.strip_prefix("batch:").and_then(|id| id.parse().ok());
                let id = id.ok_or_else(|| Refusal::plain(code::IDEMPOTENCY_REUSED))?;
                let held = self.batch(&asking.caller, &id)?;
                let written = Written::shown(held.revision);
                Ok((held.doc, written))
            }
        }
    }

    /// The batches the caller sees, the newest first.
    pub(crate) fn batches(
        &self,
        caller: &Caller,
        status: Option<BatchStatus>,
        before: Option<&BatchId>,
        limit: usize,
    ) -> Result<Page<BatchView>, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        let mut items: Vec<BatchView> = snapshot
            .upkeep
            .batches(before)
            .filter(|held| caller.orgs.covers(held.doc.org.as_ref()))
            .filter(|held| status.is_none_or(|status| held.doc.status == status))
            .take(limit + 1)
            .map(|held| BatchView::from(&held.doc))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_page_token = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Page {
            items,
            next_page_token,
        })
    }

    /// One batch.
    pub(crate) fn batch(&self, caller: &Caller, id: &BatchId) -> Result<Held<BatchView>, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        let held = seen(&snapshot, caller, id)?;
        Ok(Held {
            doc: BatchView::from(&held.doc),
            revision: held.revision,
        })
    }

    /// What came of each node so far, from a place on that an answer named, or 0.
    pub(crate) fn batch_results(
        &self,
        caller: &Caller,
        id: &BatchId,
        outcome: Option<NodeOutcome>,
        after: usize,
        limit: usize,
    ) -> Result<BatchResults, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        let batch = &seen(&snapshot, caller, id)?.doc;
        let mut items = Vec::new();
        // Where the next one is: pages before the last may be short, and are counted as if they were full.
        let mut place = after;
        let all = batch.pages as usize * PAGE;
        let first = u32::try_from(after / PAGE).unwrap_or(u32::MAX);
        for number in first..batch.pages.min(first.saturating_add(MOST_LOOKED_AT)) {
            let Some(page) = snapshot.upkeep.page(id, number) else {
                break;
            };
            let end = (number as usize + 1) * PAGE;
            let results = page.results();
            let within = place % PAGE;
            let left = results.len().saturating_sub(within);
            let mut looked = 0;
            for result in results.into_iter().skip(within) {
                if items.len() == limit {
                    break;
                }
                looked += 1;
                if outcome.is_none_or(|outcome| result.outcome == outcome) {
                    items.push(result);
                }
            }
            place = if looked == left { end } else { place + looked };
            if items.len() == limit {
                break;
            }
        }
        Ok(BatchResults {
            items,
            next_page_token: (place > after && place < all).then(|| place.to_string()),
        })
    }

    /// Calls a batch off: once this is answered, no further node is changed by it.
    pub(crate) async fn cancel_batch(
        &self,
        asking: &Asking,
        id: &BatchId,
    ) -> Result<(BatchView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let reason = format!("called off by {}", asking.caller.id);
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = seen(snapshot, &asking.caller, id)?;
                asking.check_match(held.revision, &BatchView::from(&held.doc))?;
                match held.doc.status {
                    BatchStatus::Running => {}
                    BatchStatus::Cancelled => return Ok(Wanted::Nothing(BatchView::from(&held.doc))),
                    BatchStatus::Completed => {
                        return Err(Refusal::new(
                            code::TRANSITION_REFUSED,
                            "a batch that is completed cannot be called off; what it did stays",
                        ));
                    }
                }
                let (change, batch) = ended(held, &reason, now);
                Ok(Wanted::Write(Box::new(change), BatchView::from(&batch)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, written)),
            Wrote::Replayed(_) => {
                let held = self.batch(&asking.caller, id)?;
                let written = Written::shown(held.revision);
                Ok((held.doc, written))
            }
        }
    }

    /// Removes what is kept of batches that ended long ago, or of the oldest where there are too many.
    pub(crate) async fn sweep_batches(&self) -> Result<(), Refusal> {
        let now = self.world.now();
        let snapshot = self.view.current();
        let mut pages = snapshot.upkeep.pages();
        let over: Vec<&std::sync::Arc<Held<Batch>>> = snapshot
            .upkeep
            .batches(None)
            .filter(|held| !held.doc.is_open())
            .collect();
        let many = too_many(over.iter().map(|held| held.doc.org.as_ref()));
        // The oldest first.
        for (held, many) in over.into_iter().zip(many).rev() {
            let old = now.since(held.doc.updated_at) >= self.config.history_keep;
            if !old && !many && pages <= MOST_PAGES {
                continue;
            }
            let id = &held.doc.id;
            let own: Vec<u32> = snapshot.upkeep.pages_of(id).collect();
            pages -= own.len();
            // The document goes last: as long as there are pages there is something that leads to them.
            for some in own.chunks(TOGETHER) {
                let pages = some.iter().map(|page| keys::batch_page(id.as_str(), *page));
                let _ = self.store.txn(pages.fold(Txn::new(), Txn::delete)).await?;
            }
            let key = keys::batch(id.as_str());
            let _ = self.store.txn(Txn::new().delete(key)).await?;
        }
        Ok(())
    }
}

/// Which batches are more than are kept of their organisation. The newest come first.
fn too_many<'a>(orgs: impl Iterator<Item = Option<&'a OrgId>>) -> Vec<bool> {
    let mut kept: HashMap<Option<&OrgId>, usize> = HashMap::new();
    orgs.map(|org| {
        let kept = kept.entry(org).or_default();
        *kept += 1;
        *kept > MOST_ENDED
    })
    .collect()
}

/// A batch, where the caller sees it.
fn seen<'a>(
    snapshot: &'a Snapshot,
    caller: &Caller,
    id: &BatchId,
) -> Result<&'a std::sync::Arc<Held<Batch>>, Refusal> {
    snapshot
        .upkeep
        .batch(id)
        .filter(|held| caller.orgs.covers(held.doc.org.as_ref()))
        .ok_or_else(|| Refusal::not_found("batch"))
}

/// The change that ends a batch before every node had its turn.
fn ended(held: &Held<Batch>, reason: &str, now: Timestamp) -> (Change, Batch) {
    let batch = Batch {
        status: BatchStatus::Cancelled,
        status_reason: Some(reason.to_owned()),
        updated_at: now,
        ended_at: Some(now),
        ..held.doc.clone()
    };
    let id = &batch.id;
    let key = keys::batch(id.as_str());
    let home = batch.org.clone().unwrap_or_default();
    let change = Change::new(home, "batch.cancel", format!("batch:{id}"))
        .noting(json!({ "reason": reason }))
        .tell("batch.cancelled", told(&batch))
        .transact(|txn| {
            txn.when_unchanged(key.clone(), held.revision)
                .put(key, encode(&batch))
        });
    (change, batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_many_batches_of_one_organisation_cost_another_none() {
        let (busy, quiet): (OrgId, OrgId) = ("busy".parse().unwrap(), "quiet".parse().unwrap());
        let busy_ones = std::iter::repeat_n(Some(&busy), MOST_ENDED + 2);
        let many = too_many(busy_ones.chain([Some(&quiet), None]));
        let over: Vec<usize> = (0..many.len()).filter(|at| many[*at]).collect();
        assert_eq!(over, [MOST_ENDED, MOST_ENDED + 1]);
    }
}
