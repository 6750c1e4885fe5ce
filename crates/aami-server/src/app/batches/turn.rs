//! The nodes whose turn it is have it.

use std::sync::Arc;

use aami_api::node::NodeView;
use aami_model::access::{Caller, Orgs, Role};
use aami_model::batch::{Batch, BatchAction, BatchStatus, NodeOutcome, NodeResult};
use aami_model::{BatchId, KeyId, NodeId, Timestamp, code};
use aami_store::{Key, keys};
use futures::StreamExt as _;

use super::super::commit::{Change, Wanted};
use super::super::nodes::Wish;
use super::super::{App, Asking, Idempotency, Refusal, access};
use super::{ended, selected, told};
use crate::view::document::encode;
use crate::view::upkeep::PageDocument;
use crate::view::{Held, Snapshot};

/// How many nodes are changed at once.
const TOGETHER: usize = 16;
/// How long a refusal may be that is kept.
const LONGEST: usize = 300;

/// Whether it is worth trying the same again: nothing was decided about the node.
fn is_for_now(refusal: &Refusal) -> bool {
    refusal.retry_after.is_some()
        || refusal.code == code::CONFLICT
        || (refusal.code.http >= 500 && refusal.code != code::INTERNAL)
}

/// Under which key one node's change is made at most once, and where that is remembered.
fn once(batch: &Batch, node: &NodeId) -> (String, Key) {
    let key = format!("batch:{}:{node}", batch.id);
    let place = keys::idem(&batch.created_by, &key);
    (key, place)
}

impl App {
    /// The batches of which something is left to be done.
    pub(crate) fn open_batches(&self) -> Vec<BatchId> {
        self.view.current().upkeep.open().cloned().collect()
    }

    /// Gives those their turn whose turn it is, and notes what came of them. True when more is to be done.
    ///
    /// Fails where the store does not take it now. Then the same nodes have their turn again; what was done already
    /// is known by its key and not done twice.
    pub(crate) async fn advance_batch(&self, id: &BatchId) -> Result<bool, Refusal> {
        let snapshot = self.view.current();
        let Some(held) = snapshot.upkeep.batch(id).filter(|held| held.doc.is_open()) else {
            return Ok(false);
        };
        let batch = &held.doc;
        if batch.status != BatchStatus::Running {
            // Called off in the middle of a page. What was done of it is known by now: nothing of it comes later.
            let done = batch
                .turn
                .iter()
                .filter_map(|node| done_before(&snapshot, batch, node));
            self.note_page(held, &done.collect::<Vec<_>>()).await?;
            return Ok(false);
        }
        let Some(caller) = self.caller_of(&snapshot, batch) else {
            let reason = format!("{} may no longer do this", batch.created_by);
            self.stop_batch(held, &reason).await?;
            return Ok(true);
        };
        let (at, caller) = (&snapshot, &caller);
        let turns: Vec<Result<NodeResult, Refusal>> = futures::stream::iter(batch.turn.clone())
            .map(|node| async move { self.one_turn(at, held, caller, &node).await })
            .buffered(TOGETHER)
            .collect()
            .await;
        let results = turns.into_iter().collect::<Result<Vec<_>, _>>()?;
        self.note_page(held, &results).await?;
        Ok(true)
    }

    /// Whoever began a batch, as they are now: one whose key is gone, or may no longer do this, is nobody.
    fn caller_of(&self, snapshot: &Snapshot, batch: &Batch) -> Option<Caller> {
        let id: KeyId = batch.created_by.strip_prefix("key:")?.parse().ok()?;
        let caller = Caller::of_key(&snapshot.key(&id)?.doc, self.world.now())?;
        let may = access::require(&caller, Role::Operator).is_ok();
        (may && caller.orgs.covers(batch.org.as_ref())).then_some(caller)
    }

    async fn stop_batch(&self, held: &Held<Batch>, reason: &str) -> Result<(), Refusal> {
        self.write(&Asking::by(Caller::system()), |snapshot, now| {
            Ok(match unchanged(snapshot, held) {
                true => Wanted::Write(Box::new(ended(held, reason, now).0), ()),
                false => Wanted::Nothing(()),
            })
        })
        .await?;
        Ok(())
    }

