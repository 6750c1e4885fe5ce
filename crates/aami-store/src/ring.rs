//! The latest revisions in memory, from which the watches of an embedded backend are served.
//!
//! Nobody has a queue: a watch is a place in the order, and reads on from there. Whoever falls out of
//! the ring reads the backend's log; whoever falls out of that is told so. The writer waits for none.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::watch;

use crate::apply::Commit;
use crate::entry::Revision;
use crate::error::StoreError;
use crate::key::Prefix;
use crate::watch::{WatchEvent, WatchStream};

/// How many revisions one look takes.
const AT_ONCE: usize = 256;
/// How long a watch waits before it reads a log again that could not be read.
const RETRY: Duration = Duration::from_secs(1);

/// Revisions older than the ring's.
#[async_trait]
pub(crate) trait Past: Send + Sync {
    /// Some revisions from `from` on, in order and without a gap; `None` when `from` is forgotten.
    async fn read(&self, from: Revision) -> Result<Option<Vec<Arc<Commit>>>, StoreError>;
}

/// How much the ring keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RingSize {
    pub(crate) commits: usize,
    pub(crate) bytes: usize,
}

struct Kept {
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
    compacted: Revision,
}

#[derive(Clone, Copy)]
struct Head {
    revision: Revision,
    closed: bool,
}

pub(crate) struct Ring {
    kept: RwLock<Kept>,
    head: watch::Sender<Head>,
    size: RingSize,
}

impl Ring {
    /// One that begins after `head`, of a store that forgot everything up to `compacted`.
    pub(crate) fn new(size: RingSize, head: Revision, compacted: Revision) -> Arc<Self> {
        Arc::new(Self {
            kept: RwLock::new(Kept {
                commits: VecDeque::new(),
                bytes: 0,
                compacted,
            }),
            head: watch::Sender::new(Head {
                revision: head,
                closed: false,
            }),
            size,
        })
    }

    /// The last revision published.
    pub(crate) fn head(&self) -> Revision {
        self.head.borrow().revision
    }

    /// Adds revisions that follow the last one without a gap, and wakes every watch.
    pub(crate) fn publish(&self, commits: Vec<Arc<Commit>>) {
        let Some(last) = commits.last().map(|commit| commit.revision) else {
            return;
        };
        {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            for commit in commits {
                kept.bytes += commit.size();
                kept.commits.push_back(commit);
            }
            while kept.commits.len() > self.size.commits
                || (kept.bytes > self.size.bytes && kept.commits.len() > 1)
            {
                if let Some(old) = kept.commits.pop_front() {
                    kept.bytes -= old.size();
                }
            }
        }
        self.head.send_modify(|head| head.revision = last);
    }

    /// From now on a watch from `to` or before is refused.
    pub(crate) fn compact(&self, to: Revision) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.compacted = kept.compacted.max(to);
    }

    /// Up to which revision the past is forgotten on purpose.
    pub(crate) fn compacted(&self) -> Revision {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).compacted
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        self.head.send_modify(|head| head.closed = true);
    }

    /// Revisions from `from` on, at most `most`; `None` when the ring does not reach back so far.
    pub(crate) fn read(&self, from: Revision, most: usize) -> Option<Vec<Arc<Commit>>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let first = kept.commits.front()?.revision;
        let skip = usize::try_from(from.get().checked_sub(first.get())?).ok()?;
        Some(kept.commits.iter().skip(skip).take(most).cloned().collect())
    }

    /// A watch that begins with `from`.
    pub(crate) fn watch(
        self: &Arc<Self>,
        past: Arc<dyn Past>,
        prefix: &Prefix,
        from: Revision,
    ) -> WatchStream {
        let watching = Watching {
            ring: Arc::clone(self),
            past,
            prefix: prefix.clone(),
            // The first revision is that of the empty store and changed nothing.
            cursor: from.max(Revision::FIRST.next()),
            told: None,
            pending: VecDeque::new(),
            head: self.head.subscribe(),
            state: State::New,
        };
        futures::stream::unfold(watching, |mut watching| async move {
            let event = watching.next().await?;
            Some((event, watching))
        })
        .boxed()
    }
}

#[derive(PartialEq, Eq)]
enum State {
    New,
    Running,
    Over,
}

struct Watching {
    ring: Arc<Ring>,
    past: Arc<dyn Past>,
    prefix: Prefix,
    /// The next revision to look at.
    cursor: Revision,
    /// The last one the reader was told about.
    told: Option<Revision>,
    pending: VecDeque<Arc<Commit>>,
    head: watch::Receiver<Head>,
    state: State,
}

impl Watching {
    async fn next(&mut self) -> Option<WatchEvent> {
        if self.state == State::New {
            self.state = State::Running;
            if self.cursor <= self.ring.compacted() {
                return Some(self.compacted());
            }
        }
        while self.state == State::Running {
            if let Some(batch) = self.next_batch() {
                return Some(batch);
            }
            let head = *self.head.borrow_and_update();
            if head.closed {
                return None;
            }
            if self.cursor <= head.revision {
                match self.read().await {
                    Ok(Some(commits)) => self.pending = commits.into(),
                    Ok(None) => return Some(self.compacted()),
                    Err(error) => {
                        tracing::warn!(%error, revision = %self.cursor, "a watch cannot read on, trying again");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            } else if self.cursor == head.revision.next() && self.told != Some(head.revision) {
                self.told = Some(head.revision);
                return Some(WatchEvent::Bookmark(head.revision));
            } else {
                // Closing is seen above; a ring that is gone needs no other word.
                self.head.changed().await.ok()?;
            }
        }
        None
    }

    fn next_batch(&mut self) -> Option<WatchEvent> {
        while let Some(commit) = self.pending.pop_front() {
            self.cursor = commit.revision.next();
            let changes: Vec<_> = commit
                .changes
                .iter()
                .map(|logged| &logged.change)
                .filter(|change| self.prefix.holds(change.key()))
                .cloned()
                .collect();
            if !changes.is_empty() {
                self.told = Some(commit.revision);
                return Some(WatchEvent::Batch {
                    revision: commit.revision,
                    changes,
                });
            }
        }
        None
    }

    async fn read(&self) -> Result<Option<Vec<Arc<Commit>>>, StoreError> {
        match self.ring.read(self.cursor, AT_ONCE) {
            Some(commits) => Ok(Some(commits)),
            None => self.past.read(self.cursor).await,
        }
    }

    fn compacted(&mut self) -> WatchEvent {
        self.state = State::Over;
        WatchEvent::Compacted
    }
}
