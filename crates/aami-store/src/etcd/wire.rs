//! Between the store's words and etcd's.

use bytes::Bytes;
use etcd_client::{
    Compare as EtcdCompare, CompareOp, KeyValue, PutOptions, ResponseHeader, Txn as EtcdTxn, TxnOp,
};

use crate::entry::{Entry, Revision};
use crate::error::StoreError;
use crate::key::{Key, Prefix};
use crate::txn::{Compare, Op, Txn};

/// The end of a prefix's range; a single NUL stands for the end of all keys.
pub(super) fn end_of(prefix: &Prefix) -> Vec<u8> {
    prefix.end().map_or_else(|| vec![0], String::into_bytes)
}

/// The revision an answer was given at.
pub(super) fn revision_of(header: Option<&ResponseHeader>) -> Revision {
    header.map_or(Revision::ZERO, |header| Revision::from_signed(header.revision()))
}

/// The key etcd holds, when it is one of ours.
pub(super) fn key(bytes: &[u8]) -> Option<Key> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// An entry from what etcd holds.
pub(super) fn entry(kv: KeyValue, place: &str) -> Result<Entry, StoreError> {
    let (create, modified) = (kv.create_revision(), kv.mod_revision());
    let (path, value) = kv.into_key_value();
    let Some(key) = key(&path) else {
        let what = format!("{:?} is no key of ours", String::from_utf8_lossy(&path));
        return Err(StoreError::Corrupt {
            place: place.to_owned(),
            what,
        });
    };
    Ok(Entry {
        key,
        value: Bytes::from(value),
        create_revision: Revision::from_signed(create),
        mod_revision: Revision::from_signed(modified),
    })
}

/// The keys a transaction compares, each once, in order.
pub(super) fn compared_keys(txn: &Txn) -> Vec<&Key> {
    let mut keys: Vec<&Key> = Vec::new();
    for compare in txn.compares() {
        if !keys.contains(&compare.key()) {
            keys.push(compare.key());
        }
    }
    keys
}

/// A transaction in etcd's words. When it does not apply, it fetches the compared keys instead.
pub(super) fn request(txn: &Txn) -> EtcdTxn {
    let compares: Vec<_> = txn.compares().iter().map(compare).collect();
    let ops: Vec<_> = txn.ops().iter().map(op).collect();
    let fetch: Vec<_> = compared_keys(txn)
        .into_iter()
        .map(|key| TxnOp::get(key.as_str(), None))
        .collect();
    EtcdTxn::new().when(compares).and_then(ops).or_else(fetch)
}

fn compare(compare: &Compare) -> EtcdCompare {
    match compare {
        Compare::Absent(key) => EtcdCompare::create_revision(key.as_str(), CompareOp::Equal, 0),
        Compare::Present(key) => EtcdCompare::create_revision(key.as_str(), CompareOp::Greater, 0),
        Compare::Unchanged(key, revision) => {
            EtcdCompare::mod_revision(key.as_str(), CompareOp::Equal, revision.signed())
        }
        Compare::Value(key, value) => EtcdCompare::value(key.as_str(), CompareOp::Equal, &value[..]),
    }
}

fn op(op: &Op) -> TxnOp {
    match op {
        Op::Put { key, value, lease } => {
            let options = lease.map(|lease| PutOptions::new().with_lease(lease.get()));
            TxnOp::put(key.as_str(), &value[..], options)
        }
        Op::Delete(key) => TxnOp::delete(key.as_str(), None),
    }
}