    /// One node's turn. Fails only where nothing was decided about it.
    async fn one_turn(
        &self,
        snapshot: &Snapshot,
        held: &Held<Batch>,
        caller: &Caller,
        node: &NodeId,
    ) -> Result<NodeResult, Refusal> {
        let batch = &held.doc;
        if let Some(result) = done_before(snapshot, batch, node) {
            return Ok(result);
        }
        let asking = Asking {
            idempotency: Some(Idempotency {
                key: once(batch, node).0,
                request_hash: batch.id.to_string(),
            }),
            fence: Some((keys::batch(batch.id.as_str()), held.revision)),
            // Whose turn it is was noted a while ago where whoever led then has died since.
            fitting: Some(Arc::new(selected::filter(batch))),
            ..Asking::by(caller.clone())
        };
        let before = self.view.current();
        if self.caller_of(&before, batch).is_none() {
            // Since the page was begun; the next look stops the batch.
            return Err(Refusal::new(
                code::CONFLICT,
                "whoever began it may no longer do this",
            ));
        }
        let orgs = selected::orgs_of(batch.org.as_ref());
        let mut result = result(&before, batch, node, NodeOutcome::Refused);
        let acted = match before.node(node, &orgs) {
            Some(_) => self.act(&asking, node, &batch.action).await,
            None => Err(Refusal::not_found("node")),
        };
        match acted {
            Ok(after) => {
                let was = before.node(node, &orgs).map(|held| NodeView::from(&held.doc));
                result.status = Some(after.status);
                let after = NodeView {
                    silence: None,
                    ..after
                };
                result.outcome = match was == Some(after) {
                    true => NodeOutcome::Unchanged,
                    false => NodeOutcome::Done,
                };
            }
            Err(refusal) if is_for_now(&refusal) => return Err(refusal),
            Err(refusal) => {
                result.code = Some(refusal.code.symbol.to_owned());
                result.detail = Some(refusal.detail.chars().take(LONGEST).collect());
            }
        }
        Ok(result)
    }

    /// Does it, as it is done to one node alone.
    async fn act(&self, asking: &Asking, node: &NodeId, action: &BatchAction) -> Result<NodeView, Refusal> {
        let (wish, reason, until) = match action {
            BatchAction::Maintenance { reason, until } => (Wish::Maintenance, reason.clone(), *until),
            BatchAction::Resume => (Wish::Resume, None, None),
            BatchAction::Retire { reason } => (Wish::Retire, reason.clone(), None),
            BatchAction::Restore => (Wish::Restore, None, None),
            BatchAction::Label { set, remove } => {
                return Ok(self.relabel_node(asking, node, set, remove).await?.0);
            }
        };
        Ok(self.move_node(asking, node, wish, reason, until).await?.0)
    }

    /// Notes what came of those whose turn it was, and whose turn is next.
    async fn note_page(&self, held: &Held<Batch>, results: &[NodeResult]) -> Result<(), Refusal> {
        let id = &held.doc.id;
        let asking = Asking::by(Caller {
            id: held.doc.created_by.clone(),
            ..Caller::system()
        });
        self.write(&asking, |snapshot, now| {
            if !unchanged(snapshot, held) {
                return Ok(Wanted::Nothing(()));
            }
            let batch = advanced(snapshot, &held.doc, results, now);
            let home = batch.org.clone().unwrap_or_default();
            let mut change = Change::new(home, "batch.complete", format!("batch:{id}")).quiet();
            if held.doc.status == BatchStatus::Running && batch.status == BatchStatus::Completed {
                change = change.tell("batch.completed", told(&batch));
            }
            let key = keys::batch(id.as_str());
            let change = change.transact(|txn| {
                let mut txn = txn
                    .when_unchanged(key.clone(), held.revision)
                    .put(key, encode(&batch));
                if !results.is_empty() {
                    let page = keys::batch_page(id.as_str(), held.doc.pages);
                    txn = txn.put(page, encode(&PageDocument::of(results)));
                }
                // From here on the pages tell what was done.
                let turn = held.doc.turn.iter();
                turn.fold(txn, |txn, node| txn.delete(once(&held.doc, node).1))
            });
            Ok(Wanted::Write(Box::new(change), ()))
        })
        .await?;
        Ok(())
    }
}

fn unchanged(snapshot: &Snapshot, held: &Held<Batch>) -> bool {
    let now = snapshot.upkeep.batch(&held.doc.id);
    now.is_some_and(|now| now.revision == held.revision)
}

/// What is known of a node, with what came of it.
fn result(snapshot: &Snapshot, batch: &Batch, node: &NodeId, outcome: NodeOutcome) -> NodeResult {
    let orgs: Orgs = selected::orgs_of(batch.org.as_ref());
    let known = snapshot.node(node, &orgs).map(|held| &held.doc);
    NodeResult {
        node: node.clone(),
        hostname: known.map(|node| node.hostname.to_string()).unwrap_or_default(),
        outcome,
        status: known.map(|node| node.status),
        code: None,
        detail: None,
    }
}

/// What came of a node that was changed, but not noted, before: whoever led then may have died in between.
fn done_before(snapshot: &Snapshot, batch: &Batch, node: &NodeId) -> Option<NodeResult> {
    snapshot.idempotency(&once(batch, node).1)?;
    Some(result(snapshot, batch, node, NodeOutcome::Done))
}

/// A batch after those had their turn whose turn it was.
fn advanced(snapshot: &Snapshot, batch: &Batch, results: &[NodeResult], now: Timestamp) -> Batch {
    let mut next = Batch {
        pages: batch.pages + u32::from(!results.is_empty()),
        turn: Vec::new(),
        updated_at: now,
        ..batch.clone()
    };
    for result in results {
        next.counts.add(result.outcome);
    }
    // Some may have come to fit, or to fit no longer, since it was counted.
    next.total = batch.total.max(next.counts.all());
    if batch.status == BatchStatus::Running {
        next.turn = selected::next(snapshot, batch, batch.turn.last());
        if next.turn.is_empty() {
            (next.status, next.ended_at, next.total) = (BatchStatus::Completed, Some(now), next.counts.all());
        }
    }
    next
}
