//! One connection of one node, as the rest of the control plane sees it: a bounded queue and an end.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use aami_api::link::Down;
use aami_model::{Code, NodeId, code};
use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;

/// How many frames may wait for a node. One that does not take them is cut off; it comes back and is told anew.
const MOST_WAITING: usize = 64;

/// Why a connection is ended from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A newer one has its place.
    Replaced,
    /// Its node was retired.
    Decommissioned,
    /// Its credential is no longer good.
    Revoked,
    /// It does not take what it is sent.
    Slow,
    /// The control plane stops.
    Draining {
        /// Over how many seconds to spread the return.
        spread_seconds: u32,
    },
}

impl Ending {
    /// What the node is told.
    pub(crate) fn frame(self) -> Down {
        let error = |code: Code, retry: bool| Down::Error {
            code: code.symbol.to_owned(),
            message: code.sentence.to_owned(),
            retry,
        };
        match self {
            Self::Replaced => error(code::CONNECTION_REPLACED, true),
            Self::Decommissioned => error(code::NODE_DECOMMISSIONED, false),
            Self::Revoked => error(code::UNAUTHENTICATED, false),
            Self::Slow => error(code::TIMED_OUT, true),
            Self::Draining { spread_seconds } => Down::Drain { spread_seconds },
        }
    }
}

/// A connection.
pub(crate) struct Link {
    node: NodeId,
    generation: u64,
    /// SHA-256 of the credential it was opened with: when the node gets another one, this ends.
    credential_hash: String,
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Utf8Bytes>,
    ending: Option<Ending>,
    /// The revision of the configuration the node has, or was sent.
    config: Option<Box<str>>,
}

impl Link {
    pub(crate) fn new(node: NodeId, generation: u64, credential_hash: String) -> Self {
        Self {
            node,
            generation,
            credential_hash,
            state: Mutex::default(),
            bell: Notify::new(),
        }
    }

    pub(crate) const fn node(&self) -> &NodeId {
        &self.node
    }

    /// The revision of `conn/{node}` that this connection wrote.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn credential_hash(&self) -> &str {
        &self.credential_hash
    }

    /// Queues a frame.
    pub(crate) fn send(&self, frame: &Down) {
        let Ok(text) = serde_json::to_string(frame) else {
            return;
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting.len() >= MOST_WAITING {
            state.ending.get_or_insert(Ending::Slow);
        } else {
            state.waiting.push_back(text.into());
        }
        drop(state);
        self.bell.notify_one();
    }

    /// Notes which configuration the node says it has.
    pub(crate) fn has_config(&self, revision: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.config = Some(revision.into());
    }

    /// Whether the node neither has this configuration nor was sent it; from now on it was. Before it is known what
    /// the node has, it is sent nothing.
    pub(crate) fn is_other_config(&self, revision: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.config.as_deref().is_none_or(|known| known == revision) {
            return false;
        }
        state.config = Some(revision.into());
        true
    }

    /// Ends it; the first reason stays.
    pub(crate) fn end(&self, ending: Ending) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ending.get_or_insert(ending);
        drop(state);
        self.bell.notify_one();
    }

    /// Why it is to end, if it is.
    pub(crate) fn ended(&self) -> Option<Ending> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ending
    }

    /// Waits until it is to end. Whoever waits here looks afterwards for what is to be sent: the bell rang for that, too.
    pub(crate) async fn over(&self) {
        while self.ended().is_none() {
            self.bell.notified().await;
        }
    }

    /// Waits until there is something to send, or it is to end.
    pub(crate) async fn news(&self) {
        self.bell.notified().await;
    }

    /// Takes what waits.
    pub(crate) fn take(&self) -> VecDeque<Utf8Bytes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_takes_nothing_is_cut_off_and_costs_no_more_memory() {
        let link = Link::new("n1".parse().unwrap(), 1, String::new());
        for _ in 0..1000 {
            link.send(&Down::Received { seq: 1 });
        }
        assert_eq!(link.ended(), Some(Ending::Slow));
        assert_eq!(link.take().len(), MOST_WAITING);
    }
}
