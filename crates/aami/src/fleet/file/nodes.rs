//! Nodes as the configuration declares them.

use aami_config::{Config, Login, Node};
use aami_model::code;
use aami_model::nodeset::{NodeSet, natural};

use super::{FileFleet, change, targets};
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::fleet::member::Declared;
use crate::fleet::{Attempt, Listing, Member, NewNode, Which};

/// Writes nodes into the configuration: all of them, or none.
pub(super) fn add(fleet: &mut FileFleet, nodes: &[NewNode], dry: bool) -> Result<Vec<Attempt>, Failure> {
    let written: Vec<aami_config::NewNode> = nodes.iter().map(single).collect::<Result<_, _>>()?;
    let settings = fleet.read()?;
    change::not_declared(settings.config(), &written)?;
    if dry {
        let would = |node: &aami_config::NewNode| {
            let line = format!("{} would be added with {}", node.name, node.ip);
            Ok(Done::would(&node.name, line))
        };
        change::with_added(fleet, &settings, &written)?;
        return Ok(written.iter().map(would).collect());
    }
    let settings = change::apply(fleet, |settings| {
        // Looked at again, now that nobody else writes.
        change::not_declared(settings.config(), &written)?;
        change::with_added(fleet, settings, &written)
    })?;
    rules_follow(fleet, settings.config());
    let added =
        |node: &aami_config::NewNode| Ok(Done::new(&node.name, format!("✅ Node {} added", node.name)));
    Ok(written.iter().map(added).collect())
}

/// Rules tell of nodes that are declared and missing, so they follow them.
fn rules_follow(fleet: &mut FileFleet, config: &Config) {
    if let Some(why) = fleet.rules_follow(config) {
        fleet.screen.note(&format!("aami: {why}"));
    }
}

/// A file keeps one group for each node.
fn single(one: &NewNode) -> Result<aami_config::NewNode, Failure> {
    if one.groups.len() > 1 {
        return Err(Failure::found_with(
            code::NEEDS_CONTROL_PLANE,
            format!("{} is to be in {} groups", one.node.name, one.groups.len()),
            "Name one group: only a control plane knows several for a node. Labels do the same for alerts and lists.",
        ));
    }
    Ok(aami_config::NewNode {
        group: one.groups.first().cloned(),
        ..one.node.clone()
    })
}

/// The nodes that fit, in natural order.
fn fitting<'a>(config: &'a Config, which: &Which) -> Result<Vec<(&'a Node, Login<'a>)>, Failure> {
    if which.status.is_some() {
        return Err(Failure::found(
            code::NEEDS_CONTROL_PLANE,
            "only a control plane knows the status of nodes; `aami status` asks the Prometheus beside a file fleet",
        ));
    }
    if let Some(names) = &which.names {
        let known = config.by_name();
        let missing = names.iter().filter(|name| known.node(name).is_none());
        let missing = NodeSet::from_names(missing).map_err(|error| Failure::invalid(error.to_string()))?;
        if !missing.is_empty() {
            return Err(Failure::unknown(
                code::NOT_FOUND,
                format!("no node is called {missing}"),
                &missing.to_string(),
                config.nodes.iter().map(|node| node.name.as_str()),
                "`aami nodes list` shows those there are.",
            ));
        }
    }
    let mut nodes: Vec<&Node> = (config.nodes.iter())
        .filter(|node| which.fits(node.name.as_str(), &node.ip.to_string(), &node.labels))
        .filter(|node| which.group.is_none() || which.group == node.group)
        .collect();
    nodes.sort_by(|one, other| natural(one.name.as_str(), other.name.as_str()));
    nodes.truncate(which.limit.unwrap_or(usize::MAX));
    Ok(nodes.into_iter().map(|node| (node, config.login(node))).collect())
}

pub(super) fn list(fleet: &FileFleet, which: &Which) -> Result<Listing, Failure> {
    let settings = fleet.read()?;
    let nodes = fitting(settings.config(), which)?;
    let declared = nodes.iter().map(|(node, login)| Declared::of(login, node));
    Ok(Listing::Declared(declared.collect()))
}

pub(super) fn members(fleet: &FileFleet, which: &Which) -> Result<Vec<Member>, Failure> {
    let settings = fleet.read()?;
    let nodes = fitting(settings.config(), which)?;
    let members = nodes.iter().map(|(node, login)| Member::of(login, &node.labels));
    Ok(members.collect())
}

impl FileFleet {
    /// The names that would be removed.
    pub(crate) fn judge_removal(&self, which: &Which) -> Result<NodeSet, Failure> {
        let settings = self.read()?;
        let nodes = fitting(settings.config(), which)?;
        NodeSet::from_names(nodes.iter().map(|(node, _)| node.name.as_str()))
            .map_err(|error| Failure::invalid(error.to_string()))
    }

    /// Takes nodes out of the configuration, and out of Prometheus' lists.
    pub(crate) fn remove(&mut self, names: &NodeSet) -> Result<Vec<Attempt>, Failure> {
        // A note that cannot be used is told before the configuration is changed.
        targets::sound(&self.place)?;
        let settings = change::apply(self, |settings| change::without(self, settings, names))?;
        targets::refresh(&self.place, settings.config())?;
        rules_follow(self, settings.config());
        let removed = |name: &str| Ok(Done::new(name, format!("✅ Node {name} removed")));
        Ok(names.iter().map(removed).collect())
    }
}
