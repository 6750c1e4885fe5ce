//! Which replica leads: the one whose lease holds the key `meta/leader`.
//!
//! A store that belongs to one process has one replica, and that one leads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aami_store::{LeaseId, Txn, TxnOutcome, keys};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::App;

const TTL: Duration = Duration::from_secs(15);
const BEAT: Duration = Duration::from_secs(5);

/// Whether this replica leads.
#[derive(Clone)]
pub(crate) struct Lead {
    held: Arc<AtomicBool>,
    shared: bool,
}

impl Lead {
    /// `shared` says whether others may use the same store.
    pub(crate) fn new(shared: bool) -> Self {
        Self {
            held: Arc::new(AtomicBool::new(!shared)),
            shared,
        }
    }

    /// Whether this replica leads at this moment. It may end at any time, so what is done under it must
    /// be harmless when done twice.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Takes and keeps the lead where there is one to take.
    pub(super) fn keep(&self, tasks: &mut JoinSet<()>, app: &Arc<App>, stop: &CancellationToken) {
        if !self.shared {
            return;
        }
        let (lead, app, stop) = (self.clone(), app.clone(), stop.clone());
        tasks.spawn(async move {
            let mut lease = None;
            let mut beats = tokio::time::interval(BEAT);
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = beats.tick() => {}
                }
                lease = lead.beat(&app, lease).await;
                lead.held.store(lease.is_some(), Ordering::Release);
            }
            // Work stops before the lease does.
            lead.held.store(false, Ordering::Release);
            if let Some(lease) = lease {
                let _ = app.store.revoke(lease).await;
            }
        });
    }

    async fn beat(&self, app: &App, lease: Option<LeaseId>) -> Option<LeaseId> {
        if let Some(lease) = lease {
            if app.store.keep_alive(lease).await.is_ok() {
                return Some(lease);
            }
            self.held.store(false, Ordering::Release);
        }
        let lease = app.store.grant(TTL).await.ok()?.id;
        let me = app.reach.public_url.clone().into_bytes();
        let txn = Txn::new()
            .when_absent(keys::leader())
            .put_leased(keys::leader(), me, lease);
        match app.store.txn(txn).await {
            Ok(TxnOutcome::Committed(_)) => {
                tracing::info!("this replica leads");
                Some(lease)
            }
            _ => {
                let _ = app.store.revoke(lease).await;
                None
            }
        }
    }
}
