//! Documents by their ids, and how a change of one is taken in.

use std::str::FromStr;
use std::sync::Arc;

use aami_store::{Entry, Key};
use imbl::OrdMap;
use serde::de::DeserializeOwned;

use super::document::{DocumentError, decode};
use super::snapshot::Held;

/// A persistent map: the next picture shares all that did not change with this one.
pub(super) type Table<K, T> = OrdMap<K, Arc<Held<T>>>;

/// A document as it is kept.
pub(super) fn held<T>(entry: &Entry, doc: T) -> Arc<Held<T>> {
    Arc::new(Held {
        doc,
        revision: entry.mod_revision,
    })
}

/// Takes in what is under `key` now; what is under no id of ours is left out.
pub(super) fn apply<K, T>(
    table: &mut Table<K, T>,
    key: &Key,
    id: &str,
    entry: Option<&Entry>,
) -> Result<(), DocumentError>
where
    K: Ord + Clone + FromStr,
    T: DeserializeOwned,
{
    let Ok(id) = id.parse::<K>() else { return Ok(()) };
    match entry {
        Some(entry) => {
            table.insert(id, held(entry, decode(key, &entry.value)?));
        }
        None => {
            table.remove(&id);
        }
    }
    Ok(())
}
