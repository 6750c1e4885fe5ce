//! The updates of groups' agents: begun, held and let go on by an operator, driven by the replica that leads.
//!
//! What is stored is the wish and how far it is (`rollouts/{group}`); how its nodes stand follows from what they say:
//! which agent is connected, which command is under way, how the last try ended. So a control plane that was
//! restarted, or another that took the lead, goes on where the nodes are, and what it does twice harms nothing: a
//! node is told once a connection, and only while the stored wish is what was judged.

use std::collections::{BTreeMap, HashMap};

use aami_api::command::GiveCommand;
use aami_api::rollout::{FailedUpdate, MOST_NAMED, RolloutView, Rollouts};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::rollout::{self, Due, NodeStanding, RolloutPlan, RolloutStatus, RolloutTrigger, Tally};
use aami_model::{GroupId, NodeId, code};
use aami_monitor::rollout::OfGroup;
use aami_store::{Revision, keys};
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Written, Wrote};
use super::{App, Asking, Idempotency, Refusal, access};
use crate::view::document::encode;
use crate::view::linked::{
    CommandDocument, ReportedDocument, RolloutDocument, TriedDocument, UntakenDocument,
};
use crate::view::{Held, Snapshot};

/// How long a node may take to fetch a release, try it, and go back where it does not come up, in seconds.
const UPDATE_TIMEOUT: u32 = 1200;

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

/// What is known of one node of a rollout.
struct Member<'a> {
    node: &'a Node,
    agent: &'a str,
    standing: NodeStanding,
    tried: Option<&'a TriedDocument>,
}

impl App {
    /// Every rollout with the nodes it decides about, looked at once.
    fn members<'a>(&self, snapshot: &'a Snapshot, orgs: &'a Orgs) -> BTreeMap<GroupId, Vec<Member<'a>>> {
        let mut members: BTreeMap<GroupId, Vec<Member<'a>>> = BTreeMap::new();
        if snapshot.linked.rollouts.is_empty() {
            return members;
        }
        let under_way: HashMap<&NodeId, &str> = snapshot
            .linked
            .commands
            .values()
            .filter(|held| matches!(held.doc.status, CommandStatus::Sent | CommandStatus::Accepted))
            .filter_map(|held| match &held.doc.command {
                NodeCommand::UpdateAgent { version } => Some((&held.doc.node, version.as_str())),
                _ => None,
            })
            .collect();
        for held in snapshot.nodes(orgs, None) {
            let node = &held.doc;
            let (Some(rollout), Some(conn)) = (governing(snapshot, node), snapshot.linked.conn(&node.id))
            else {
                continue;
            };
            if node.status == NodeStatus::Inactive {
                continue;
            }
            let (rollout, agent) = (&rollout.doc, conn.doc.agent_version.as_str());
            let reported = snapshot.linked.reported.get(&node.id);
            // What came up stays so when an operator lets it go on; what failed is tried again then.
            let took = reported
                .and_then(|held| held.doc.update.as_ref())
                .filter(|tried| tried.version == rollout.plan.version && tried.at >= rollout.began_at);
            let tried = took.filter(|tried| tried.at >= rollout.tries_since);
            let untaken = reported
                .and_then(|held| held.doc.untaken.as_ref())
                .filter(|untaken| {
                    untaken.version == rollout.plan.version && untaken.at >= rollout.tries_since
                });
            let is_met = rollout.plan.is_met_by(agent);
            let is_connected = self.is_connected(snapshot, &node.id);
            let standing = if under_way.get(&node.id) == Some(&rollout.plan.version.as_str()) {
                NodeStanding::Updating
            } else if is_met && is_connected {
                match took {
                    Some(_) => NodeStanding::Updated { since: conn.doc.at },
                    // By its own word, which is no try.
                    None => NodeStanding::Untried,
                }
            } else if tried.is_some() && !is_met {
                // Also one that says it was done and still is another version.
                NodeStanding::Failed
            } else if took.is_some()
                && is_met
                && rollout.status != RolloutStatus::Done
                && node.status != NodeStatus::Maintenance
            {
                // It came up and went. Once it is written off that is a failure, until an operator says to go on.
                if node.status != NodeStatus::Offline {
                    NodeStanding::Lost
                } else if node.status_since >= rollout.tries_since {
                    NodeStanding::Failed
                } else {
                    NodeStanding::Away
                }
            } else if !is_connected {
                NodeStanding::Away
            } else if let Some(untaken) = untaken {
                NodeStanding::Silent {
                    until: untaken.at.plus(rollout::silence_after(untaken.times)),
                }
            } else {
                NodeStanding::Waiting
            };
            members.entry(rollout.group.clone()).or_default().push(Member {
                node,
                agent,
                standing,
                tried,
            });
        }
        members
    }

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

    fn rollout_seen(
        &self,
        snapshot: &Snapshot,
        held: &Held<RolloutDocument>,
        caller: &Caller,
    ) -> RolloutView {
        let members = self.members(snapshot, &caller.orgs);
        let members = members.get(&held.doc.group).map_or(&[][..], Vec::as_slice);
        self.rollout_shown(snapshot, &held.doc, members)
    }

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

    /// Whether nodes are told to update themselves at this moment.
    pub(crate) fn has_moving_rollout(&self) -> bool {
        let snapshot = self.view.current();
        let mut all = snapshot.linked.rollouts.values();
        all.any(|held| held.doc.status.is_moving())
    }

