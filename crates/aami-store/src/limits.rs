//! What one request may hold. etcd's rules, kept for every backend, so that whoever starts on SQLite
//! can move.

use std::collections::BTreeSet;

use crate::error::StoreError;
use crate::txn::Txn;

/// The bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a transaction: keys and values, with [`Limits::OVERHEAD`] for each compare and operation.
    pub request_bytes: usize,
    /// Compares of one transaction.
    pub compares: usize,
    /// Operations of one transaction.
    pub operations: usize,
    /// Entries of one page.
    pub page_entries: usize,
    /// Bytes of one page. A page always holds one entry, however large.
    pub page_bytes: usize,
}

impl Limits {
    /// etcd's defaults (`--max-request-bytes`, `--max-txn-ops`), and pages that stay below the 4 MiB
    /// its clients decode at once.
    pub const ETCD: Self = Self {
        request_bytes: 1536 * 1024,
        compares: 128,
        operations: 128,
        page_entries: 8192,
        page_bytes: 2 * 1024 * 1024,
    };

    /// What a compare or an operation costs beside its key and value, at least as much as in etcd's
    /// encoding.
    pub const OVERHEAD: usize = 48;

    /// Refuses what etcd would refuse, before any engine is touched.
    pub(crate) fn check(&self, txn: &Txn) -> Result<(), StoreError> {
        let over = |what, found, limit| Err(StoreError::Limit { what, found, limit });
        if txn.compares().len() > self.compares {
            return over("compares", txn.compares().len(), self.compares);
        }
        if txn.ops().len() > self.operations {
            return over("operations", txn.ops().len(), self.operations);
        }
        let size = txn.size();
        if size > self.request_bytes {
            return over("bytes", size, self.request_bytes);
        }
        let mut seen = BTreeSet::new();
        match txn.ops().iter().find(|op| !seen.insert(op.key())) {
            Some(op) => Err(StoreError::KeyTwice {
                key: op.key().clone(),
            }),
            None => Ok(()),
        }
    }
}
