//! Rollouts as callers and `/metrics` see them.

use std::collections::BTreeMap;

use aami_api::rollout::{FailedUpdate, MOST_NAMED, RolloutView, Rollouts};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::rollout::{self, Due, NodeStanding, Tally};
use aami_model::{NodeId, code};
use aami_monitor::rollout::OfGroup;
use aami_store::Revision;

use super::members::Member;
use super::{name_of, rollout_of};
use crate::app::{App, Refusal, access};
use crate::view::linked::RolloutDocument;
use crate::view::{Held, Snapshot};

impl App {
    fn rollout_shown(
        &self,
        snapshot: &Snapshot,
        doc: &RolloutDocument,
        members: &[Member<'_>],
    ) -> RolloutView {
        let standings: Vec<(NodeId, NodeStanding)> = members
            .iter()
            .map(|member| (member.node.id.clone(), member.standing))
            .collect();
        let reason = doc.reason.clone().unwrap_or_else(|| {
            match rollout::judge(&doc.plan, doc.status, &standings, self.world.now()) {
                Due::Wait(why) => why.to_owned(),
                Due::Move(_) | Due::Tell(_) => "the next nodes are told".to_owned(),
            }
        });
        let mut versions: BTreeMap<String, u32> = BTreeMap::new();
        for member in members {
            *versions.entry(member.agent.to_owned()).or_default() += 1;
        }
        let failed = members
            .iter()
            .filter(|member| member.standing == NodeStanding::Failed)
            .filter_map(|member| {
                let tried = member.tried?;
                if doc.plan.is_met_by(member.agent) {
                    let gone = code::NODE_NOT_CONNECTED;
                    return Some(FailedUpdate {
                        node_id: member.node.id.clone(),
                        hostname: member.node.hostname.to_string(),
                        code: Some(gone.symbol.to_owned()),
                        message: "it came up with the version, and is not connected any more".to_owned(),
                        at: member.node.status_since,
                    });
                }
                Some(FailedUpdate {
                    node_id: member.node.id.clone(),
                    hostname: member.node.hostname.to_string(),
                    code: tried.code.clone(),
                    message: tried.message.clone(),
                    at: tried.at,
                })
            });
        let group = snapshot.group(&doc.group, &Orgs::All);
        RolloutView {
            group: doc.group.clone(),
            group_name: group.map_or_else(|| doc.group.to_string(), |held| held.doc.name.clone()),
            org: doc.org.clone(),
            plan: doc.plan.clone(),
            status: doc.status,
            status_since: doc.status_since,
            reason,
            began_at: doc.began_at,
            created_by: doc.created_by.clone(),
            nodes: Tally::of(standings.iter().map(|(_, standing)| standing)),
            versions,
            failed: failed.take(MOST_NAMED).collect(),
        }
    }

    /// The rollouts the caller sees.
    pub(crate) fn rollouts(&self, caller: &Caller) -> Result<Rollouts, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        let members = self.members(&snapshot, &caller.orgs);
        let seen = snapshot.linked.rollouts.values();
        let rollouts = seen
            .filter(|held| caller.orgs.includes(&held.doc.org))
            .map(|held| {
                let members = members.get(&held.doc.group).map_or(&[][..], Vec::as_slice);
                self.rollout_shown(&snapshot, &held.doc, members)
            })
            .collect();
        Ok(Rollouts { rollouts })
    }

    /// The rollout of one group, and the revision it was last changed at.
    pub(crate) fn rollout(&self, caller: &Caller, group: &str) -> Result<(RolloutView, Revision), Refusal> {
        access::require(caller, Role::Viewer)?;
        let id = self.group(caller, group)?.doc.id;
        let snapshot = self.view.current();
        let held = rollout_of(&snapshot, &id, &caller.orgs)?;
        Ok((self.rollout_seen(&snapshot, held, caller), held.revision))
    }

    pub(super) fn rollout_seen(
        &self,
        snapshot: &Snapshot,
        held: &Held<RolloutDocument>,
        caller: &Caller,
    ) -> RolloutView {
        let members = self.members(snapshot, &caller.orgs);
        let members = members.get(&held.doc.group).map_or(&[][..], Vec::as_slice);
        self.rollout_shown(snapshot, &held.doc, members)
    }

    /// How rollouts stand, for `/metrics`.
    pub(crate) fn rollout_metrics(&self, orgs: &Orgs) -> String {
        let snapshot = self.view.current();
        let members = self.members(&snapshot, orgs);
        let seen: Vec<OfGroup> = snapshot
            .linked
            .rollouts
            .values()
            .filter(|held| orgs.includes(&held.doc.org))
            .map(|held| {
                let members = members.get(&held.doc.group).map_or(&[][..], Vec::as_slice);
                OfGroup {
                    org: held.doc.org.to_string(),
                    group: name_of(&snapshot, &held.doc.group),
                    status: held.doc.status,
                    nodes: Tally::of(members.iter().map(|member| &member.standing)),
                }
            })
            .collect();
        aami_monitor::rollout::metrics(&seen)
    }
}
