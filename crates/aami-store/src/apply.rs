//! What a transaction means, once for all embedded backends: which compares hold, what is written,
//! what a reader of the log is told. The backend only fetches and stores rows.

use std::collections::BTreeMap;

use crate::entry::{Change, Entry, Revision};
use crate::key::Key;
use crate::lease::LeaseId;
use crate::txn::{Compared, Op, Txn};

/// The rows of a backend, as the transactions before this one in the same commit left them.
pub(crate) trait Rows {
    /// Why a row could not be fetched or stored.
    type Error;

    fn get(&mut self, key: &Key) -> Result<Option<Entry>, Self::Error>;
    fn lease_lives(&mut self, lease: LeaseId) -> Result<bool, Self::Error>;
    fn put(&mut self, entry: &Entry, lease: Option<LeaseId>) -> Result<(), Self::Error>;
    fn delete(&mut self, key: &Key) -> Result<(), Self::Error>;
}

/// One revision, whole.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) revision: Revision,
    pub(crate) changes: Vec<Logged>,
}

/// A change and what it replaced, so that a list can look back.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) change: Change,
    pub(crate) before: Option<Entry>,
}

impl Commit {
    /// Roughly what it holds in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        let entry = |entry: &Entry| entry.value.len() + entry.key.as_str().len() + 64;
        self.changes
            .iter()
            .map(|logged| {
                let now = if let Change::Put(put) = &logged.change {
                    entry(put)
                } else {
                    64
                };
                now + logged.before.as_ref().map_or(0, entry)
            })
            .sum()
    }
}

/// How applying ended.
pub(crate) enum Applied {
    Conflict(Vec<Compared>),
    LeaseEnded(LeaseId),
    /// There was nothing to change.
    Unchanged,
    Changed(Commit),
}

/// Applies `txn` as `revision`, if its compares hold. Nothing is written before everything that
/// could refuse it has been looked at.
pub(crate) fn apply<R: Rows>(rows: &mut R, txn: &Txn, revision: Revision) -> Result<Applied, R::Error> {
    let mut known: BTreeMap<&Key, Option<Entry>> = BTreeMap::new();
    let mut holds = true;
    for compare in txn.compares() {
        let now = fetch(rows, &mut known, compare.key())?;
        holds &= compare.holds(now.as_ref());
    }
    if !holds {
        return Ok(Applied::Conflict(compared(txn, &mut known)));
    }
    for op in txn.ops() {
        if let Op::Put {
            lease: Some(lease), ..
        } = op
            && !rows.lease_lives(*lease)?
        {
            return Ok(Applied::LeaseEnded(*lease));
        }
    }
    let mut changes = Vec::with_capacity(txn.ops().len());
    for op in txn.ops() {
        fetch(rows, &mut known, op.key())?;
        let before = known.remove(op.key()).flatten();
        match op {
            Op::Put { key, value, lease } => {
                let entry = Entry {
                    key: key.clone(),
                    value: value.clone(),
                    create_revision: before.as_ref().map_or(revision, |entry| entry.create_revision),
                    mod_revision: revision,
                };
                rows.put(&entry, *lease)?;
                changes.push(Logged {
                    change: Change::Put(entry),
                    before,
                });
            }
            Op::Delete(key) if before.is_some() => {
                rows.delete(key)?;
                changes.push(Logged {
                    change: Change::Delete(key.clone()),
                    before,
                });
            }
            Op::Delete(_) => {}
        }
    }
    Ok(if changes.is_empty() {
        Applied::Unchanged
    } else {
        Applied::Changed(Commit { revision, changes })
    })
}

fn fetch<'k, 'm, R: Rows>(
    rows: &mut R,
    known: &'m mut BTreeMap<&'k Key, Option<Entry>>,
    key: &'k Key,
) -> Result<&'m Option<Entry>, R::Error> {
    use std::collections::btree_map::Entry as Slot;
    Ok(match known.entry(key) {
        Slot::Occupied(slot) => slot.into_mut(),
        Slot::Vacant(slot) => slot.insert(rows.get(key)?),
    })
}

fn compared(txn: &Txn, known: &mut BTreeMap<&Key, Option<Entry>>) -> Vec<Compared> {
    txn.compares()
        .iter()
        .filter_map(|compare| {
            let now = known.remove(compare.key())?;
            Some(Compared {
                key: compare.key().clone(),
                now,
            })
        })
        .collect()
}
