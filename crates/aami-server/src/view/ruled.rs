//! The part of the picture that alerts are made from: rule sets, the Prometheuses they go to, and what was last said of
//! loading them.

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use aami_model::access::Orgs;
use aami_model::prometheus::{Loading, Prometheus};
use aami_model::rules::RuleSet;
use aami_model::{NodeId, PrometheusId, RuleSetId};
use aami_store::{Entry, Key};

use super::document::DocumentError;
use super::snapshot::Held;
use super::table::{Table, apply};

/// Rule sets and Prometheuses.
#[derive(Clone, Default)]
pub(crate) struct Ruled {
    sets: Table<RuleSetId, RuleSet>,
    prometheuses: Table<PrometheusId, Prometheus>,
    loadings: Table<PrometheusId, Loading>,
    /// Whether there was ever a node of another organisation than the default one, as far as is known.
    pub(crate) is_shared: bool,
}

impl Ruled {
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
        self.is_shared.hash(&mut hasher);
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
        apply(&mut self.sets, key, id, entry)
    }

    pub(super) fn apply_prometheus(
        &mut self,
        key: &Key,
        id: &str,
        part: Option<&str>,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        match part {
            None => apply(&mut self.prometheuses, key, id, entry),
            Some("loaded") => apply(&mut self.loadings, key, id, entry),
            // What a later version keeps there.
            Some(_) => Ok(()),
        }
    }
}
