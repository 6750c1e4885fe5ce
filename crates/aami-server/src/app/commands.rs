//! Commands to connected nodes: given by an operator, sent by whichever replica holds the node's socket, ended by the
//! node's answer or by time.
//!
//! The document in the store is what is sent: the replica that holds the socket sees it appear and sends it, and
//! sends it again to a node that reconnects before it has taken it. A node does each command once.

use std::time::Duration;

use aami_api::command::{CommandView, Commands, GiveCommand, LONGEST_TIMEOUT, USUAL_TIMEOUT};
use aami_api::link::{CommandResult, Down, LONGEST_OUTPUT, Order};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::node::Node;
use aami_model::version::Version;
use aami_model::{CommandId, NodeId, Timestamp, code};
use aami_store::{Txn, keys};
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Written, Wrote, node_data};
use super::connections::reported_of;
use super::each::each;
use super::reports::line;
use super::{App, Asking, Refusal, access, rollout};
use crate::live::Link;
use crate::view::Snapshot;
use crate::view::document::encode;
use crate::view::linked::{CommandDocument, Packed};

/// How many unfinished commands a node may have.
const MOST_OPEN: usize = 8;
/// How many commands of a node are kept.
const MOST_KEPT: usize = 20;
/// How long a node may take to take a command.
const TAKING: Duration = Duration::from_secs(30);
/// How much longer than its time a command may take to be answered.
const ANSWERING: Duration = Duration::from_secs(15);
/// How long commands that ended are kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// How many one transaction of the sweep removes.
const PAGE: usize = 50;

const fn is_open(status: CommandStatus) -> bool {
    matches!(status, CommandStatus::Sent | CommandStatus::Accepted)
}

fn shown(doc: &CommandDocument, with_output: bool) -> CommandView {
    let output = doc.output.as_ref().filter(|_| with_output);
    CommandView {
        id: doc.id.clone(),
        node_id: doc.node.clone(),
        command: doc.command.clone(),
        status: doc.status,
        timeout_seconds: doc.timeout_seconds,
        created_at: doc.created_at,
        created_by: doc.created_by.clone(),
        accepted_at: doc.accepted_at,
        ended_at: doc.ended_at,
        code: doc.code.clone(),
        message: doc.message.clone(),
        output: output.map(|packed| String::from_utf8_lossy(&packed.bytes()).into_owned()),
    }
}

/// What a node is sent of a command, while it is still to be taken.
pub(crate) fn order(doc: &CommandDocument) -> Option<Order> {
    (doc.status == CommandStatus::Sent).then(|| Order {
        command_id: doc.id.clone(),
        command: doc.command.clone(),
        timeout_seconds: doc.timeout_seconds,
    })
}

/// A version is a name of a release, never a path or an address.
fn check(command: &NodeCommand) -> Result<(), Refusal> {
    let NodeCommand::UpdateAgent { version } = command else {
        return Ok(());
    };
    let read = version.parse::<Version>();
    read.map(drop).map_err(|error| Refusal::invalid("version", error))
}

fn told(node: &Node, doc: &CommandDocument) -> Value {
    let mut data = node_data(node);
    data["commandId"] = json!(doc.id);
    data["command"] = json!(doc.command);
    data["commandStatus"] = json!(doc.status);
    data["code"] = json!(doc.code);
    data["message"] = json!(doc.message);
    data
}

