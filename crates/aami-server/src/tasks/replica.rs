//! Says that this replica lives, where others share the store: `replicas/{id}` on a lease. What it held, sockets for
//! one, is given up by the others when the lease ends.

use std::sync::Arc;
use std::time::Duration;

use aami_store::{LeaseId, Txn, TxnOutcome, keys};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::view::document::encode;
use crate::view::linked::ReplicaDocument;

const TTL: Duration = Duration::from_secs(15);
const BEAT: Duration = Duration::from_secs(5);

/// Keeps the lease until `stop`. Where the store belongs to one process there is nobody to be told.
pub(super) fn keep(tasks: &mut JoinSet<()>, app: &Arc<App>, stop: &CancellationToken) {
    if app.config.store_kind() != "etcd" {
        return;
    }
    let (app, stop) = (app.clone(), stop.clone());
    tasks.spawn(async move {
        let mut lease = None;
        let mut beats = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = beats.tick() => {}
            }
            lease = beat(&app, lease).await;
        }
        if let Some(lease) = lease {
            let _ = app.store.revoke(lease).await;
        }
    });
}

async fn beat(app: &App, lease: Option<LeaseId>) -> Option<LeaseId> {
    if let Some(lease) = lease
        && app.store.keep_alive(lease).await.is_ok()
    {
        return Some(lease);
    }
    let lease = app.store.grant(TTL).await.ok()?.id;
    let document = encode(&ReplicaDocument {
        reads: 1,
        url: app.reach.public_url.clone(),
        peer: app.peers.calling.clone(),
    });
    let txn = Txn::new().put_leased(keys::replica(&app.replica), document, lease);
    match app.store.txn(txn).await {
        Ok(TxnOutcome::Committed(_)) => Some(lease),
        _ => {
            let _ = app.store.revoke(lease).await;
            None
        }
    }
}
