//! The rows of the tables, one at a time.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::schema::log_id;
use crate::apply::{Commit, Rows};
use crate::entry::{Change, Entry, Revision};
use crate::key::Key;
use crate::lease::LeaseId;

/// The entry under a key.
pub(super) fn get(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached("SELECT value, create_rev, mod_rev FROM kv WHERE key = ?1")?
        .query_row([key.as_str()], |row| entry(key.clone(), row, 0))
        .optional()
}

/// An entry from a row with value, create revision and mod revision in the columns from `first` on.
pub(super) fn entry(key: Key, row: &Row<'_>, first: usize) -> rusqlite::Result<Entry> {
    Ok(Entry {
        key,
        value: Bytes::from(row.get::<_, Vec<u8>>(first)?),
        create_revision: Revision::from_signed(row.get(first + 1)?),
        mod_revision: Revision::from_signed(row.get(first + 2)?),
    })
}

/// The tables as the open SQLite transaction sees them.
pub(super) struct Tables<'c>(pub(super) &'c Connection);

impl Rows for Tables<'_> {
    type Error = rusqlite::Error;

    fn get(&mut self, key: &Key) -> rusqlite::Result<Option<Entry>> {
        get(self.0, key)
    }

    fn lease_lives(&mut self, lease: LeaseId) -> rusqlite::Result<bool> {
        self.0
            .prepare_cached("SELECT 1 FROM lease WHERE id = ?1")?
            .exists([lease.get()])
    }

    fn put(&mut self, entry: &Entry, lease: Option<LeaseId>) -> rusqlite::Result<()> {
        let sql = if entry.create_revision == entry.mod_revision {
            "INSERT INTO kv (key, value, create_rev, mod_rev, lease) VALUES (?1, ?2, ?3, ?4, ?5)"
        } else {
            "UPDATE kv SET value = ?2, create_rev = ?3, mod_rev = ?4, lease = ?5 WHERE key = ?1"
        };
        self.0
            .prepare_cached(sql)?
            .execute(params![
                entry.key.as_str(),
                &entry.value[..],
                entry.create_revision.signed(),
                entry.mod_revision.signed(),
                lease.map(LeaseId::get)
            ])
            .map(drop)
    }

    fn delete(&mut self, key: &Key) -> rusqlite::Result<()> {
        self.0
            .prepare_cached("DELETE FROM kv WHERE key = ?1")?
            .execute([key.as_str()])
            .map(drop)
    }
}

/// Writes a revision into the log.
pub(super) fn append(connection: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (number, logged) in commit.changes.iter().enumerate() {
        let put = if let Change::Put(entry) = &logged.change {
            Some(entry)
        } else {
            None
        };
        let before = logged.before.as_ref();
        statement.execute(params![
            log_id(commit.revision, number),
            logged.change.key().as_str(),
            put.map(|entry| &entry.value[..]),
            put.map(|entry| entry.create_revision.signed()),
            before.map(|entry| &entry.value[..]),
            before.map(|entry| entry.create_revision.signed()),
            before.map(|entry| entry.mod_revision.signed()),
        ])?;
    }
    Ok(())
}

/// The keys that go with a lease.
pub(super) fn leased(connection: &Connection, lease: LeaseId) -> rusqlite::Result<Vec<Key>> {
    let mut statement = connection.prepare_cached("SELECT key FROM kv WHERE lease = ?1 ORDER BY key")?;
    let keys = statement.query_map([lease.get()], |row| Ok(Key::trusted(row.get_ref(0)?.as_str()?)))?;
    keys.collect()
}
