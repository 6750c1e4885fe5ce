//! What a watch tells.

use futures::stream::BoxStream;

use crate::entry::{Change, Revision};

/// One thing a watch tells.
///
/// Batches come in the order of their revisions, each whole, none twice and none left out: when the
/// changes that follow are no longer known, the stream says [`WatchEvent::Compacted`] and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// All changes of one revision under the prefix; at least one.
    Batch {
        /// The revision that made them.
        revision: Revision,
        /// What it changed, each key once.
        changes: Vec<Change>,
    },
    /// Everything under the prefix up to and including this revision has been told. The embedded
    /// backends say so whenever they have caught up past revisions that did not concern the prefix, and
    /// once at the start; etcd says so when it is idle, every ten minutes by default.
    Bookmark(Revision),
    /// The changes that follow are forgotten: they were compacted before they could be read. List again
    /// and watch from there. The stream ends here.
    Compacted,
}

/// What [`Store::watch`](crate::Store::watch) answers with.
pub type WatchStream = BoxStream<'static, WatchEvent>;
