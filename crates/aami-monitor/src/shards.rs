//! Pieces of text by node, in the order of node ids, kept together in shards.
//!
//! A change copies the shards it touches, a few hundred kilobytes each, and leaves all others as they
//! are; a selection that leaves out nobody of a shard uses the shard's own text. Both make an answer of
//! 100,000 nodes a matter of a few hundred pointers.

use std::collections::HashMap;
use std::sync::Arc;

use aami_model::NodeId;
use bytes::Bytes;

use crate::selection::{Member, Selection};

/// Nodes in a full shard; one that grows to twice this is cut in two.
const FULL: usize = 512;

/// What a node has in one list.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) member: Arc<Member>,
    pub(crate) text: String,
    pub(crate) targets: u16,
}

/// An ordered list of pieces.
#[derive(Debug, Default)]
pub(crate) struct Shards {
    shards: Vec<Shard>,
}

#[derive(Debug)]
struct Shard {
    /// Unique among all shards there ever were.
    version: u64,
    text: Bytes,
    places: Vec<Place>,
    targets: usize,
}

#[derive(Debug)]
struct Place {
    member: Arc<Member>,
    /// Where its text ends; it begins where the one before ends.
    end: usize,
    targets: u16,
}

/// What a selection takes from one shard.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) text: Bytes,
    pub(crate) targets: usize,
}

/// What a selection took, by the version of the shard it was taken from.
pub(crate) type TakenBefore = HashMap<u64, Taken>;

impl Shards {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The member and text of a node.
    pub(crate) fn find(&self, id: &NodeId) -> Option<(&Arc<Member>, &[u8])> {
        let shard = self.shards.get(self.responsible(id)?)?;
        let at = shard
            .places
            .binary_search_by(|place| place.member.id.cmp(id))
            .ok()?;
        Some((&shard.places[at].member, shard.piece(at)))
    }

    /// Puts (`Some`) or removes (`None`) nodes. `changes` ascend by id, each once. `versions` counts shards.
    pub(crate) fn apply(&mut self, changes: Vec<(NodeId, Option<Piece>)>, versions: &mut u64) {
        let mut new = Vec::with_capacity(self.shards.len() + 1);
        let mut old = std::mem::take(&mut self.shards).into_iter().peekable();
        if old.peek().is_none() {
            let bytes = changes.iter().map(|(_, piece)| piece_len(piece.as_ref())).sum();
            let mut filling = Filling::new(&mut new, versions, changes.len(), bytes);
            changes.into_iter().for_each(|(_, piece)| filling.put(piece));
            filling.cut();
            self.shards = new;
            return;
        }
        let mut changes = changes.into_iter().peekable();
        while let Some(shard) = old.next() {
            let next = old.peek().and_then(Shard::first);
            let mut here = Vec::new();
            while let Some(change) = changes.next_if(|(id, _)| next.is_none_or(|next| id < next)) {
                here.push(change);
            }
            if here.is_empty() {
                new.push(shard);
            } else {
                shard.merge(here, &mut new, versions);
            }
        }
        self.shards = new;
    }

    /// What `selection` takes, shard by shard, leaving out shards it takes nothing from. `before` holds what
    /// it took last time, and afterwards what it took now.
    pub(crate) fn select(
        &self,
        selection: &Selection,
        before: &TakenBefore,
        now: &mut TakenBefore,
    ) -> Vec<Taken> {
        let everything = selection.is_everything();
        let mut taken = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            let part = if everything {
                shard.whole()
            } else {
                let part = match before.get(&shard.version) {
                    Some(part) => part.clone(),
                    None => shard.select(selection),
                };
                now.insert(shard.version, part.clone());
                part
            };
            if !part.text.is_empty() {
                taken.push(part);
            }
        }
        taken
    }

    /// The shard in whose range an id falls.
    fn responsible(&self, id: &NodeId) -> Option<usize> {
        let after = self
            .shards
            .partition_point(|shard| shard.first().is_some_and(|first| first <= id));
        after.checked_sub(1)
    }
}

