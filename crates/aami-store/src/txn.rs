//! Transactions: what must hold, what is then done, and how it ended.

use std::fmt;

use bytes::Bytes;

use crate::entry::{Entry, Revision};
use crate::key::Key;
use crate::lease::LeaseId;
use crate::limits::Limits;

/// What must hold for a transaction to be applied.
#[derive(Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key does not exist (its create revision is 0).
    Absent(Key),
    /// The key exists.
    Present(Key),
    /// The key was last changed at this revision; 0 means that it does not exist.
    Unchanged(Key, Revision),
    /// The key exists and has this value.
    Value(Key, Bytes),
}

impl Compare {
    /// The key that is looked at.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::Present(key) | Self::Unchanged(key, _) | Self::Value(key, _) => key,
        }
    }

    /// Whether it holds for what is under its key.
    pub fn holds(&self, now: Option<&Entry>) -> bool {
        match self {
            Self::Absent(_) => now.is_none(),
            Self::Present(_) => now.is_some(),
            Self::Unchanged(_, revision) => {
                now.map_or(Revision::ZERO, |entry| entry.mod_revision) == *revision
            }
            Self::Value(_, value) => now.is_some_and(|entry| entry.value == *value),
        }
    }

    fn size(&self) -> usize {
        let value = if let Self::Value(_, value) = self {
            value.len()
        } else {
            0
        };
        self.key().as_str().len() + value + Limits::OVERHEAD
    }
}

/// What is done to one key.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// Gives the key this value.
    Put {
        /// The key.
        key: Key,
        /// Its value from now on.
        value: Bytes,
        /// The lease with whose end the key goes. A put without one takes the key off its lease.
        lease: Option<LeaseId>,
    },
    /// Removes the key. Removing an absent one changes nothing.
    Delete(Key),
}

impl Op {
    /// The key that is changed.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete(key) => key,
        }
    }

    fn size(&self) -> usize {
        let value = if let Self::Put { value, .. } = self {
            value.len()
        } else {
            0
        };
        self.key().as_str().len() + value + Limits::OVERHEAD
    }
}

// As with entries, values are not shown.
impl fmt::Debug for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(key) => write!(f, "{key} is absent"),
            Self::Present(key) => write!(f, "{key} is there"),
            Self::Unchanged(key, revision) => write!(f, "{key} is of {revision}"),
            Self::Value(key, value) => write!(f, "{key} has {} certain bytes", value.len()),
        }
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value, lease } => {
                let leased = if lease.is_some() { ", leased" } else { "" };
                write!(f, "put {key} ({} bytes{leased})", value.len())
            }
            Self::Delete(key) => write!(f, "delete {key}"),
        }
    }
}

/// A transaction being put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    compares: Vec<Compare>,
    ops: Vec<Op>,
}

impl Txn {
    /// One that asks nothing and does nothing.
    pub const fn new() -> Self {
        Self {
            compares: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// Applies only if `compare` holds too.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Applies only if `key` does not exist.
    #[must_use]
    pub fn when_absent(self, key: Key) -> Self {
        self.when(Compare::Absent(key))
    }

    /// Applies only if `key` was last changed at `revision`.
    #[must_use]
    pub fn when_unchanged(self, key: Key, revision: Revision) -> Self {
        self.when(Compare::Unchanged(key, revision))
    }

    /// Does `op`.
    #[must_use]
    pub fn then(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// Gives `key` a value.
    #[must_use]
    pub fn put(self, key: Key, value: impl Into<Bytes>) -> Self {
        self.then(Op::Put {
            key,
            value: value.into(),
            lease: None,
        })
    }

    /// Gives `key` a value until `lease` ends.
    #[must_use]
    pub fn put_leased(self, key: Key, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        self.then(Op::Put {
            key,
            value: value.into(),
            lease: Some(lease),
        })
    }

    /// Removes `key`.
    #[must_use]
    pub fn delete(self, key: Key) -> Self {
        self.then(Op::Delete(key))
    }

    /// What must hold.
    pub fn compares(&self) -> &[Compare] {
        &self.compares
    }

    /// What is done.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Its size against [`Limits::request_bytes`].
    pub fn size(&self) -> usize {
        self.compares.iter().map(Compare::size).sum::<usize>() + self.ops.iter().map(Op::size).sum::<usize>()
    }
}

/// A compared key, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The key.
    pub key: Key,
    /// What is under it; `None` when it does not exist.
    pub now: Option<Entry>,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a transaction that met a conflict changed nothing"]
pub enum TxnOutcome {
    /// Applied and durable. The revision is the transaction's own; when nothing changed (no operation,
    /// or only deletions of absent keys) no revision was made and it is the store's present one.
    Committed(Revision),
    /// A compare did not hold and nothing was changed. Every compared key as it was then, each once,
    /// in the order they were compared.
    Conflict(Vec<Compared>),
    /// The connection broke after the transaction was sent: it was applied whole, or not, or still will
    /// be. The caller finds out by reading a key that only this transaction writes.
    Unknown,
}
