//! The updates of groups' agents: begun, held and let go on by an operator, driven by the replica that leads.
//!
//! What is stored is the wish and how far it is (`rollouts/{group}`); how its nodes stand follows from what they say:
//! which agent is connected, which command is under way, how the last try ended. So a control plane that was
//! restarted, or another that took the lead, goes on where the nodes are, and what it does twice harms nothing: a
//! node is told once a connection, and only while the stored wish is what was judged.

mod driving;
mod members;
mod shown;
mod tried;

use aami_api::rollout::RolloutView;
use aami_model::access::{Orgs, Role};
use aami_model::node::Node;
use aami_model::rollout::{self, RolloutPlan, RolloutStatus, RolloutTrigger};
use aami_model::{GroupId, code};
use aami_store::{Revision, keys};
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Written, Wrote};
use super::{App, Asking, Refusal, access};
use crate::view::document::encode;
use crate::view::linked::RolloutDocument;
use crate::view::{Held, Snapshot};
pub(super) use tried::note_try;

/// The rollout that decides about a node's agent: of several groups' a pinned one, then the one that began last.
pub(crate) fn governing<'a>(snapshot: &'a Snapshot, node: &Node) -> Option<&'a Held<RolloutDocument>> {
    if snapshot.linked.rollouts.is_empty() {
        return None;
    }
    let of_groups = node.groups.iter();
    let all = of_groups.filter_map(|group| snapshot.linked.rollouts.get(group));
    all.map(std::sync::Arc::as_ref)
        .max_by_key(|held| (held.doc.plan.pinned, held.doc.began_at, held.doc.group.clone()))
}

impl App {
    /// Refuses where the caller has seen another state of the rollout than it is in; none has the revision zero.
    fn check_rollout(
        &self,
        asking: &Asking,
        snapshot: &Snapshot,
        held: Option<&Held<RolloutDocument>>,
    ) -> Result<(), Refusal> {
        let revision = held.map_or(Revision::ZERO, |held| held.revision);
        if asking.if_match.is_none_or(|seen| seen == revision) {
            return Ok(());
        }
        let current = held.map(|held| self.rollout_seen(snapshot, held, &asking.caller));
        asking.check_match(revision, &current)
    }

