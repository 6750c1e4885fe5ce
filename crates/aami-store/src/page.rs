//! Lists in pieces.

use crate::entry::{Entry, Revision};
use crate::key::Key;
use crate::limits::Limits;

/// Which piece of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    pub(crate) limit: usize,
    pub(crate) token: Option<PageToken>,
}

impl PageRequest {
    /// The first page, of at most `limit` entries (at least one, at most [`Limits::page_entries`]).
    pub fn first(limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, Limits::ETCD.page_entries),
            token: None,
        }
    }

    /// The page that `token` says comes next, of at most `limit` entries.
    pub fn after(token: PageToken, limit: usize) -> Self {
        Self {
            limit: limit.clamp(1, Limits::ETCD.page_entries),
            token: Some(token),
        }
    }
}

/// Where a list goes on, and at which revision it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken {
    pub(crate) revision: Revision,
    pub(crate) last: Key,
}

impl PageToken {
    /// The revision that the list shows.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The last key of the page before.
    pub const fn last(&self) -> &Key {
        &self.last
    }

    /// A token that was taken apart, as between two requests of an API. A list goes on after `last`.
    pub const fn new(revision: Revision, last: Key) -> Self {
        Self { revision, last }
    }
}

/// One piece of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order of their keys. May be fewer than asked for while more follow: pages are bounded in
    /// bytes too.
    pub entries: Vec<Entry>,
    /// The revision that all pages of this list show.
    pub revision: Revision,
    /// How to ask for the next page; `None` when this is the last.
    pub next: Option<PageToken>,
}

/// Gathers entries, in order, until a page is full.
pub(crate) struct Gathering {
    entries: Vec<Entry>,
    bytes: usize,
    limit: usize,
}

impl Gathering {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            bytes: 0,
            limit,
        }
    }

    /// Takes an entry; gives it back when the page is full without it.
    pub(crate) fn offer(&mut self, entry: Entry) -> bool {
        let size = entry.value.len() + entry.key.as_str().len() + Limits::OVERHEAD;
        let full = self.entries.len() >= self.limit
            || (!self.entries.is_empty() && self.bytes + size > Limits::ETCD.page_bytes);
        if !full {
            self.bytes += size;
            self.entries.push(entry);
        }
        !full
    }

    /// The page; `more` says whether an entry was left behind.
    pub(crate) fn finish(self, revision: Revision, more: bool) -> Page {
        let next = match self.entries.last() {
            Some(last) if more => Some(PageToken {
                revision,
                last: last.key.clone(),
            }),
            _ => None,
        };
        Page {
            entries: self.entries,
            revision,
            next,
        }
    }
}
