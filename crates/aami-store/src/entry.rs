//! What the store holds, and what changes in it.

use std::fmt;

use bytes::Bytes;

use crate::key::Key;

/// A place in the one order of changes. An empty store is at revision 1, as in etcd; each transaction
/// that changes something takes a greater one. The embedded backends leave no gaps, etcd none either,
/// but other writers on the same etcd may take some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(u64);

impl Revision {
    /// Before every revision: what an absent key answers for its own.
    pub const ZERO: Self = Self(0);
    /// The revision of a store in which nothing has happened.
    pub const FIRST: Self = Self(1);

    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before this; [`Revision::ZERO`] stays.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As the engines store it. Every revision fits: they count from one.
    pub(crate) fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From how the engines store it.
    pub(crate) fn from_signed(number: i64) -> Self {
        Self(u64::try_from(number).unwrap_or(0))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One key with its value and where in the order it was made and last changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// Its value. A copy is cheap: it shares the bytes.
    pub value: Bytes,
    /// When the key was created. A key that was deleted and put again was created by the second put.
    pub create_revision: Revision,
    /// When the value was last put.
    pub mod_revision: Revision,
}

// Values may hold hashes of secrets and are long; neither belongs into a log line.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} bytes, created at {}, changed at {})",
            self.key,
            self.value.len(),
            self.create_revision,
            self.mod_revision
        )
    }
}

/// One change of one key. A revision changes a key at most once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key has this value now.
    Put(Entry),
    /// The key is gone.
    Delete(Key),
}

impl Change {
    /// The key that changed.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete(key) => key,
        }
    }
}
