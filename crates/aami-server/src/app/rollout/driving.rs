//! What is due in a rollout is done here, by the replica that leads: nodes are told, and the rollout moves on.

use aami_api::command::GiveCommand;
use aami_model::access::{Caller, Orgs};
use aami_model::command::NodeCommand;
use aami_model::rollout::{self, Due, NodeStanding, RolloutTrigger, Tally};
use aami_model::{GroupId, NodeId, code};
use aami_store::keys;

use crate::app::commit::Wanted;
use crate::app::{App, Asking, Idempotency, Refusal};
use crate::view::Snapshot;

/// How long a node may take to fetch a release, try it, and go back where it does not come up, in seconds.
const UPDATE_TIMEOUT: u32 = 1200;

impl App {
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
}
