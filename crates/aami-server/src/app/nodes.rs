//! Nodes: declared, listed, changed, taken out, retired.

mod filter;
mod wish;

use aami_api::node::{CreateNode, NodeView, PatchNode};
use aami_api::page::Page;
use aami_model::access::{Caller, Orgs, Role, Scope};
use aami_model::exporter::{self, Exporter};
use aami_model::hostname::Hostname;
use aami_model::label::Labels;
use aami_model::node::{Identity, Node};
use aami_model::node_status::{self, NodeEvent, NodeStatus, Outcome, Trigger};
use aami_model::{GroupId, NodeId, OrgId, Timestamp, code};
use aami_store::keys;
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Written, Wrote, node_data};
use super::each::each;
use super::register::index;
use super::reports::gpu_devices;
use super::tokens::org_for;
use super::{App, Asking, Refusal, access, group_config};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};
pub(crate) use filter::Filter;
pub(crate) use wish::Wish;

/// How long an operator's leave to enrol again lasts.
const REENROL: std::time::Duration = std::time::Duration::from_secs(3600);

pub(super) fn groups_named(
    snapshot: &Snapshot,
    org: &OrgId,
    names: &[String],
) -> Result<Vec<GroupId>, Refusal> {
    let mut ids = Vec::new();
    for name in names {
        let held = snapshot
            .group_named(org, name)
            .ok_or_else(|| Refusal::new(code::NOT_FOUND, format!("there is no group {name:?}")))?;
        if !ids.contains(&held.doc.id) {
            ids.push(held.doc.id.clone());
        }
    }
    if ids.len() > 64 {
        return Err(Refusal::invalid("groups", "a node is in at most 64"));
    }
    Ok(ids)
}

/// Refuses a reason that does not fit on a line.
pub(super) fn check_reason(reason: Option<&str>) -> Result<(), Refusal> {
    let long = |text: &str| text.chars().count() > 500 || text.chars().any(char::is_control);
    if reason.is_some_and(long) {
        return Err(Refusal::invalid(
            "reason",
            "it is one line of at most 500 characters",
        ));
    }
    Ok(())
}

/// Refuses an end that is over.
pub(super) fn check_until(until: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    if until.is_some_and(|until| until <= now) {
        return Err(Refusal::invalid(
            "until",
            "it is a time to come, by the control plane's clock",
        ));
    }
    Ok(())
}

/// What the events of a change tell about a node: with why, and until when, where that is known.
fn told(node: &Node) -> Value {
    let mut data = node_data(node);
    if let Some(reason) = &node.status_reason {
        data["reason"] = json!(reason);
    }
    if let (NodeStatus::Maintenance, Some(until)) = (node.status, node.maintenance_until) {
        data["until"] = json!(until);
    }
    data
}

impl App {
    /// The nodes the caller sees, filtered; with the revision the list shows.
    pub(crate) fn nodes(
        &self,
        caller: &Caller,
        filter: &Filter,
        after: Option<&NodeId>,
        limit: usize,
    ) -> Page<NodeView> {
        let snapshot = self.view.current();
        let mut items: Vec<NodeView> = snapshot
            .nodes(&caller.orgs, after)
            .filter(|held| filter.fits(&snapshot, &held.doc))
            .take(limit + 1)
            .map(|held| self.shown(&snapshot, &held.doc, false))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_page_token = items.last().filter(|_| more).map(|last| last.id.to_string());
        Page {
            items,
            next_page_token,
        }
    }

    /// One node.
    pub(crate) fn node(&self, caller: &Caller, id: &NodeId) -> Result<Held<NodeView>, Refusal> {
        let snapshot = self.view.current();
        let held = snapshot
            .node(id, &caller.orgs)
            .ok_or_else(|| Refusal::not_found("node"))?;
        Ok(Held {
            doc: self.shown(&snapshot, &held.doc, true),
            revision: held.revision,
        })
    }

    /// A node as it is shown: what is stored of it, and what is true at this moment.
    fn shown(&self, snapshot: &Snapshot, node: &Node, with_findings: bool) -> NodeView {
        let live = self.live.shown(&node.id);
        let mut view = NodeView::from(node);
        view.stuck = view.expected_until.is_some_and(|until| self.world.now() > until);
        view.connected = self.is_connected(snapshot, &node.id);
        (view.last_seen, view.resources) = (live.last_seen, live.resources);
        view.last_seen = view.last_seen.or_else(|| self.scraped.last(&node.id));
        view.silence = self.silence_of(snapshot, node);
        let conn = snapshot.linked.conn(&node.id);
        view.agent_version = conn.map(|conn| conn.doc.agent_version.clone());
        view.connected_since = conn.filter(|_| view.connected).map(|conn| conn.doc.at);
        view.config = group_config::standing(snapshot, node, self.config.heartbeat_timeout);
        if with_findings && let Some(reported) = snapshot.linked.reported.get(&node.id) {
            let observed = reported.doc.observed.iter().chain(&reported.doc.findings);
            view.findings = observed.cloned().collect();
            view.findings
                .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        }
        view
    }

