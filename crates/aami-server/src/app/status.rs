//! The whole in a few numbers.

use std::collections::BTreeMap;

use aami_api::health::Status;
use aami_model::access::{Caller, Role};

use super::{App, Refusal, access};

impl App {
    /// What the caller sees, counted.
    pub(crate) fn status(&self, caller: &Caller) -> Result<Status, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        let mut nodes = BTreeMap::new();
        let mut targets = 0;
        for held in snapshot.nodes(&caller.orgs, None) {
            *nodes.entry(held.doc.status.name().to_owned()).or_default() += 1;
            if held.doc.status.is_discovered() {
                targets += held
                    .doc
                    .exporters
                    .iter()
                    .filter(|exporter| exporter.enabled)
                    .count() as u64;
            }
        }
        let mut rules = BTreeMap::new();
        for held in snapshot.ruled.prometheuses(&caller.orgs) {
            let state = self.shown_prometheus(&snapshot, &held.doc).state;
            *rules.entry(state.name().to_owned()).or_default() += 1;
        }
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: self.cluster_name(),
            store: self.config.store_kind().to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            nodes,
            targets,
            rules,
            discovery_asked_seconds: self.discovery.asked_ago().map(|ago| ago.as_secs()),
        })
    }

    /// What this cluster is called, as every replica knows it.
    pub(crate) fn cluster_name(&self) -> String {
        self.view
            .current()
            .cluster()
            .map_or_else(|| self.config.cluster.clone(), |cluster| cluster.name.clone())
    }
}