    /// Begins a rollout, or turns the one there is to another wish. The same wish again changes nothing.
    pub(crate) async fn set_rollout(
        &self,
        asking: &Asking,
        group: &str,
        plan: RolloutPlan,
    ) -> Result<(RolloutView, Revision, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        plan.check().map_err(|error| Refusal::invalid("rollout", error))?;
        let id = self.group(&asking.caller, group)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .group(&id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("group"))?;
                let before = snapshot.linked.rollouts.get(&id);
                self.check_rollout(asking, snapshot, before.map(std::sync::Arc::as_ref))?;
                if before.is_some_and(|before| before.doc.plan == plan) {
                    return Ok(Wanted::Nothing(()));
                }
                let doc = RolloutDocument {
                    group: id.clone(),
                    org: held.doc.org.clone(),
                    plan: plan.clone(),
                    status: if plan.canaries == 0 {
                        RolloutStatus::Rolling
                    } else {
                        RolloutStatus::Canary
                    },
                    status_since: now,
                    reason: None,
                    past_canaries: plan.canaries == 0,
                    tries_since: now,
                    began_at: now,
                    created_by: asking.caller.id.clone(),
                };
                let change = Change::new(doc.org.clone(), "rollout.start", format!("group:{id}"))
                    .noting(json!({ "group": held.doc.name, "plan": plan }))
                    .tell("rollout.started", told(&held.doc.name, &doc))
                    .transact(|txn| {
                        let txn = match before {
                            Some(before) => txn.when_unchanged(keys::rollout(&id), before.revision),
                            None => txn.when_absent(keys::rollout(&id)),
                        };
                        // A group that is deleted meanwhile takes its rollout with it.
                        txn.when_unchanged(keys::group(&id), held.revision)
                            .put(keys::rollout(&id), encode(&doc))
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        self.answer_rollout(asking, &id, wrote)
    }

    /// Ends the wish: what was updated stays, and nobody else is told.
    pub(crate) async fn stop_rollout(&self, asking: &Asking, group: &str) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let id = self.group(&asking.caller, group)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = rollout_of(snapshot, &id, &asking.caller.orgs)?;
                self.check_rollout(asking, snapshot, Some(held))?;
                let name = name_of(snapshot, &id);
                let change = Change::new(held.doc.org.clone(), "rollout.stop", format!("group:{id}"))
                    .tell("rollout.stopped", told(&name, &held.doc))
                    .transact(|txn| {
                        txn.when_unchanged(keys::rollout(&id), held.revision)
                            .delete(keys::rollout(&id))
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }

    /// Holds a rollout, or lets one go on; what failed before is tried again then.
    pub(crate) async fn hold_rollout(
        &self,
        asking: &Asking,
        group: &str,
        hold: bool,
    ) -> Result<(RolloutView, Revision, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let id = self.group(&asking.caller, group)?.doc.id;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = rollout_of(snapshot, &id, &asking.caller.orgs)?;
                self.check_rollout(asking, snapshot, Some(held))?;
                let trigger = if hold {
                    RolloutTrigger::Paused
                } else {
                    RolloutTrigger::Resumed {
                        past_canaries: held.doc.past_canaries,
                    }
                };
                let change = self.rollout_moved(snapshot, held, trigger, None);
                let change = change.map_err(|why| Refusal::new(code::TRANSITION_REFUSED, why))?;
                Ok(change.map_or(Wanted::Nothing(()), |change| Wanted::Write(Box::new(change), ())))
            })
            .await?;
        self.answer_rollout(asking, &id, wrote)
    }

    fn answer_rollout(
        &self,
        asking: &Asking,
        id: &GroupId,
        wrote: Wrote<()>,
    ) -> Result<(RolloutView, Revision, Written), Refusal> {
        let written = match wrote {
            Wrote::Fresh((), written) => written,
            Wrote::Replayed(_) => Written::shown(self.view.revision()),
        };
        let (view, revision) = self.rollout(&asking.caller, id.as_str())?;
        Ok((view, revision, written))
    }

    /// The change that a trigger makes of a rollout; nothing where it makes none. The reason says why it may not.
    fn rollout_moved(
        &self,
        snapshot: &Snapshot,
        held: &Held<RolloutDocument>,
        trigger: RolloutTrigger,
        reason: Option<String>,
    ) -> Result<Option<Change>, &'static str> {
        let Some(status) = rollout::next(held.doc.status, trigger)? else {
            return Ok(None);
        };
        let now = self.world.now();
        let mut doc = held.doc.clone();
        (doc.status, doc.status_since, doc.reason) = (status, now, reason);
        doc.past_canaries |= status == RolloutStatus::Rolling;
        if matches!(trigger, RolloutTrigger::Resumed { .. }) {
            doc.tries_since = now;
        }
        let event = match trigger {
            RolloutTrigger::CanariesStood => "rollout.canaries_stood",
            RolloutTrigger::AllUpdated => "rollout.done",
            RolloutTrigger::NodeBehind => "rollout.went_on",
            RolloutTrigger::TooManyFailed => "rollout.halted",
            RolloutTrigger::Paused => "rollout.paused",
            RolloutTrigger::Resumed { .. } => "rollout.resumed",
        };
        let key = keys::rollout(&doc.group);
        let change = Change::new(doc.org.clone(), "rollout.move", format!("group:{}", doc.group))
            .noting(json!({ "from": held.doc.status, "to": doc.status, "reason": doc.reason }))
            .tell(event, told(&name_of(snapshot, &doc.group), &doc))
            .transact(|txn| {
                txn.when_unchanged(key.clone(), held.revision)
                    .put(key, encode(&doc))
            });
        Ok(Some(change))
    }
}

fn rollout_of<'a>(
    snapshot: &'a Snapshot,
    group: &GroupId,
    orgs: &Orgs,
) -> Result<&'a Held<RolloutDocument>, Refusal> {
    let held = snapshot.linked.rollouts.get(group).map(std::sync::Arc::as_ref);
    held.filter(|held| orgs.includes(&held.doc.org))
        .ok_or_else(|| Refusal::not_found("rollout"))
}

fn name_of(snapshot: &Snapshot, group: &GroupId) -> String {
    let held = snapshot.group(group, &Orgs::All);
    held.map_or_else(|| group.to_string(), |held| held.doc.name.clone())
}

fn told(group: &str, doc: &RolloutDocument) -> Value {
    json!({
        "group": group,
        "groupId": doc.group,
        "version": doc.plan.version,
        "pinned": doc.plan.pinned,
        "status": doc.status,
        "reason": doc.reason,
    })
}
