//! What is different between two pictures. They share all that did not change, so only that is looked at.

use std::sync::Arc;

use aami_model::node::Node;
use aami_model::{NodeId, RunId};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::document::RunDocument;
use super::linked::InventoryDocument;
use super::snapshot::{Held, Snapshot, Untold};

/// A document that is another one now, or none.
pub(crate) enum Changed<'a, K, T> {
    /// It was made or changed.
    Now(&'a K, &'a Arc<Held<T>>),
    /// It was removed; this is how it was last seen.
    Gone(&'a K, &'a Arc<Held<T>>),
}

fn changed<'a, K: Ord, T>(
    before: &'a OrdMap<K, Arc<Held<T>>>,
    after: &'a OrdMap<K, Arc<Held<T>>>,
) -> impl Iterator<Item = Changed<'a, K, T>> {
    before.diff(after).map(|item| match item {
        DiffItem::Add(key, held) | DiffItem::Update { new: (key, held), .. } => Changed::Now(key, held),
        DiffItem::Remove(key, held) => Changed::Gone(key, held),
    })
}

impl Snapshot {
    /// The nodes that are different in `after`.
    pub(crate) fn nodes_changed<'a>(
        &'a self,
        after: &'a Self,
    ) -> impl Iterator<Item = Changed<'a, NodeId, Node>> {
        changed(&self.nodes, &after.nodes)
    }

    /// The runs that are.
    pub(crate) fn runs_changed<'a>(
        &'a self,
        after: &'a Self,
    ) -> impl Iterator<Item = Changed<'a, RunId, RunDocument>> {
        changed(&self.runs, &after.runs)
    }

    /// The inventories that are.
    pub(crate) fn inventories_changed<'a>(
        &'a self,
        after: &'a Self,
    ) -> impl Iterator<Item = Changed<'a, NodeId, InventoryDocument>> {
        changed(&self.linked.inventories, &after.linked.inventories)
    }

    /// What transactions told that are in `after` and not here; none where some may have come and gone in between.
    pub(crate) fn told_until<'a>(&'a self, after: &'a Self) -> Option<Vec<(&'a str, &'a Untold)>> {
        let (mut told, mut removed) = (Vec::new(), 0);
        for item in self.outbox.diff(&after.outbox) {
            match item {
                DiffItem::Add(key, untold)
                | DiffItem::Update {
                    new: (key, untold), ..
                } => told.push((&**key, untold)),
                DiffItem::Remove(..) => removed += 1,
            }
        }
        (after.outbox_removals.checked_sub(self.outbox_removals) == Some(removed)).then_some(told)
    }

    /// Whether any API key is different.
    pub(crate) fn keys_differ(&self, after: &Self) -> bool {
        changed(&self.keys, &after.keys).next().is_some()
    }
}
