//! The part of the picture that alerts are made from: rule sets, the Prometheuses they go to, and what was last said of
//! loading them.

use std::hash::{Hash as _, Hasher as _};
use std::str::FromStr;
use std::sync::Arc;

use aami_model::access::Orgs;
use aami_model::prometheus::{Loading, Prometheus};
use aami_model::rules::RuleSet;
use aami_model::{NodeId, PrometheusId, RuleSetId};
use aami_store::{Entry, Key};
use imbl::OrdSet;

use super::document::DocumentError;
use super::snapshot::Held;
use super::table::{Table, apply};

/// Rule sets and Prometheuses.
#[derive(Clone, Default)]
pub(crate) struct Ruled {
    sets: Table<RuleSetId, RuleSet>,
    prometheuses: Table<PrometheusId, Prometheus>,
    loadings: Table<PrometheusId, Loading>,
    /// How many nodes there are of other organisations than the default one.
    foreign_nodes: usize,
    /// Those that are there and cannot be read: a later version wrote them, or somebody broke them.
    unread_sets: OrdSet<RuleSetId>,
    unread_prometheuses: OrdSet<PrometheusId>,
}

/// Notes whether what is there under an id can be read.
fn note<K: Ord + Clone + FromStr>(unread: &mut OrdSet<K>, id: &str, outcome: &Result<(), DocumentError>) {
    let Ok(id) = id.parse() else { return };
    if outcome.is_ok() {
        unread.remove(&id);
    } else {
        unread.insert(id);
    }
}

impl Ruled {
    /// Whether a Prometheus that watches everything sees nodes of another organisation than the default one.
    pub(crate) const fn is_shared(&self) -> bool {
        self.foreign_nodes > 0
    }

    /// A node of another organisation came.
    pub(super) const fn foreign_came(&mut self) {
        self.foreign_nodes = self.foreign_nodes.saturating_add(1);
    }

    /// One went.
    pub(super) const fn foreign_went(&mut self) {
        self.foreign_nodes = self.foreign_nodes.saturating_sub(1);
    }

    /// Rule sets that are there and cannot be read: what is made without them lacks their rules.
    pub(crate) fn unread_sets(&self) -> impl Iterator<Item = &RuleSetId> {
        self.unread_sets.iter()
    }

    /// Prometheuses that are there and cannot be read: nobody knows which node delivers to them.
    pub(crate) fn unread_prometheuses(&self) -> impl Iterator<Item = &PrometheusId> {
        self.unread_prometheuses.iter()
    }

    pub(crate) fn set(&self, id: &RuleSetId, orgs: &Orgs) -> Option<&Arc<Held<RuleSet>>> {
        self.sets.get(id).filter(|held| orgs.includes(&held.doc.org))
    }

    pub(crate) fn sets<'a>(&'a self, orgs: &'a Orgs) -> impl Iterator<Item = &'a Arc<Held<RuleSet>>> {
        self.sets.values().filter(|held| orgs.includes(&held.doc.org))
    }

    pub(crate) fn prometheus(&self, id: &PrometheusId, orgs: &Orgs) -> Option<&Arc<Held<Prometheus>>> {
        (self.prometheuses.get(id)).filter(|held| orgs.includes(&held.doc.org))
    }

    pub(crate) fn prometheuses<'a>(
        &'a self,
        orgs: &'a Orgs,
    ) -> impl Iterator<Item = &'a Arc<Held<Prometheus>>> {
        self.prometheuses
            .values()
            .filter(|held| orgs.includes(&held.doc.org))
    }

    /// Those a node delivers to.
    pub(crate) fn delivered_by<'a>(
        &'a self,
        node: &'a NodeId,
    ) -> impl Iterator<Item = &'a Arc<Held<Prometheus>>> {
        (self.prometheuses.values()).filter(move |held| held.doc.node.as_ref() == Some(node))
    }

    /// Tells one state of sets and Prometheuses from another, whatever the picture was read from.
    pub(crate) fn mark(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        for (id, held) in &self.sets {
            (id, held.revision.get()).hash(&mut hasher);
        }
        for (id, held) in &self.prometheuses {
            (id, held.revision.get()).hash(&mut hasher);
        }
        self.is_shared().hash(&mut hasher);
        self.unread_sets.hash(&mut hasher);
        hasher.finish()
    }

    /// What was last said of loading rules there.
    pub(crate) fn loading(&self, id: &PrometheusId) -> Option<&Arc<Held<Loading>>> {
        self.loadings.get(id)
    }

    pub(super) fn apply_rule(
        &mut self,
        key: &Key,
        id: &str,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        let outcome = apply(&mut self.sets, key, id, entry);
        note(&mut self.unread_sets, id, &outcome);
        outcome
    }

    pub(super) fn apply_prometheus(
        &mut self,
        key: &Key,
        id: &str,
        part: Option<&str>,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        match part {
            None => {
                let outcome = apply(&mut self.prometheuses, key, id, entry);
                note(&mut self.unread_prometheuses, id, &outcome);
                outcome
            }
            Some("loaded") => apply(&mut self.loadings, key, id, entry),
            // What a later version keeps there.
            Some(_) => Ok(()),
        }
    }
}
