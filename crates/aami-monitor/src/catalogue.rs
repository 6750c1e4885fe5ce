//! Every listed node in rendered form, and the answers made of it.
//!
//! The catalogue is told of changes and never looks anything up. It keeps three lists in step: flat
//! discovery, grouped discovery and `aami_node_info`. Order is that of node ids (in the grouped shape,
//! of the shared labels first), because Prometheus tells groups apart by their position. Answers are
//! kept until the next change; after one, only the shards it touched are looked at again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aami_model::NodeId;
use bytes::Bytes;

use crate::answer::Answer;
use crate::listed::Listed;
use crate::node_info;
use crate::selection::{Member, Selection, Shape};
use crate::shards::{Piece, Shards, Taken, TakenBefore};

/// Answers kept at once; the one asked for longest ago goes first.
const MOST_KEPT: usize = 32;

/// What happened to a node, as far as Prometheus is concerned.
#[derive(Debug)]
pub enum Change {
    /// It is listed, as follows.
    Put(Box<Listed>),
    /// It is listed no longer.
    Remove(NodeId),
}

impl Change {
    /// The change that makes the catalogue show `listed`, the rendering of node `id`.
    pub fn of(id: &NodeId, listed: Option<Listed>) -> Self {
        match listed {
            Some(listed) => Self::Put(Box::new(listed)),
            None => Self::Remove(id.clone()),
        }
    }

    const fn id(&self) -> &NodeId {
        match self {
            Self::Put(listed) => &listed.id,
            Self::Remove(id) => id,
        }
    }
}

/// All listed nodes.
#[derive(Debug, Default)]
pub struct Catalogue {
    flat: Shards,
    info: Shards,
    sets: BTreeMap<Arc<str>, Shards>,
    /// Counts shards.
    versions: u64,
    /// Counts changes.
    generation: u64,
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    list: List,
    selection: Selection,
    generation: u64,
    answer: Answer,
    taken: TakenBefore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Discovery(Shape),
    NodeInfo,
}

impl Catalogue {
    /// An empty catalogue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grows by one with every change that shows in an answer. A `file_sd` file needs to be written again
    /// when this has grown.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes in changes; the last one of a node stands. Cheapest in large batches.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) {
        let mut changes: Vec<Change> = changes.into_iter().collect();
        // Stable, so that of one node's changes the last one stays last.
        changes.sort_by(|one, other| one.id().cmp(other.id()));
        let mut edits = Edits::default();
        let mut changes = changes.into_iter().peekable();
        while let Some(change) = changes.next() {
            if changes.peek().is_some_and(|next| next.id() == change.id()) {
                continue;
            }
            let before = self.flat.find(change.id());
            let listed = match change {
                Change::Put(listed) => Some(listed),
                Change::Remove(_) => None,
            };
            if !shows(before, listed.as_deref()) {
                continue;
            }
            let before = before.map(|(member, _)| &**member);
            match listed {
                Some(listed) => edits.put(*listed, before, &self.sets),
                None => edits.remove(before),
            }
        }
        if edits.flat.is_empty() {
            return;
        }
        self.generation += 1;
        self.flat.apply(edits.flat, &mut self.versions);
        self.info.apply(edits.info, &mut self.versions);
        for (name, changes) in edits.sets {
            let set = self.sets.entry(name.clone()).or_default();
            set.apply(changes, &mut self.versions);
            if set.is_empty() {
                self.sets.remove(&name);
            }
        }
    }

    /// The answer of service discovery: JSON for `http_sd` and `file_sd`.
    pub fn discovery(&mut self, shape: Shape, selection: &Selection) -> Answer {
        self.answer(List::Discovery(shape), selection)
    }

    /// `aami_node_info` in the text format, with its HELP and TYPE lines.
    pub fn node_info(&mut self, selection: &Selection) -> Answer {
        self.answer(List::NodeInfo, selection)
    }

    fn answer(&mut self, list: List, selection: &Selection) -> Answer {
        let at = self
            .kept
            .iter()
            .position(|kept| kept.list == list && kept.selection == *selection);
        let mut before = TakenBefore::new();
        if let Some(at) = at {
            let kept = self.kept.remove(at);
            if kept.generation == self.generation {
                let answer = kept.answer.clone();
                self.kept.push(kept);
                return answer;
            }
            before = kept.taken;
        } else if self.kept.len() == MOST_KEPT {
            self.kept.remove(0);
        }
        let mut taken = TakenBefore::new();
        let answer = match list {
            List::Discovery(Shape::Flat) => array(vec![Group::bare(
                self.flat.select(selection, &before, &mut taken),
            )]),
            List::Discovery(Shape::Grouped) => array(
                self.sets
                    .iter()
                    .map(|(labels, set)| Group::of(labels, set.select(selection, &before, &mut taken)))
                    .collect(),
            ),
            List::NodeInfo => lines(self.info.select(selection, &before, &mut taken)),
        };
        self.kept.push(Kept {
            list,
            selection: selection.clone(),
            generation: self.generation,
            answer: answer.clone(),
            taken,
        });
        answer
    }
}

