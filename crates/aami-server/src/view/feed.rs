//! The one task that keeps the view: list, then follow.

use std::sync::Arc;
use std::time::Duration;

use aami_store::{Change, PageRequest, Prefix, Store, StoreError, WatchEvent, keys};
use futures::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::snapshot::{Snapshot, Touched};
use super::{DocumentError, View};

/// How many entries are asked for at once.
const PAGE: usize = 2000;
/// How many revisions may go into one picture.
const MOST_TOGETHER: usize = 256;

/// Somebody who keeps something of their own in step with the view.
pub(crate) trait Follower: Send + Sync {
    /// The view was read anew: everything may have changed.
    fn reset(&self, snapshot: &Snapshot);
    /// One revision changed these.
    fn changed(&self, snapshot: &Snapshot, touched: &Touched);
}

/// Reads the whole state and makes the view of it.
pub(crate) async fn read(store: &Arc<dyn Store>) -> Result<Arc<View>, StoreError> {
    Ok(Arc::new(View::new(list(store).await?)))
}

async fn list(store: &Arc<dyn Store>) -> Result<Snapshot, StoreError> {
    let prefix = keys::state();
    'again: loop {
        let mut snapshot = Snapshot::default();
        let mut touched = Touched::default();
        let mut request = PageRequest::first(PAGE);
        loop {
            let page = match store.list(&prefix, request).await {
                Ok(page) => page,
                Err(StoreError::Compacted { .. }) => continue 'again,
                Err(error) => return Err(error),
            };
            for entry in page.entries {
                absorb(&mut snapshot, &Change::Put(entry), &mut touched);
            }
            snapshot.revision = page.revision;
            match page.next {
                Some(next) => request = PageRequest::after(next, PAGE),
                None => return Ok(snapshot),
            }
        }
    }
}

fn absorb(snapshot: &mut Snapshot, change: &Change, touched: &mut Touched) {
    if let Err(error) = snapshot.apply(change, touched) {
        report(&error);
    }
}

fn report(error: &DocumentError) {
    tracing::error!(error = %error, cause = ?std::error::Error::source(error), "a document was left out of the view");
}

/// Follows the store until `stop`. When the changes in between are forgotten, it reads anew.
pub(crate) async fn follow(
    store: Arc<dyn Store>,
    view: Arc<View>,
    followers: Vec<Arc<dyn Follower>>,
    stop: CancellationToken,
) {
    for follower in &followers {
        follower.reset(&view.current());
    }
    let prefix: Prefix = keys::state();
    while !stop.is_cancelled() {
        let mut changes = store.watch(&prefix, view.revision().next());
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = changes.next() => event,
            };
            let Some(event) = event else { break };
            // What has come meanwhile is taken together: the pictures in between nobody asked for.
            let mut events = vec![event];
            while events.len() < MOST_TOGETHER
                && let Some(Some(event)) = changes.next().now_or_never()
            {
                events.push(event);
            }
            if !advance(&view, &followers, events) {
                break;
            }
        }
        relist(&store, &view, &followers, &stop).await;
    }
}

/// Makes the next picture and shows it; false when what follows is forgotten.
fn advance(view: &View, followers: &[Arc<dyn Follower>], events: Vec<WatchEvent>) -> bool {
    let mut next = Snapshot::clone(&view.current());
    let mut touched = Touched::default();
    let (mut changed, mut goes_on) = (false, true);
    for event in events {
        let (revision, changes) = match event {
            WatchEvent::Batch { revision, changes } => (revision, changes),
            WatchEvent::Bookmark(revision) => (revision, Vec::new()),
            WatchEvent::Compacted => {
                goes_on = false;
                break;
            }
        };
        if revision <= next.revision {
            continue;
        }
        changed |= !changes.is_empty();
        for change in &changes {
            absorb(&mut next, change, &mut touched);
        }
        next.revision = revision;
    }
    if changed {
        for follower in followers {
            follower.changed(&next, &touched);
        }
    }
    view.show(next);
    goes_on
}

async fn relist(
    store: &Arc<dyn Store>,
    view: &Arc<View>,
    followers: &[Arc<dyn Follower>],
    stop: &CancellationToken,
) {
    let mut pause = Duration::from_millis(50);
    while !stop.is_cancelled() {
        match list(store).await {
            Ok(snapshot) => {
                tracing::warn!(revision = snapshot.revision.get(), "the view was read anew");
                for follower in followers {
                    follower.reset(&snapshot);
                }
                view.show(snapshot);
                return;
            }
            Err(error) => {
                tracing::warn!(error = %error, "the view cannot be read; it stays as it was");
                // Backing off while the engine is away; the next try is the condition.
                tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(pause) => {} }
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}
