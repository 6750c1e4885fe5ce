//! How a fleet and what watches it are, whichever way it is kept.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::table::Table;

/// What `aami status` shows.
pub(crate) struct Health {
    /// To programs.
    pub(crate) data: Value,
    /// To people.
    pub(crate) table: Table,
    /// To people who want every name.
    pub(crate) wide: Table,
    /// Whether nothing is wrong.
    pub(crate) is_well: bool,
}

/// Names, the first few of them: `gpu-01, gpu-02 and 7 more`.
pub(crate) fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let mut all: BTreeMap<&str, ()> = BTreeMap::new();
    for name in names {
        all.insert(name, ());
    }
    let shown: Vec<&str> = all.keys().take(SHOWN).copied().collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
