//! Reading a watch and holding it to its promises.

use aami_store::{Change, Revision, WatchEvent, WatchStream};
use futures::StreamExt;
use tokio::time::timeout;

use crate::engine::PATIENCE;

/// What a watch told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) batches: Vec<(Revision, Vec<Change>)>,
    pub(crate) bookmarks: Vec<Revision>,
    pub(crate) compacted: bool,
}

impl Told {
    /// The last revision that is known to be told.
    pub(crate) fn last(&self) -> Revision {
        let batch = self.batches.last().map(|(revision, _)| *revision);
        batch.max(self.bookmarks.last().copied()).unwrap_or_default()
    }

    fn take(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Batch { revision, changes } => {
                assert!(revision > self.last(), "{revision} is told after {}", self.last());
                assert!(!changes.is_empty(), "{revision} is told without a change");
                let mut keys: Vec<_> = changes.iter().map(Change::key).collect();
                keys.sort_unstable();
                keys.dedup();
                assert_eq!(
                    keys.len(),
                    changes.len(),
                    "{revision} changes a key twice: {changes:?}"
                );
                self.batches.push((revision, changes));
            }
            WatchEvent::Bookmark(revision) => {
                assert!(
                    revision >= self.last(),
                    "a bookmark at {revision} comes after {}",
                    self.last()
                );
                self.bookmarks.push(revision);
            }
            WatchEvent::Compacted => self.compacted = true,
        }
    }
}

/// Reads until everything up to `end` has been told, or the watch is over.
pub(crate) async fn read_until(stream: &mut WatchStream, end: Revision) -> Told {
    let mut told = Told::default();
    while told.last() < end && !told.compacted {
        let event = timeout(PATIENCE, stream.next()).await;
        let event =
            event.unwrap_or_else(|_| panic!("the watch is silent before {end}; it told {}", told.last()));
        told.take(event.expect("a watch ends only after it said why"));
    }
    if told.compacted {
        assert_eq!(
            timeout(PATIENCE, stream.next()).await.expect("the end is said"),
            None,
            "nothing follows"
        );
    }
    told
}

/// Starts the watch, so that what it tells later is not what it finds when it first looks.
pub(crate) async fn started(stream: &mut WatchStream) {
    // An embedded store says at once how far it is; etcd needs a moment and says nothing.
    let _ = timeout(std::time::Duration::from_millis(300), stream.next()).await;
}