impl App {
    /// Tells a connected node to do something.
    pub(crate) async fn give_command(
        &self,
        asking: &Asking,
        node: &NodeId,
        wanted: GiveCommand,
    ) -> Result<(CommandView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        check(&wanted.command)?;
        let timeout = wanted.timeout_seconds.unwrap_or(USUAL_TIMEOUT);
        if !(5..=LONGEST_TIMEOUT).contains(&timeout) {
            return Err(Refusal::invalid(
                "timeout_seconds",
                format!("it is 5 to {LONGEST_TIMEOUT}"),
            ));
        }
        let id = CommandId::at(self.world.now(), self.world.random());
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .node(node, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("node"))?;
                if !self.is_connected(snapshot, node) {
                    return Err(Refusal::new(
                        code::NODE_NOT_CONNECTED,
                        format!("{} is not connected at this moment", held.doc.hostname),
                    ));
                }
                let open = snapshot
                    .linked
                    .commands_of(node)
                    .filter(|held| is_open(held.doc.status));
                if open.count() >= MOST_OPEN {
                    return Err(Refusal::plain(code::COMMANDS_WAITING).with_retry_after(TAKING));
                }
                let doc = CommandDocument {
                    id: id.clone(),
                    org: held.doc.org.clone(),
                    node: node.clone(),
                    command: wanted.command.clone(),
                    status: CommandStatus::Sent,
                    timeout_seconds: timeout,
                    created_at: now,
                    created_by: asking.caller.id.clone(),
                    accepted_at: None,
                    ended_at: None,
                    code: None,
                    message: String::new(),
                    output: None,
                };
                let change = Change::new(held.doc.org.clone(), "node.command", format!("node:{node}"))
                    .noting(json!({ "hostname": held.doc.hostname, "command": doc.command, "id": id }))
                    .tell("command.sent", told(&held.doc, &doc))
                    .transact(|txn| {
                        let txn = txn
                            .when_absent(keys::command(&id))
                            .put(keys::command(&id), encode(&doc));
                        // What ended long ago makes room.
                        let ended = snapshot
                            .linked
                            .commands_of(node)
                            .filter(|held| !is_open(held.doc.status));
                        ended
                            .skip(MOST_KEPT)
                            .take(PAGE)
                            .fold(txn, |txn, old| txn.delete(keys::command(&old.doc.id)))
                    });
                Ok(Wanted::Write(Box::new(change), shown(&doc, false)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, written)),
            Wrote::Replayed(_) => {
                let snapshot = self.view.current();
                let newest = snapshot.linked.commands_of(node).next();
                let held = newest.ok_or_else(|| Refusal::plain(code::IDEMPOTENCY_REUSED))?;
                let written = Written::shown(held.revision);
                Ok((shown(&held.doc, false), written))
            }
        }
    }

    /// Whether some replica holds a node's socket, as far as is known here.
    pub(crate) fn is_connected(&self, snapshot: &Snapshot, node: &NodeId) -> bool {
        if self.live.link(node).is_some_and(|link| link.ended().is_none()) {
            return true;
        }
        snapshot.linked.conn(node).is_some_and(|conn| {
            conn.doc.replica != self.replica && snapshot.linked.is_alive(&conn.doc.replica)
        })
    }

    /// The commands of a node.
    pub(crate) fn commands(&self, caller: &Caller, node: &NodeId) -> Result<Commands, Refusal> {
        access::require(caller, Role::Viewer)?;
        self.node(caller, node)?;
        let snapshot = self.view.current();
        let commands = snapshot
            .linked
            .commands_of(node)
            .map(|held| shown(&held.doc, false))
            .collect();
        Ok(Commands { commands })
    }

    /// One of them, with what it gave.
    pub(crate) fn command(
        &self,
        caller: &Caller,
        node: &NodeId,
        id: &CommandId,
    ) -> Result<CommandView, Refusal> {
        access::require(caller, Role::Viewer)?;
        self.node(caller, node)?;
        let snapshot = self.view.current();
        let held = snapshot
            .linked
            .commands
            .get(id)
            .filter(|held| held.doc.node == *node);
        held.map(|held| shown(&held.doc, true))
            .ok_or_else(|| Refusal::not_found("command"))
    }

    /// Sends a node that has just connected what it has not taken yet.
    pub(crate) fn send_waiting(&self, link: &Link) {
        let snapshot = self.view.current();
        let mut waiting: Vec<Order> = snapshot
            .linked
            .commands_of(link.node())
            .filter_map(|held| order(&held.doc))
            .collect();
        waiting.reverse();
        for order in waiting {
            link.send(&Down::Command(order));
        }
    }

    /// A node took a command.
    pub(crate) async fn command_accepted(&self, node: &NodeId, id: &CommandId) -> Result<(), Refusal> {
        self.edit_command(node, id, |doc, now| {
            if doc.status == CommandStatus::Sent {
                (doc.status, doc.accepted_at) = (CommandStatus::Accepted, Some(now));
            }
        })
        .await
    }

    /// A node says how a command ended. It may say so late: that is better known than not.
    pub(crate) async fn command_ended(&self, node: &NodeId, result: &CommandResult) -> Result<(), Refusal> {
        self.edit_command(node, &result.command_id, |doc, now| {
            if matches!(doc.status, CommandStatus::Completed | CommandStatus::Failed) {
                return;
            }
            doc.status = if result.ok {
                CommandStatus::Completed
            } else {
                CommandStatus::Failed
            };
            doc.ended_at = Some(now);
            doc.code = result.code.as_deref().map(|code| line(code, 64));
            doc.message = line(&result.message, 500);
            // What is too long is cut at its beginning, as the node should have done.
            let output = result.output.as_bytes();
            let from = output.len().saturating_sub(LONGEST_OUTPUT);
            doc.output = (!output.is_empty()).then(|| Packed::of(&output[from..]));
        })
        .await
    }

    /// Edits a command of a node; what is unknown is left alone. Its status is told where it changes.
    async fn edit_command(
        &self,
        node: &NodeId,
        id: &CommandId,
        edit: impl Fn(&mut CommandDocument, Timestamp),
    ) -> Result<(), Refusal> {
        let asking = Asking::by(Caller {
            id: format!("node:{node}"),
            ..Caller::system()
        });
        self.write(&asking, |snapshot, now| {
            let command = snapshot
                .linked
                .commands
                .get(id)
                .filter(|held| held.doc.node == *node);
            let (Some(held), Some(owner)) = (command, snapshot.node(node, &Orgs::All)) else {
                return Ok(Wanted::Nothing(()));
            };
            let mut doc = held.doc.clone();
            edit(&mut doc, now);
            if doc == held.doc {
                return Ok(Wanted::Nothing(()));
            }
            let kind = match doc.status {
                CommandStatus::Sent => "command.sent",
                CommandStatus::Accepted => "command.accepted",
                CommandStatus::Completed => "command.completed",
                CommandStatus::Failed => "command.failed",
                CommandStatus::Unknown => "command.unknown",
            };
            let mut change = Change::new(doc.org.clone(), "node.command", format!("node:{node}"))
                .noting(json!({ "id": id, "status": doc.status }));
            if doc.status != held.doc.status {
                change = change.tell(kind, told(&owner.doc, &doc));
            }
            let (reported, before) = reported_of(snapshot, node);
            // Commands are forgotten after a day; that a version did not come up here is not.
            let mut noted = reported.clone();
            rollout::note_try(&mut noted, &doc);
            let change = change.transact(|txn| {
                let txn = txn
                    .when_unchanged(keys::command(id), held.revision)
                    .put(keys::command(id), encode(&doc));
                if noted == reported {
                    return txn;
                }
                txn.when_unchanged(keys::finding(node), before)
                    .put(keys::finding(node), encode(&noted))
            });
            Ok(Wanted::Write(Box::new(change), ()))
        })
        .await?;
        Ok(())
    }

    /// Ends commands nobody answered in time, and forgets those that ended a day ago.
    pub(crate) async fn sweep_commands(&self) -> Result<(), Refusal> {
        let snapshot = self.view.current();
        let now = self.world.now();
        let late = |doc: &CommandDocument| match (doc.status, doc.accepted_at) {
            (CommandStatus::Sent, _) => now.since(doc.created_at) > TAKING,
            (CommandStatus::Accepted, Some(at)) => {
                now.since(at) > Duration::from_secs(doc.timeout_seconds.into()) + ANSWERING
            }
            (CommandStatus::Accepted, None) => true,
            (CommandStatus::Completed | CommandStatus::Failed | CommandStatus::Unknown, _) => false,
        };
        let held = snapshot.linked.commands.values().map(|held| &held.doc);
        let over: Vec<_> = held
            .filter(|doc| late(doc))
            .map(|doc| (doc.node.clone(), doc.id.clone(), doc.status))
            .collect();
        let ended = each(over, |(node, id, status)| async move {
            let sentence = match status {
                CommandStatus::Sent => "The node did not take it in time; it may or may not have been done.",
                _ => "The node did not say in time how it ended; it may or may not have been done.",
            };
            let edit = |doc: &mut CommandDocument, now| {
                if is_open(doc.status) {
                    (doc.status, doc.ended_at) = (CommandStatus::Unknown, Some(now));
                    sentence.clone_into(&mut doc.message);
                }
            };
            self.edit_command(&node, &id, edit).await
        })
        .await;
        let old = snapshot.linked.commands.values().filter(|held| {
            held.doc.ended_at.is_some_and(|at| now.since(at) > KEPT)
                || snapshot.node(&held.doc.node, &Orgs::All).is_none()
        });
        let txn = old.take(PAGE).fold(Txn::new(), |txn, held| {
            let key = keys::command(&held.doc.id);
            txn.when_unchanged(key.clone(), held.revision).delete(key)
        });
        if !txn.ops().is_empty() {
            // What changed meanwhile makes the page wait for the next sweep.
            let _ = self.store.txn(txn).await?;
        }
        ended
    }
}
