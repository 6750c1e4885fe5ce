//! Bulk actions: a page of nodes of each in turn, so that a large one holds up no small one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Lead;
use crate::app::App;

/// How long nothing may happen before it is looked all the same.
const IDLE: Duration = Duration::from_secs(2);
/// How long it is waited after something was written, so that a burst is looked at once.
const BREATH: Duration = Duration::from_millis(50);
/// How long it is waited after the store did not take something, at first and at most.
const RESTS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Works through them, for as long as this replica leads.
pub(super) async fn work(app: Arc<App>, lead: Lead, stop: CancellationToken) {
    let mut rest = RESTS.0;
    loop {
        let round = async {
            if lead.is_held() {
                round(&app, &lead).await
            } else {
                Some(false)
            }
        };
        // What is cut off in the middle is found again by the next to lead.
        let went = tokio::select! { () = stop.cancelled() => return, went = round => went };
        let wait = async {
            match went {
                Some(true) => {}
                Some(false) => {
                    let next = app.view.revision().next();
                    let _ = app.view.reached(next, IDLE).await;
                    tokio::time::sleep(BREATH).await;
                }
                None => tokio::time::sleep(rest).await,
            }
        };
        tokio::select! { () = stop.cancelled() => return, () = wait => {} }
        rest = if went.is_some() {
            RESTS.0
        } else {
            (rest * 2).min(RESTS.1)
        };
    }
}

/// A page of each. Answers whether there is more; nothing where the store took it from none of them.
async fn round(app: &App, lead: &Lead) -> Option<bool> {
    let (mut more, mut failed, mut went) = (false, false, false);
    for id in app.open_batches() {
        if !lead.is_held() {
            break;
        }
        match app.advance_batch(&id).await {
            Ok(left) => (more, went) = (more || left, true),
            Err(refusal) => {
                tracing::warn!(batch = %id, code = %refusal.code, error = %refusal, "a batch waits");
                failed = true;
            }
        }
    }
    (went || !failed).then_some(more)
}

/// Removes what is kept of old ones.
pub(super) async fn sweep(app: Arc<App>, lead: Lead) {
    if lead.is_held()
        && let Err(refusal) = app.sweep_batches().await
    {
        tracing::warn!(error = %refusal, "batches that ended stay");
    }
}
