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

/// Who follows the view, and whether they know of a picture before anybody sees it.
#[derive(Default)]
pub(crate) struct Followers {
    /// They are told first: whoever sees the picture finds it noted.
    pub(crate) before: Vec<Arc<dyn Follower>>,
    /// They are told once it is shown. Who comes to them meanwhile, and looks at the picture for himself, has seen it,
    /// or is there when they are told.
    pub(crate) after: Vec<Arc<dyn Follower>>,
}

impl Followers {
    /// Shows a picture that was read anew.
    fn reset(&self, view: &View, snapshot: Snapshot) {
        for follower in &self.before {
            follower.reset(&snapshot);
        }
        view.show(snapshot);
        let shown = view.current();
        for follower in &self.after {
            follower.reset(&shown);
        }
    }

    /// Shows the picture that follows.
    fn changed(&self, view: &View, next: Snapshot, touched: &Touched) {
        for follower in &self.before {
            follower.changed(&next, touched);
        }
        view.show(next);
        let shown = view.current();
        for follower in &self.after {
            follower.changed(&shown, touched);
        }
    }
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
                None => {
                    // What came and went before is not known: the count agrees with no other picture's.
                    snapshot.outbox_removals = snapshot.revision.get() << 32;
                    return Ok(snapshot);
                }
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
    followers: Followers,
    stop: CancellationToken,
) {
    for follower in followers.before.iter().chain(&followers.after) {
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
fn advance(view: &View, followers: &Followers, events: Vec<WatchEvent>) -> bool {
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
        followers.changed(view, next, &touched);
    } else {
        view.show(next);
    }
    goes_on
}

async fn relist(store: &Arc<dyn Store>, view: &Arc<View>, followers: &Followers, stop: &CancellationToken) {
    let mut pause = Duration::from_millis(50);
    while !stop.is_cancelled() {
        match list(store).await {
            Ok(snapshot) => {
                tracing::warn!(revision = snapshot.revision.get(), "the view was read anew");
                followers.reset(view, snapshot);
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

#[cfg(test)]
mod tests {
    use aami_store::{Txn, TxnOutcome};
    use tokio::sync::mpsc;

    use super::*;

    /// Says which revision it was told of, and which was shown meanwhile.
    struct Looks {
        view: Arc<View>,
        saw: mpsc::UnboundedSender<(u64, u64)>,
    }

    impl Follower for Looks {
        fn reset(&self, _: &Snapshot) {}

        fn changed(&self, snapshot: &Snapshot, _: &Touched) {
            let shown = self.view.current().revision.get();
            let _ = self.saw.send((snapshot.revision.get(), shown));
        }
    }

    #[tokio::test]
    async fn some_are_told_before_a_picture_is_shown_and_some_after() {
        // Given one of each kind.
        let store = aami_store::open("memory:").await.unwrap();
        let view = read(&store).await.unwrap();
        let looks = |view: &Arc<View>| {
            let (saw, seen) = mpsc::unbounded_channel();
            let view = view.clone();
            (Arc::new(Looks { view, saw }) as Arc<dyn Follower>, seen)
        };
        let ((before, mut early), (after, mut late)) = (looks(&view), looks(&view));
        let followers = Followers {
            before: vec![before],
            after: vec![after],
        };
        let stop = CancellationToken::new();
        let following = tokio::spawn(follow(store.clone(), view, followers, stop.clone()));
        // When something is written,
        let node = "n1".parse().unwrap();
        let wrote = store.txn(Txn::new().put(keys::conn(&node), "{}")).await.unwrap();
        assert!(matches!(wrote, TxnOutcome::Committed(_)));
        // Then the one finds the picture before it, and the other the picture itself.
        let (told, shown) = early.recv().await.unwrap();
        assert!(shown < told, "{shown} {told}");
        let (told, shown) = late.recv().await.unwrap();
        assert_eq!(shown, told);
        stop.cancel();
        following.await.unwrap();
    }
}
