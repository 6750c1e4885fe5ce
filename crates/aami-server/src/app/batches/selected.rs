//! Which nodes a batch means, and whose turn it is.

use std::collections::BTreeMap;

use aami_api::batch::CreateBatch;
use aami_model::access::Orgs;
use aami_model::batch::{Batch, MOST_NAMED, PAGE, Selection};
use aami_model::hostname::Hostname;
use aami_model::{NodeId, OrgId, code};

use super::super::Refusal;
use super::super::nodes::Filter;
use crate::view::Snapshot;

/// Whose nodes a batch may touch.
pub(super) fn orgs_of(org: Option<&OrgId>) -> Orgs {
    org.map_or(Orgs::All, |org| Orgs::Only(vec![org.clone()]))
}

/// What was asked for as it is kept. What names nothing is refused now, before anything is done.
pub(super) fn read(
    snapshot: &Snapshot,
    org: Option<&OrgId>,
    wanted: &CreateBatch,
) -> Result<Selection, Refusal> {
    let orgs = orgs_of(org);
    let selects = wanted.group.is_some() || !wanted.labels.0.is_empty() || wanted.status.is_some();
    if !wanted.nodes.is_empty() {
        if selects || wanted.all {
            return Err(Refusal::invalid(
                "nodes",
                "nodes are either named or selected by group, labels and status, not both",
            ));
        }
        let nodes = named(snapshot, &orgs, &wanted.nodes)?;
        return Ok(Selection {
            nodes,
            ..Selection::default()
        });
    }
    if !selects && !wanted.all {
        return Err(Refusal::invalid(
            "nodes",
            "name nodes, or select them by group, labels or status, or say `all`",
        ));
    }
    wanted
        .labels
        .check()
        .map_err(|error| Refusal::invalid("labels", error))?;
    if let Some(name) = &wanted.group {
        let known = |id: &str, called: &str| id == name.as_str() || called == name.as_str();
        let mut groups = snapshot.groups(&orgs);
        if !groups.any(|held| known(held.doc.id.as_str(), &held.doc.name)) {
            return Err(Refusal::new(
                code::NOT_FOUND,
                format!("there is no group {name:?}"),
            ));
        }
    }
    Ok(Selection {
        nodes: Vec::new(),
        group: wanted.group.clone(),
        labels: wanted.labels.clone(),
        status: wanted.status,
    })
}

/// The nodes with these ids or hostnames, each once, in ascending order.
fn named(snapshot: &Snapshot, orgs: &Orgs, names: &[String]) -> Result<Vec<NodeId>, Refusal> {
    if names.len() > MOST_NAMED {
        return Err(Refusal::invalid(
            "nodes",
            format!("at most {MOST_NAMED} are named; select more by group or label"),
        ));
    }
    let mut nodes = Vec::with_capacity(names.len());
    // By hostname, what has been found for it.
    let mut sought: BTreeMap<Hostname, Vec<NodeId>> = BTreeMap::new();
    for name in names {
        let id = name.parse::<NodeId>().ok();
        match (id.filter(|id| snapshot.node(id, orgs).is_some()), name.parse()) {
            (Some(id), _) => nodes.push(id),
            (None, Ok(hostname)) => {
                sought.entry(hostname).or_default();
            }
            (None, Err(_)) => return Err(none(name)),
        }
    }
    if !sought.is_empty() {
        for held in snapshot.nodes(orgs, None) {
            if let Some(found) = sought.get_mut(&held.doc.hostname) {
                found.push(held.doc.id.clone());
            }
        }
    }
    for (hostname, mut found) in sought {
        match (found.pop(), found.is_empty()) {
            (Some(id), true) => nodes.push(id),
            (Some(_), false) => {
                return Err(Refusal::new(
                    code::CONFLICT,
                    format!("several organisations have a node {hostname}; name it by its id"),
                ));
            }
            (None, _) => return Err(none(hostname.as_str())),
        }
    }
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}

fn none(name: &str) -> Refusal {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    Refusal::new(code::NOT_FOUND, format!("there is no node {shown:?}"))
}

/// What a node has to fit; those that are named have to fit nothing.
pub(super) fn filter(batch: &Batch) -> Filter {
    Filter {
        group: batch.selection.group.clone(),
        labels: batch.selection.labels.clone(),
        status: batch.selection.status,
        ..Filter::default()
    }
}

/// Those a selection means, from after `after` on. What came to be after the batch began is not meant.
fn fitting<'a>(
    snapshot: &'a Snapshot,
    batch: &'a Batch,
    orgs: &'a Orgs,
    after: Option<&NodeId>,
) -> impl Iterator<Item = &'a NodeId> {
    let filter = filter(batch);
    snapshot
        .nodes(orgs, after)
        .filter(move |held| held.doc.created_at <= batch.created_at && filter.fits(snapshot, &held.doc))
        .map(|held| &held.doc.id)
}

/// How many nodes a batch means at this moment.
pub(super) fn count(snapshot: &Snapshot, batch: &Batch) -> u32 {
    let orgs = orgs_of(batch.org.as_ref());
    let count = match batch.selection.nodes.len() {
        0 => fitting(snapshot, batch, &orgs, None).count(),
        named => named,
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The next nodes after `after` whose turn it is, at most a page of them; none where all had theirs.
pub(super) fn next(snapshot: &Snapshot, batch: &Batch, after: Option<&NodeId>) -> Vec<NodeId> {
    if batch.selection.nodes.is_empty() {
        let orgs = orgs_of(batch.org.as_ref());
        return fitting(snapshot, batch, &orgs, after)
            .take(PAGE)
            .cloned()
            .collect();
    }
    let named = batch.selection.nodes.iter();
    named
        .filter(|id| after.is_none_or(|after| *id > after))
        .take(PAGE)
        .cloned()
        .collect()
}
