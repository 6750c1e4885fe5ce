//! What a store is, in the simplest words: one map, one number, and everything that ever was.

use std::collections::BTreeMap;

use aami_store::{Change, Compared, Entry, Key, Op, Prefix, Revision, Txn, TxnOutcome};

pub(crate) type Rows = BTreeMap<Key, Entry>;

pub(crate) struct Model {
    /// The rows at each revision from the first on.
    moments: Vec<Rows>,
    pub(crate) history: Vec<(Revision, Vec<Change>)>,
    pub(crate) compacted: Revision,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            moments: vec![Rows::new()],
            history: Vec::new(),
            compacted: Revision::ZERO,
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision::new(self.moments.len() as u64)
    }

    pub(crate) fn now(&self) -> &Rows {
        self.at(self.revision())
    }

    pub(crate) fn at(&self, revision: Revision) -> &Rows {
        &self.moments[revision.get() as usize - 1]
    }

    /// The entries of a list, as they were.
    pub(crate) fn list(&self, prefix: &Prefix, revision: Revision) -> Vec<Entry> {
        self.at(revision)
            .values()
            .filter(|entry| prefix.holds(&entry.key))
            .cloned()
            .collect()
    }

    /// What a watch tells, from a revision on.
    pub(crate) fn told(&self, prefix: &Prefix, from: Revision) -> Vec<(Revision, Vec<Change>)> {
        let of = |changes: &[Change]| {
            changes
                .iter()
                .filter(|change| prefix.holds(change.key()))
                .cloned()
                .collect()
        };
        let told = self.history.iter().filter(|(revision, _)| *revision >= from);
        told.map(|(revision, changes)| (*revision, of(changes)))
            .filter(|(_, changes): &(_, Vec<_>)| !changes.is_empty())
            .collect()
    }

    pub(crate) fn txn(&mut self, txn: &Txn) -> TxnOutcome {
        let mut rows = self.now().clone();
        if txn
            .compares()
            .iter()
            .any(|compare| !compare.holds(rows.get(compare.key())))
        {
            let mut compared: Vec<Compared> = Vec::new();
            for key in txn.compares().iter().map(aami_store::Compare::key) {
                if compared.iter().all(|known| known.key != *key) {
                    compared.push(Compared {
                        key: key.clone(),
                        now: rows.get(key).cloned(),
                    });
                }
            }
            return TxnOutcome::Conflict(compared);
        }
        let revision = self.revision().next();
        let mut changes = Vec::new();
        for op in txn.ops() {
            match op {
                Op::Put { key, value, .. } => {
                    let create_revision = rows.get(key).map_or(revision, |entry| entry.create_revision);
                    let (key, value) = (key.clone(), value.clone());
                    let entry = Entry {
                        key: key.clone(),
                        value,
                        create_revision,
                        mod_revision: revision,
                    };
                    rows.insert(key, entry.clone());
                    changes.push(Change::Put(entry));
                }
                Op::Delete(key) => {
                    if rows.remove(key).is_some() {
                        changes.push(Change::Delete(key.clone()));
                    }
                }
            }
        }
        if changes.is_empty() {
            return TxnOutcome::Committed(self.revision());
        }
        self.moments.push(rows);
        self.history.push((revision, changes));
        TxnOutcome::Committed(revision)
    }
}
