//! Bundles: what each Prometheus should have loaded, made from the rule sets as they are now.
//!
//! A bundle is made when somebody asks, and kept until a set or a Prometheus changes. The same sets give the same bytes
//! and the same hash on every replica.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aami_api::prometheus::RuleBundle;
use aami_model::access::Orgs;
use aami_model::prometheus::Prometheus;
use aami_model::rule_file::{RuleFile, canonical};
use aami_model::rules::RuleSet;
use aami_model::{Code, OrgId, code};
use aami_monitor::rule_sets::{self, Tenant};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

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

/// The hash of files.
fn hash(files: &[RuleFile]) -> String {
    HEXLOWER.encode(&Sha256::digest(canonical(files)))
}

fn make(snapshot: &Snapshot, org: Option<&OrgId>) -> Made {
    let orgs = org.map_or(Orgs::All, |org| Orgs::Only(vec![org.clone()]));
    let mut sets: BTreeMap<&OrgId, Vec<&RuleSet>> = BTreeMap::new();
    for held in snapshot.ruled.sets(&orgs) {
        sets.entry(&held.doc.org).or_default().push(&held.doc);
    }
    let foreign = OrgId::default();
    let is_shared =
        org.is_none() && (snapshot.ruled.is_shared || sets.keys().any(|owner| **owner != foreign));
    let tenants: Vec<Tenant<'_>> = (sets.iter())
        .map(|(org, sets)| of_sets(snapshot, org, sets.iter().copied()))
        .collect();
    match rule_sets::render(&tenants, is_shared, org.is_none()) {
        Ok(files) => Ok(Arc::new(RuleBundle {
            sha256: hash(&files),
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
