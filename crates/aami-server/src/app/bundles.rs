//! Bundles: what each Prometheus should have loaded, made from the rule sets as they are now.
//!
//! A bundle is made when somebody asks, and kept until a set or a Prometheus changes. The same sets give the same bytes
//! and the same hash on every replica.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aami_api::prometheus::{RuleBundle, bundle_sha256};
use aami_model::access::Orgs;
use aami_model::prometheus::Prometheus;
use aami_model::rule_file::RuleFile;
use aami_model::rules::RuleSet;
use aami_model::{Code, OrgId, code};
use aami_monitor::rule_sets::{self, SetError, Tenant};

use super::rules::of_sets;
use super::{App, Refusal};
use crate::view::Snapshot;

/// What a Prometheus should have, or why that cannot be said.
pub(crate) type Made = Result<Arc<RuleBundle>, (Code, String)>;

/// Bundles that were made, as long as they hold.
#[derive(Default)]
pub(crate) struct Bundles {
    made: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Of which sets and Prometheuses.
    of: Option<u64>,
    /// By organisation; of all of them where there is none.
    bundles: BTreeMap<Option<OrgId>, Made>,
}

/// All files of these sets: of those of one organisation, or of all of them for the Prometheus that watches everything.
pub(super) fn files_of<'a>(
    snapshot: &'a Snapshot,
    sets: impl Iterator<Item = &'a RuleSet>,
    everything: bool,
) -> Result<Vec<RuleFile>, SetError> {
    let mut by_org: BTreeMap<&OrgId, Vec<&RuleSet>> = BTreeMap::new();
    for set in sets {
        by_org.entry(&set.org).or_default().push(set);
    }
    let own = OrgId::default();
    let is_shared = everything && (snapshot.ruled.is_shared() || by_org.keys().any(|owner| **owner != own));
    let tenants: Vec<Tenant<'_>> = (by_org.iter())
        .map(|(org, sets)| of_sets(snapshot, org, sets.iter().copied()))
        .collect();
    rule_sets::render(&tenants, is_shared, everything)
}

fn make(snapshot: &Snapshot, org: Option<&OrgId>) -> Made {
    if let Some(id) = snapshot.ruled.unread_sets().next() {
        // Without it, the rules in it would be taken out of every Prometheus.
        let why = format!("the rule set {id} cannot be read by this version of the control plane");
        return Err((code::CONFLICT, why));
    }
    let orgs = org.map_or(Orgs::All, |org| Orgs::Only(vec![org.clone()]));
    let sets = snapshot.ruled.sets(&orgs).map(|held| &held.doc);
    match files_of(snapshot, sets, org.is_none()) {
        Ok(files) => Ok(Arc::new(RuleBundle {
            sha256: bundle_sha256(&files),
            files,
        })),
        Err(error) => Err((error.code(), error.to_string())),
    }
}

impl App {
    /// What a Prometheus should have now.
    pub(crate) fn bundle_of(&self, snapshot: &Snapshot, prometheus: &Prometheus) -> Made {
        let org = (!prometheus.everything).then(|| prometheus.org.clone());
        let of = snapshot.ruled.mark();
        let mut kept = self.bundles.made.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.of != Some(of) {
            *kept = Kept {
                of: Some(of),
                bundles: BTreeMap::new(),
            };
        }
        kept.bundles
            .entry(org.clone())
            .or_insert_with(|| {
                let made = make(snapshot, org.as_ref());
                if let Err((_, why)) = &made {
                    tracing::error!(why, "the rules of a Prometheus cannot be made");
                }
                made
            })
            .clone()
    }

    /// The same for whoever asked for it.
    pub(crate) fn bundle_for(
        &self,
        snapshot: &Snapshot,
        prometheus: &Prometheus,
    ) -> Result<Arc<RuleBundle>, Refusal> {
        self.bundle_of(snapshot, prometheus)
            .map_err(|(_, why)| Refusal::new(code::CONFLICT, format!("the rules cannot be handed on: {why}")))
    }
}
