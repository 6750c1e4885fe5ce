//! Nodes as a control plane keeps them.

use std::collections::HashSet;

use aami_api::node::{CreateNode, NodeView};
use aami_config::{Config, Node};
use aami_model::code;
use aami_model::group::Group;
use aami_model::node_status::NodeStatus;
use aami_model::nodeset::{NodeSet, natural};

use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::fleet::{Attempt, Member, NewNode, Which};

/// Declares nodes, one after the other.
pub(super) fn add(session: &mut Session, nodes: &[NewNode], dry: bool) -> Result<Vec<Attempt>, Failure> {
    let has_login = |one: &&NewNode| {
        let node = &one.node;
        node.ssh_user.is_some()
            || node.ssh_key.is_some()
            || node.ssh_port.is_some()
            || node.proxy_jump.is_some()
    };
    if let Some(one) = nodes.iter().find(has_login) {
        session.screen.note(&format!(
            "aami: a control plane keeps no SSH user, key, port or jump host, so those of {} are not kept; `ssh:` in \
             the configuration holds for `aami nodes install` and the like",
            one.node.name
        ));
    }
    if dry {
        let taken = taken(session, nodes)?;
        let groups: Vec<Group> = match nodes.iter().all(|one| one.groups.is_empty()) {
            true => Vec::new(),
            false => paging::all(session, "/api/v1/groups", &Query::default(), None)?,
        };
        return Ok(nodes.iter().map(|one| judged(one, &taken, &groups)).collect());
    }
    Ok(nodes.iter().map(|one| declare(session, one)).collect())
}

fn declare(session: &Session, one: &NewNode) -> Attempt {
    let node = &one.node;
    let wanted = CreateNode {
        hostname: node.name.to_string(),
        ip_address: node.ip.to_string(),
        groups: one.groups.clone(),
        labels: node.labels.clone(),
        ..CreateNode::default()
    };
    let made: NodeView = session.client.post("/api/v1/nodes", Some(&wanted))?;
    let line = format!(
        "✅ Node {} added ({}, {})",
        made.hostname,
        made.id,
        made.status.name()
    );
    Ok(Done::new(&made.id, line))
}

/// The nodes there are that bear one of these names.
fn taken(session: &Session, nodes: &[NewNode]) -> Result<Vec<NodeView>, Failure> {
    let names = NodeSet::from_names(nodes.iter().map(|one| one.node.name.as_str()));
    let names = names.map_err(|error| Failure::invalid(error.to_string()))?;
    let all: Vec<NodeView> = paging::all(session, "/api/v1/nodes", &Query::default(), None)?;
    Ok(all
        .into_iter()
        .filter(|node| names.contains(&node.hostname))
        .collect())
}

fn judged(one: &NewNode, taken: &[NodeView], groups: &[Group]) -> Attempt {
    let name = one.node.name.as_str();
    let is_there = |name: &String| {
        (groups.iter()).any(|group| group.name == *name || group.id.as_str() == name.as_str())
    };
    if let Some(group) = one.groups.iter().find(|name| !is_there(name)) {
        return Err(Failure::found(
            code::NOT_FOUND,
            format!("there is no group {group:?}"),
        ));
    }
    match taken.iter().find(|node| node.hostname == name) {
        Some(node) => Err(Failure::found(
            code::CONFLICT,
            format!("there is a node named {name} already, with {}", node.ip_address),
        )),
        None => Ok(Done::would(
            name,
            format!("{name} would be added with {}", one.node.ip),
        )),
    }
}

/// The nodes that fit, as the control plane shows them, in its order.
pub(super) fn find(session: &Session, which: &Which) -> Result<Vec<NodeView>, Failure> {
    let mut query = Query::default();
    query.add_if("status", which.status.map(NodeStatus::name));
    query.add_if("group", which.group.as_ref());
    query.add_if("q", which.search.as_ref());
    for (name, value) in &which.labels.0 {
        query.add("label", format!("{name}={value}"));
    }
    // Names are matched here: a set of them may be longer than an address may be.
    let most = which.limit.filter(|_| which.names.is_none());
    let nodes: Vec<NodeView> = paging::all(session, "/api/v1/nodes", &query, most)?;
    let Some(names) = &which.names else {
        return Ok(nodes);
    };
    let is_named = |node: &NodeView| names.contains(&node.hostname) || names.contains(node.id.as_str());
    let (mut nodes, others): (Vec<NodeView>, Vec<NodeView>) = nodes.into_iter().partition(is_named);
    let found: HashSet<&str> = nodes
        .iter()
        .flat_map(|node| [node.hostname.as_str(), node.id.as_str()])
        .collect();
    let missing = names.iter().filter(|name| !found.contains(name));
    let missing = NodeSet::from_names(missing).map_err(|error| Failure::invalid(error.to_string()))?;
    if !missing.is_empty() {
        return Err(Failure::unknown(
            code::NOT_FOUND,
            format!("there is no node called {missing} that fits"),
            &missing.to_string(),
            others.iter().map(|node| node.hostname.as_str()),
            "`aami nodes list` shows those there are.",
        ));
    }
    nodes.truncate(which.limit.unwrap_or(usize::MAX));
    Ok(nodes)
}

/// The nodes that fit, with the way to each by the operator's own SSH settings.
pub(super) fn members(session: &Session, which: &Which, config: &Config) -> Result<Vec<Member>, Failure> {
    let mut nodes = find(session, which)?;
    // Whoever was taken out for good is meant only by those who ask for it.
    nodes.retain(|node| {
        node.status != NodeStatus::Inactive || which.names.is_some() || which.status.is_some()
    });
    nodes.sort_by(|one, other| natural(&one.hostname, &other.hostname));
    let known = config.by_name();
    nodes
        .into_iter()
        .map(|node| {
            let declared = known.node(&node.hostname);
            reached(node, declared, config)
        })
        .collect()
}

/// A node, with the way to it by the operator's own SSH settings.
pub(super) fn member(node: NodeView, config: &Config) -> Result<Member, Failure> {
    let declared = config.node(&node.hostname);
    reached(node, declared, config)
}

/// A node, with the way to it: as it is declared, or as every node is reached.
fn reached(node: NodeView, declared: Option<&Node>, config: &Config) -> Result<Member, Failure> {
    let address = node.ip_address.parse().map_err(|_| {
        let what = format!(
            "{} has no address that can be connected to: {:?}",
            node.hostname, node.ip_address
        );
        Failure::found(code::INVALID, what)
    })?;
    // What the configuration says of the node itself comes first: a fleet that was moved here keeps its ways.
    let known = declared.map(|known| config.login(known));
    let (user, port, key, jump) = match &known {
        Some(login) => (login.user, login.port, login.key, login.proxy_jump),
        None => (
            config.ssh.user.as_str(),
            config.ssh.port,
            config.ssh.key.as_deref(),
            config.ssh.proxy_jump.as_ref(),
        ),
    };
    Ok(Member {
        user: user.to_owned(),
        port,
        key: key.map(ToOwned::to_owned),
        jump: jump.cloned(),
        name: node.hostname,
        address,
        labels: node.labels,
        id: Some(node.id),
    })
}