    /// Does what is due in every rollout, once. Doing it twice harms nothing.
    pub(crate) async fn drive_rollouts(&self) {
        let snapshot = self.view.current();
        let now = self.world.now();
        let mut due: Vec<(GroupId, Due, Tally)> = Vec::new();
        for (group, members) in self.members(&snapshot, &Orgs::All) {
            let Some(held) = snapshot.linked.rollouts.get(&group) else {
                continue;
            };
            let standings: Vec<(NodeId, NodeStanding)> = members
                .iter()
                .map(|member| (member.node.id.clone(), member.standing))
                .collect();
            let tally = Tally::of(standings.iter().map(|(_, standing)| standing));
            let next = rollout::judge(&held.doc.plan, held.doc.status, &standings, now);
            due.push((group, next, tally));
        }
        for (group, due, tally) in due {
            let done = match due {
                Due::Wait(_) => continue,
                Due::Move(trigger) => self.move_rollout(&group, trigger, tally).await,
                Due::Tell(nodes) => self.tell_rollout(&snapshot, &group, &nodes).await,
            };
            if let Err(refusal) = done {
                tracing::warn!(%group, code = %refusal.code, error = %refusal, "a rollout could not be driven");
            }
        }
    }

    async fn move_rollout(
        &self,
        group: &GroupId,
        trigger: RolloutTrigger,
        tally: Tally,
    ) -> Result<(), Refusal> {
        let reason = (trigger == RolloutTrigger::TooManyFailed).then(|| {
            let (failed, tried) = (tally.failed, tally.tried());
            format!("{failed} of the {tried} nodes that tried went back to their old agent")
        });
        self.write(&Asking::by(Caller::system()), |snapshot, _| {
            let Some(held) = snapshot.linked.rollouts.get(group) else {
                return Ok(Wanted::Nothing(()));
            };
            // Whoever held it meanwhile is not overruled.
            let change = self
                .rollout_moved(snapshot, held, trigger, reason.clone())
                .unwrap_or_default();
            Ok(change.map_or(Wanted::Nothing(()), |change| Wanted::Write(Box::new(change), ())))
        })
        .await?;
        Ok(())
    }

    /// Tells nodes to update themselves; each once, until it is known how that ended.
    async fn tell_rollout(
        &self,
        snapshot: &Snapshot,
        group: &GroupId,
        nodes: &[NodeId],
    ) -> Result<(), Refusal> {
        let Some(held) = snapshot.linked.rollouts.get(group) else {
            return Ok(());
        };
        let version = &held.doc.plan.version;
        for node in nodes {
            let Some(conn) = snapshot.linked.conn(node) else {
                continue;
            };
            let (tries, generation) = (held.doc.tries_since.millis(), conn.revision.get());
            // What it was told before has ended, and left its time here.
            let reported = snapshot.linked.reported.get(node).map(|held| &held.doc);
            let tried = reported.and_then(|doc| Some(doc.update.as_ref()?.at.millis()));
            let untaken = reported.and_then(|doc| Some(doc.untaken.as_ref()?.at.millis()));
            let last = format!("{} {}", tried.unwrap_or_default(), untaken.unwrap_or_default());
            let asking = Asking {
                // Two who both believe that they lead tell it once.
                idempotency: Some(Idempotency {
                    key: format!("rollout {group} {node} {tries} {generation} {last}"),
                    request_hash: version.clone(),
                }),
                // Whoever held or stopped it meanwhile is heard.
                fence: Some((keys::rollout(group), held.revision)),
                ..Asking::by(Caller::system())
            };
            let order = GiveCommand {
                command: NodeCommand::UpdateAgent {
                    version: version.clone(),
                },
                timeout_seconds: Some(UPDATE_TIMEOUT),
            };
            match self.give_command(&asking, node, order).await {
                Ok(_) => {}
                // It is away by now, or busy: its turn comes again.
                Err(refusal)
                    if [code::NODE_NOT_CONNECTED, code::COMMANDS_WAITING].contains(&refusal.code) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
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

/// Notes how a command to update the agent ended, where it is one that did.
pub(super) fn note_try(reported: &mut ReportedDocument, ended: &CommandDocument) {
    let NodeCommand::UpdateAgent { version } = &ended.command else {
        return;
    };
    let Some(at) = ended.ended_at else { return };
    let busy = ended.code.as_deref() == Some(code::COMMAND_BUSY.symbol);
    let ok = match ended.status {
        CommandStatus::Completed => true,
        CommandStatus::Failed if !busy => false,
        CommandStatus::Unknown if ended.accepted_at.is_some() => false,
        // One that was never taken was no try.
        CommandStatus::Failed | CommandStatus::Unknown => {
            let before = reported
                .untaken
                .take()
                .filter(|before| before.version == *version);
            reported.untaken = Some(UntakenDocument {
                version: version.clone(),
                times: before.map_or(0, |before| before.times).saturating_add(1),
                at,
            });
            return;
        }
        CommandStatus::Sent | CommandStatus::Accepted => return,
    };
    reported.untaken = None;
    reported.update = Some(TriedDocument {
        version: version.clone(),
        ok,
        code: ended.code.clone(),
        message: ended.message.clone(),
        at,
    });
}