    /// Declares a node.
    pub(crate) async fn create_node(
        &self,
        asking: &Asking,
        wanted: CreateNode,
    ) -> Result<(NodeView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let hostname: Hostname = wanted
            .hostname
            .parse()
            .map_err(|error| Refusal::invalid("hostname", error))?;
        let address: std::net::IpAddr = wanted
            .ip_address
            .parse()
            .map_err(|_| Refusal::invalid("ip_address", "it is not an IP address"))?;
        // An operator may name this machine itself; what leads elsewhere is refused to everybody.
        self.config
            .addresses()
            .judge(address, std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))?;
        wanted
            .labels
            .check()
            .map_err(|error| Refusal::invalid("labels", error))?;
        super::register::check_metadata("metadata", &wanted.metadata)?;
        let exporters: Vec<Exporter> = wanted
            .exporters
            .iter()
            .cloned()
            .map(|info| info.into_exporter())
            .collect();
        exporter::check_set(&exporters).map_err(|error| Refusal::invalid("exporters", error))?;
        let org = org_for(&asking.caller, wanted.org.clone())?;
        let id = NodeId::at(self.world.now(), self.world.random());

        let wrote = self
            .write(asking, |snapshot, now| {
                let name_key = keys::hostname_index(&org, hostname.as_str());
                if snapshot.by_hostname(&name_key).is_some() {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!("there is a node named {hostname} already"),
                    ));
                }
                let (status, events) = node_status::first(false);
                let node = Node {
                    id: id.clone(),
                    org: org.clone(),
                    user: wanted.user.clone().or_else(|| asking.caller.user.clone()),
                    hostname: hostname.clone(),
                    ip_address: address.to_canonical(),
                    address_pinned: true,
                    status,
                    status_since: now,
                    status_reason: None,
                    reachable: false,
                    labels: wanted.labels.clone(),
                    metadata: wanted.metadata.clone(),
                    groups: groups_named(snapshot, &org, &wanted.groups)?,
                    exporters: exporters.clone(),
                    system_info: None,
                    maintenance_until: None,
                    reported_labels: aami_model::label::Labels::default(),
                    identity: Identity::default(),
                    created_at: now,
                    enrolled_at: None,
                    token: None,
                };
                let change = Change::new(org.clone(), "node.declare", format!("node:{id}"))
                    .noting(json!({ "hostname": hostname }))
                    .tell_all(events, &node_data(&node))
                    .transact(|txn| {
                        let txn = txn
                            .when_absent(keys::node(&id))
                            .put(keys::node(&id), encode(&node));
                        index(txn, snapshot, &node, None)
                    });
                Ok(Wanted::Write(Box::new(change), NodeView::from(&node)))
            })
            .await?;
        self.answer_node(asking, wrote)
    }

    /// Changes what an operator may change about a node.
    pub(crate) async fn patch_node(
        &self,
        asking: &Asking,
        id: &NodeId,
        patch: PatchNode,
    ) -> Result<(NodeView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let address = match &patch.ip_address {
            None => None,
            Some(text) => {
                let address: std::net::IpAddr = text
                    .parse()
                    .map_err(|_| Refusal::invalid("ip_address", "it is not an IP address"))?;
                self.config
                    .addresses()
                    .judge(address, std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))?;
                Some(address.to_canonical())
            }
        };
        if let Some(labels) = &patch.labels {
            labels
                .check()
                .map_err(|error| Refusal::invalid("labels", error))?;
        }
        if let Some(metadata) = &patch.metadata {
            super::register::check_metadata("metadata", metadata)?;
        }
        let user = match patch.user.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(
                text.parse().map_err(|error| Refusal::invalid("user", error))?,
            )),
        };
        self.edit_node(asking, id, "node.edit", |snapshot, node, _| {
            if let Some(user) = &user {
                node.user.clone_from(user);
            }
            if let Some(address) = address {
                (node.ip_address, node.address_pinned) = (address, true);
            }
            if let Some(labels) = &patch.labels {
                node.labels.clone_from(labels);
            }
            if let Some(names) = &patch.groups {
                node.groups = groups_named(snapshot, &node.org, names)?;
            }
            if let Some(metadata) = &patch.metadata {
                node.metadata.clone_from(metadata);
            }
            Ok(Vec::new())
        })
        .await
    }

    /// Moves a node along its lifecycle at an operator's word.
    pub(crate) async fn move_node(
        &self,
        asking: &Asking,
        id: &NodeId,
        wish: Wish,
        reason: Option<String>,
        until: Option<Timestamp>,
    ) -> Result<(NodeView, Written), Refusal> {
        // A node may retire itself; everything else is an operator's.
        if !(wish == Wish::Retire && asking.caller.has_scope(&Scope::Node(id.clone()))) {
            access::require(&asking.caller, Role::Operator)?;
        }
        check_reason(reason.as_deref())?;
        if until.is_some() && wish != Wish::Maintenance {
            return Err(Refusal::invalid("until", "only maintenance has an end"));
        }
        check_until(until, self.world.now())?;
        let unregisters = !asking.caller.has_role(Role::Operator);
        self.edit_node(asking, id, wish.action(), |_, node, now| {
            if wish == Wish::Restore || (wish == Wish::Retire && unregisters) {
                let kept = std::mem::take(&mut node.identity);
                node.identity = Identity {
                    machine: kept.machine,
                    machine_id: kept.machine_id,
                    revoked: kept.revoked,
                    ..Identity::default()
                };
                if wish == Wish::Restore {
                    node.enrolled_at = None;
                }
            }
            let trigger = wish.trigger(node.reachable);
            match node_status::next(node.status, trigger) {
                Ok(Outcome::Moved { to, events }) => {
                    (node.status, node.status_since, node.status_reason) = (to, now, reason.clone());
                    node.maintenance_until = until;
                    Ok(events.iter().map(|event| event.name().to_owned()).collect())
                }
                // Asked for again with another end or reason, it has that one.
                Ok(Outcome::Stays) if wish == Wish::Maintenance && (until.is_some() || reason.is_some()) => {
                    node.maintenance_until = until.or(node.maintenance_until);
                    node.status_reason = reason.clone().or_else(|| node.status_reason.clone());
                    Ok(Vec::new())
                }
                Ok(Outcome::Stays) => Ok(Vec::new()),
                Err(refusal) => Err(Refusal::new(code::TRANSITION_REFUSED, refusal.to_string())),
            }
        })
        .await
    }

    /// Brings back the nodes whose maintenance has ended by the clock. Those that somebody brought back meanwhile, or
    /// gave another end, are left alone.
    pub(crate) async fn end_maintenance(&self) -> Result<(), Refusal> {
        let now = self.world.now();
        let over = |node: &Node| {
            node.status == NodeStatus::Maintenance && node.maintenance_until.is_some_and(|until| until <= now)
        };
        let snapshot = self.view.current();
        let ended: Vec<NodeId> = snapshot
            .nodes(&Orgs::All, None)
            .filter(|held| over(&held.doc))
            .map(|held| held.doc.id.clone())
            .collect();
        let asking = Asking::by(Caller::system());
        let asking = &asking;
        each(ended, |id| async move {
            let resumed = self.edit_node(asking, &id, Wish::Resume.action(), |_, node, now| {
                if !over(node) {
                    return Ok(Vec::new());
                }
                let trigger = Wish::Resume.trigger(node.reachable);
                let Ok(Outcome::Moved { to, events }) = node_status::next(node.status, trigger) else {
                    return Ok(Vec::new());
                };
                (node.status, node.status_since, node.status_reason) = (to, now, None);
                node.maintenance_until = None;
                Ok(events.iter().map(|event| event.name().to_owned()).collect())
            });
            resumed.await.map(drop)
        })
        .await
    }

    /// Sets some labels of a node and takes others away; the rest stays.
    pub(crate) async fn relabel_node(
        &self,
        asking: &Asking,
        id: &NodeId,
        set: &Labels,
        remove: &[String],
    ) -> Result<(NodeView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        self.edit_node(asking, id, "node.edit", |_, node, _| {
            node.labels.0.retain(|name, _| !remove.contains(name));
            node.labels = node.labels.overlaid(set);
            node.labels
                .check()
                .map_err(|error| Refusal::invalid("labels", error))?;
            Ok(Vec::new())
        })
        .await
    }

    /// Lets a node enrol again with another key, for an hour.
    pub(crate) async fn allow_reenrol(
        &self,
        asking: &Asking,
        id: &NodeId,
    ) -> Result<(NodeView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        self.edit_node(asking, id, "node.allow_reenrol", |_, node, now| {
            node.identity.reenrol_until = Some(now.plus(REENROL));
            Ok(vec!["node.reenrolment_allowed".to_owned()])
        })
        .await
    }

    /// Removes a retired node for good.
    pub(crate) async fn purge_node(&self, asking: &Asking, id: &NodeId) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Admin)?;
        let wrote = self
            .write(asking, |snapshot, _| {
                let held = snapshot
                    .node(id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("node"))?;
                asking.check_match(held.revision, &NodeView::from(&held.doc))?;
                if held.doc.status != NodeStatus::Inactive {
                    return Err(Refusal::new(
                        code::TRANSITION_REFUSED,
                        "only a retired node can be purged",
                    ));
                }
                let node = &held.doc;
                let change = Change::new(node.org.clone(), "node.purge", format!("node:{id}"))
                    .noting(json!({ "hostname": node.hostname }))
                    .tell("node.purged", node_data(node))
                    .transact(|txn| {
                        let mut txn = txn
                            .when_unchanged(keys::node(id), held.revision)
                            .delete(keys::node(id))
                            .delete(keys::finding(id))
                            .delete(keys::inventory(id))
                            .delete(keys::conn(id));
                        let named = keys::hostname_index(&node.org, node.hostname.as_str());
                        let machine = node.identity.machine.as_deref().map(keys::machine_index);
                        let key = node.identity.node_key.as_deref().map(keys::node_key_index);
                        for index in [Some(named), machine, key].into_iter().flatten() {
                            txn = txn.delete(index);
                        }
                        txn
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }

    /// Edits a node the caller sees. `edit` answers with the events to tell.
    pub(super) async fn edit_node(
        &self,
        asking: &Asking,
        id: &NodeId,
        action: &'static str,
        edit: impl Fn(&Snapshot, &mut Node, Timestamp) -> Result<Vec<String>, Refusal>,
    ) -> Result<(NodeView, Written), Refusal> {
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .node(id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("node"))?;
                asking.check_match(held.revision, &NodeView::from(&held.doc))?;
                if let Some(fitting) = &asking.fitting
                    && !fitting.fits(snapshot, &held.doc)
                {
                    return Err(Refusal::new(
                        code::NOT_FOUND,
                        "it has changed meanwhile, and is no longer among those that were selected",
                    ));
                }
                let mut node = held.doc.clone();
                let events = edit(snapshot, &mut node, now)?;
                let mut view = NodeView::from(&node);
                view.silence = self.silence_of(snapshot, &node);
                if node == held.doc {
                    return Ok(Wanted::Nothing(view));
                }
                let mut change = Change::new(node.org.clone(), action, format!("node:{id}"))
                    .noting(json!({ "hostname": node.hostname, "reason": node.status_reason }));
                for event in &events {
                    let mut data = told(&node);
                    if event == NodeEvent::Connected.name() {
                        data["gpuDevices"] = gpu_devices(snapshot, &node);
                    }
                    change = change.tell(event, data);
                }
                change = change.tell_address(&held.doc, &node).transact(|txn| {
                    let txn = txn
                        .when_unchanged(keys::node(id), held.revision)
                        .put(keys::node(id), encode(&node));
                    index(txn, snapshot, &node, Some(&held.doc))
                });
                Ok(Wanted::Write(Box::new(change), view))
            })
            .await?;
        self.answer_node(asking, wrote)
    }

    /// What a write of a node answers, also when it was made before.
    fn answer_node(&self, asking: &Asking, wrote: Wrote<NodeView>) -> Result<(NodeView, Written), Refusal> {
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, written)),
            Wrote::Replayed(subject) => {
                let id = subject.strip_prefix("node:").and_then(|id| id.parse().ok());
                let id: NodeId = id.ok_or_else(|| Refusal::plain(code::IDEMPOTENCY_REUSED))?;
                let held = self.node(&asking.caller, &id)?;
                Ok((held.doc, Written::shown(held.revision)))
            }
        }
    }

    /// Notes what the control plane saw of a node itself, and moves the node where that is a trigger. A
    /// refusal by the table is no fault here: the node has moved on.
    pub(crate) async fn observe_node(
        &self,
        id: &NodeId,
        reachable: Option<bool>,
        trigger: Option<Trigger>,
        reason: Option<String>,
    ) -> Result<NodeStatus, Refusal> {
        let asking = Asking::by(Caller::system());
        let (view, _) = self
            .edit_node(&asking, id, "node.observe", |_, node, now| {
                node.reachable = reachable.unwrap_or(node.reachable);
                let moved = trigger.map(|trigger| node_status::next(node.status, trigger));
                if let Some(Ok(Outcome::Moved { to, events })) = moved {
                    (node.status, node.status_since) = (to, now);
                    node.status_reason.clone_from(&reason);
                    return Ok(events.iter().map(|event| event.name().to_owned()).collect());
                }
                // While it is being installed, why it cannot be reached yet is worth showing.
                if node.status == NodeStatus::Installing {
                    node.status_reason.clone_from(&reason);
                }
                Ok(Vec::new())
            })
            .await?;
        Ok(view.status)
    }

    /// Every node in a status, in the whole fleet; for the control plane's own tasks.
    pub(crate) fn nodes_in(&self, status: NodeStatus) -> Vec<(NodeId, Timestamp)> {
        let snapshot = self.view.current();
        snapshot
            .nodes(&Orgs::All, None)
            .filter(|held| held.doc.status == status)
            .map(|held| (held.doc.id.clone(), held.doc.status_since))
            .collect()
    }
}