/// Fills shards, one after another.
struct Filling<'a> {
    shards: &'a mut Vec<Shard>,
    versions: &'a mut u64,
    /// Nodes after which the next shard begins.
    each: usize,
    text: Vec<u8>,
    places: Vec<Place>,
    targets: usize,
}

impl<'a> Filling<'a> {
    /// For at most `nodes` nodes with so many bytes of text.
    fn new(shards: &'a mut Vec<Shard>, versions: &'a mut u64, nodes: usize, bytes: usize) -> Self {
        let count = if nodes >= 2 * FULL {
            nodes.div_ceil(FULL)
        } else {
            1
        };
        Self {
            shards,
            versions,
            each: nodes.div_ceil(count),
            text: Vec::with_capacity(bytes / count),
            places: Vec::with_capacity(nodes / count),
            targets: 0,
        }
    }

    fn push(&mut self, member: Arc<Member>, text: &[u8], targets: u16) {
        self.text.extend_from_slice(text);
        self.targets += usize::from(targets);
        self.places.push(Place {
            member,
            end: self.text.len(),
            targets,
        });
        if self.places.len() == self.each {
            self.cut();
        }
    }

    fn put(&mut self, piece: Option<Piece>) {
        if let Some(piece) = piece {
            self.push(piece.member, piece.text.as_bytes(), piece.targets);
        }
    }

    fn cut(&mut self) {
        if self.places.is_empty() {
            return;
        }
        *self.versions += 1;
        let mut text = std::mem::take(&mut self.text);
        let mut places = std::mem::take(&mut self.places);
        // They are kept for long; what they grew beyond their need is given back.
        text.shrink_to_fit();
        places.shrink_to_fit();
        self.shards.push(Shard {
            version: *self.versions,
            text: text.into(),
            places,
            targets: std::mem::take(&mut self.targets),
        });
    }
}

fn piece_len(piece: Option<&Piece>) -> usize {
    piece.map_or(0, |piece| piece.text.len())
}

impl Shard {
    /// The smallest id in it. No shard is empty.
    fn first(&self) -> Option<&NodeId> {
        self.places.first().map(|place| &place.member.id)
    }

    fn piece(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.places[before].end);
        &self.text[start..self.places[at].end]
    }

    /// Fills `new` with its pieces after `changes` are made; both ascend.
    fn merge(self, changes: Vec<(NodeId, Option<Piece>)>, new: &mut Vec<Self>, versions: &mut u64) {
        let more: usize = changes.iter().map(|(_, piece)| piece_len(piece.as_ref())).sum();
        let nodes = self.places.len() + changes.len();
        let mut filling = Filling::new(new, versions, nodes, self.text.len() + more);
        let mut changes = changes.into_iter().peekable();
        for (at, place) in self.places.iter().enumerate() {
            while let Some((_, piece)) = changes.next_if(|(id, _)| *id < place.member.id) {
                filling.put(piece);
            }
            match changes.next_if(|(id, _)| *id == place.member.id) {
                Some((_, piece)) => filling.put(piece),
                None => filling.push(place.member.clone(), self.piece(at), place.targets),
            }
        }
        changes.for_each(|(_, piece)| filling.put(piece));
        filling.cut();
    }

    fn whole(&self) -> Taken {
        Taken {
            text: self.text.clone(),
            targets: self.targets,
        }
    }

    fn select(&self, selection: &Selection) -> Taken {
        let mut text = Vec::new();
        let mut targets = 0;
        for (at, place) in self.places.iter().enumerate() {
            if selection.includes(&place.member) {
                text.extend_from_slice(self.piece(at));
                targets += usize::from(place.targets);
            }
        }
        if text.len() == self.text.len() {
            return self.whole();
        }
        Taken {
            text: text.into(),
            targets,
        }
    }
}
