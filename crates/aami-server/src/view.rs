//! The view: one immutable picture of the whole state, in memory, with one revision.
//!
//! [`View::current`] gives the picture as it is; reading it never touches the store and never waits.
//! One task ([`feed`]) follows the store from the revision the picture was read at and replaces it
//! after each revision, whole. Whoever has written waits with [`View::reached`] until the picture shows
//! it.
//!
//! Nothing here decides: uniqueness, for one, is decided by the store's transactions, never by looking
//! into the picture. No list can be had without saying whose.

mod belongings;
pub(crate) mod changes;
pub(crate) mod document;
pub(crate) mod feed;
pub(crate) mod linked;
mod mark;
pub(crate) mod ruled;
pub(crate) mod snapshot;
mod table;
pub(crate) mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use aami_store::Revision;
use arc_swap::ArcSwap;
use tokio::sync::watch;

pub(crate) use document::DocumentError;
pub(crate) use snapshot::{Held, Snapshot};

/// The picture that is shown now.
pub(crate) struct View {
    current: ArcSwap<Snapshot>,
    revision: watch::Sender<u64>,
}

impl View {
    fn new(first: Snapshot) -> Self {
        let (revision, _) = watch::channel(first.revision.get());
        Self {
            current: ArcSwap::from_pointee(first),
            revision,
        }
    }

    /// The picture as it is. Cheap; holding it holds nobody up.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The revision it shows.
    pub(crate) fn revision(&self) -> Revision {
        Revision::new(*self.revision.borrow())
    }

    /// Waits until the picture shows `revision`; false when it did not within `patience`.
    pub(crate) async fn reached(&self, revision: Revision, patience: Duration) -> bool {
        let mut shown = self.revision.subscribe();
        let reached = shown.wait_for(|shown| *shown >= revision.get());
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    fn show(&self, snapshot: Snapshot) {
        let revision = snapshot.revision.get();
        self.current.store(Arc::new(snapshot));
        self.revision.send_replace(revision);
    }
}