/// Whether a change shows in any answer.
fn shows(before: Option<(&Arc<Member>, &[u8])>, after: Option<&Listed>) -> bool {
    match (before, after) {
        (None, None) => false,
        (Some((member, text)), Some(listed)) => {
            // The flat text holds every label and address; the rest is how selections judge it.
            text != listed.flat.as_bytes()
                || member.org != listed.org
                || member.groups != listed.groups
                || member.in_maintenance != listed.in_maintenance
                || !member
                    .sets
                    .iter()
                    .map(|set| &**set)
                    .eq(listed.sets.iter().map(|set| set.labels.as_str()))
        }
        _ => true,
    }
}

/// Changes to one list, in the order of node ids.
type ListEdits = Vec<(NodeId, Option<Piece>)>;

/// Changes to all three lists, made in the order of node ids.
#[derive(Default)]
struct Edits {
    flat: ListEdits,
    info: ListEdits,
    sets: HashMap<Arc<str>, ListEdits>,
}

impl Edits {
    /// Takes a node out of every list it is in.
    fn remove(&mut self, before: Option<&Member>) {
        let Some(member) = before else { return };
        self.flat.push((member.id.clone(), None));
        self.info.push((member.id.clone(), None));
        for name in &member.sets {
            self.leave(name, &member.id);
        }
    }

    fn leave(&mut self, set: &Arc<str>, id: &NodeId) {
        let edits = self.sets.entry(set.clone()).or_default();
        edits.push((id.clone(), None));
    }

    /// Puts a node into every list it belongs to, and takes it out of those it was in `before` and is no longer.
    fn put(&mut self, listed: Listed, before: Option<&Member>, known: &BTreeMap<Arc<str>, Shards>) {
        let id = listed.id;
        let names: Box<[Arc<str>]> = listed
            .sets
            .iter()
            .map(|set| self.name(known, &set.labels))
            .collect();
        for left in before.iter().flat_map(|member| &member.sets) {
            if !names.contains(left) {
                self.leave(left, &id);
            }
        }
        let member = Arc::new(Member {
            id: id.clone(),
            org: listed.org,
            groups: listed.groups,
            in_maintenance: listed.in_maintenance,
            sets: names.clone(),
        });
        let piece = |text, targets| {
            Some(Piece {
                member: member.clone(),
                text,
                targets,
            })
        };
        for (name, set) in names.into_iter().zip(listed.sets) {
            let edits = self.sets.entry(name).or_default();
            edits.push((id.clone(), piece(set.addresses, set.targets)));
        }
        self.flat.push((id.clone(), piece(listed.flat, listed.targets)));
        self.info.push((id, piece(listed.info, listed.targets)));
    }

    /// One copy of each set's name, however many nodes stand under it.
    fn name(&self, known: &BTreeMap<Arc<str>, Shards>, labels: &str) -> Arc<str> {
        let held = known.get_key_value(labels).map(|(name, _)| name);
        let coming = || self.sets.get_key_value(labels).map(|(name, _)| name);
        held.or_else(coming).map_or_else(|| labels.into(), Arc::clone)
    }
}

/// A run of list elements between two texts. The text of each shard begins with a comma.
struct Group {
    head: Option<Bytes>,
    taken: Vec<Taken>,
    tail: &'static [u8],
}

impl Group {
    const fn bare(taken: Vec<Taken>) -> Self {
        Self {
            head: None,
            taken,
            tail: b"",
        }
    }

    fn of(labels: &str, taken: Vec<Taken>) -> Self {
        Self {
            head: Some(Bytes::from(format!(",{{\"labels\":{labels},\"targets\":["))),
            taken,
            tail: b"]}",
        }
    }
}

/// A JSON array of groups; those that nothing was taken from are left out.
fn array(groups: Vec<Group>) -> Answer {
    let mut pieces = vec![Bytes::from_static(b"[")];
    let mut targets = 0;
    let mut first = true;
    for group in groups.into_iter().filter(|group| !group.taken.is_empty()) {
        let mut first_inside = first;
        if let Some(head) = group.head {
            pieces.push(if first { head.slice(1..) } else { head });
            first_inside = true;
        }
        for part in group.taken {
            targets += part.targets;
            pieces.push(if first_inside {
                part.text.slice(1..)
            } else {
                part.text
            });
            first_inside = false;
        }
        if !group.tail.is_empty() {
            pieces.push(Bytes::from_static(group.tail));
        }
        first = false;
    }
    pieces.push(Bytes::from_static(b"]"));
    Answer::new(pieces, targets)
}

fn lines(taken: Vec<Taken>) -> Answer {
    let targets = taken.iter().map(|part| part.targets).sum();
    let head = Bytes::from_static(node_info::HEAD.as_bytes());
    let pieces = std::iter::once(head).chain(taken.into_iter().map(|part| part.text));
    Answer::new(pieces.collect(), targets)
}
