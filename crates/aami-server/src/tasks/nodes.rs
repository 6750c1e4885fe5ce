//! Nodes being installed: verified again until they answer, given up when they fall silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aami_model::access::Orgs;
use aami_model::node_status::{NodeStatus, Trigger};
use aami_model::{NodeId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Lead;
use crate::app::App;

/// How many nodes are verified at once. They mostly wait for a network.
pub(super) const VERIFIERS: usize = 32;
/// How long each of them rests after a node. A node being installed asks for itself; this is for those
/// whose installer died, and a fleet that enrols at once must not be slowed by it.
const REST: Duration = Duration::from_millis(160);

/// Verifies what was asked for, one after the other.
pub(super) async fn verify(app: Arc<App>, stop: CancellationToken) {
    loop {
        let id = tokio::select! { () = stop.cancelled() => return, id = app.verifier.next() => id };
        let verified =
            tokio::select! { () = stop.cancelled() => return, verified = app.verify(&id) => verified };
        if let Err(refusal) = verified {
            tracing::warn!(node = %id, code = %refusal.code, error = %refusal, "a node could not be verified");
        }
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(REST) => {} }
    }
}

/// Asks again for every node that is being installed.
pub(super) async fn verify_again(app: Arc<App>) {
    for (id, _) in app.nodes_in(NodeStatus::Installing) {
        app.verifier.ask(&id);
    }
}

/// Gives up on installations nobody reports of.
pub(super) async fn give_up(app: Arc<App>, lead: Lead) {
    if !lead.is_held() {
        return;
    }
    let snapshot = app.view.current();
    let all = Orgs::All;
    let now = app.world.now();
    let silence = app.config.install_silence;
    // Gathered once: a fleet that enrols at once has as many runs as nodes.
    let mut reported: BTreeMap<&NodeId, Timestamp> = BTreeMap::new();
    for held in snapshot.runs(&all) {
        if let Some(id) = &held.doc.node {
            let last = reported.entry(id).or_insert(held.doc.updated_at);
            *last = held.doc.updated_at.max(*last);
        }
    }
    for (id, since) in app.nodes_in(NodeStatus::Installing) {
        let last = reported.get(&id).map_or(since, |last| since.max(*last));
        if now.since(last) < silence {
            continue;
        }
        let reason = snapshot
            .node(&id, &all)
            .and_then(|held| held.doc.status_reason.clone())
            .unwrap_or_else(|| format!("nothing was reported for {} min", silence.as_secs() / 60));
        if let Err(refusal) = app
            .observe_node(&id, Some(false), Some(Trigger::InstallSilent), Some(reason))
            .await
        {
            tracing::warn!(node = %id, error = %refusal, "a silent installation could not be given up");
        }
    }
}
