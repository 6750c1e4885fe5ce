//! The tables, and opening the file that holds them.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::SqliteOptions;
use crate::entry::Revision;
use crate::error::StoreError;
use crate::lease::LeaseId;

/// What this program writes into `user_version`.
const FORMAT: i64 = 1;

/// `kv` is what is, `log` what happened: its `id` is the revision times 2^20 plus the number of the
/// change within it, and `before_*` is what the change replaced, from which a list looks back. `meta`
/// holds the revision, up to which one the log is compacted, and the last lease given out.
///
/// `kv` has row ids although its keys are unique: documents of a kilobyte in the inner pages of a tree
/// would leave it with a handful of branches each, and twice as slow to write.
const TABLES: &str = "
    CREATE TABLE kv (
        key TEXT PRIMARY KEY, value BLOB NOT NULL,
        create_rev INTEGER NOT NULL, mod_rev INTEGER NOT NULL, lease INTEGER
    );
    CREATE INDEX kv_lease ON kv (lease) WHERE lease IS NOT NULL;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, create_rev INTEGER,
        before_value BLOB, before_create INTEGER, before_mod INTEGER
    );
    CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl_ms INTEGER NOT NULL);
    CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('revision', 1), ('compacted', 0), ('last_lease', 0);
";

/// The place of a revision's first change in the log.
pub(super) fn log_id(revision: Revision, change: usize) -> i64 {
    (revision.signed() << 20) | i64::try_from(change).unwrap_or(0)
}

/// The revision of a change in the log.
pub(super) fn log_revision(id: i64) -> Revision {
    Revision::from_signed(id >> 20)
}

/// A store's file, opened for its writer.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) leases: HashMap<LeaseId, Duration>,
}

pub(super) fn open(file: &Path, options: &SqliteOptions, place: &Arc<str>) -> Result<Opened, StoreError> {
    let failed = |error| failure(place, error);
    let connection = create(file, place)?;
    prepare(&connection, options).map_err(failed)?;
    let format: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    match (format, tables) {
        (FORMAT, _) => {}
        (0, 0) => connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT"
            ))
            .map_err(failed)?,
        (0, _) => {
            return Err(corrupt(
                place,
                "it is a SQLite file of another program".to_owned(),
            ));
        }
        (other, _) => {
            return Err(corrupt(
                place,
                format!("it has format {other}, this program reads {FORMAT}"),
            ));
        }
    }
    let revision = meta(&connection, "revision").map_err(failed)?;
    let compacted = meta(&connection, "compacted").map_err(failed)?;
    let (Some(revision), Some(compacted)) = (revision, compacted) else {
        return Err(corrupt(
            place,
            "it does not say at which revision it is".to_owned(),
        ));
    };
    let leases = leases(&connection).map_err(failed)?;
    Ok(Opened {
        connection,
        revision: Revision::from_signed(revision),
        compacted: Revision::from_signed(compacted),
        leases,
    })
}

/// Opens a file for writing, making it when it is not there: readable by its owner alone, for it holds
/// hashes of secrets. SQLite gives the files beside it the same mode.
pub(crate) fn create(file: &Path, place: &Arc<str>) -> Result<Connection, StoreError> {
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file);
    made.map_err(|error| StoreError::unavailable(place, error))?;
    Connection::open(file).map_err(|error| failure(place, error))
}

/// How every connection that writes is set up.
pub(crate) fn prepare(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(32);
    // Nobody else holds the file, but a backup may read it.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A write-ahead log that grew under a long read shrinks again.
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "cache_size", -32 * 1024)?;
    // Pages that change again and again are copied into the file once in 16 MiB, not once in 4.
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}

/// A number of the store about itself.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT number FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(super) fn set_meta(connection: &Connection, name: &str, number: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET number = ?2 WHERE name = ?1")?
        .execute((name, number))
        .map(drop)
}

fn leases(connection: &Connection) -> rusqlite::Result<HashMap<LeaseId, Duration>> {
    let mut statement = connection.prepare("SELECT id, ttl_ms FROM lease")?;
    let rows = statement.query_map([], |row| {
        let ttl: i64 = row.get(1)?;
        Ok((
            LeaseId::new(row.get(0)?),
            Duration::from_millis(u64::try_from(ttl).unwrap_or(0)),
        ))
    })?;
    rows.collect()
}

fn corrupt(place: &Arc<str>, what: String) -> StoreError {
    StoreError::Corrupt {
        place: place.to_string(),
        what,
    }
}

/// What SQLite says, in the words of the store.
pub(crate) fn failure(place: &Arc<str>, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull {
            place: place.to_string(),
            source: Arc::new(error),
        },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => corrupt(place, error.to_string()),
        // A column holds what this program never writes.
        None => corrupt(place, error.to_string()),
        _ => StoreError::unavailable(place, error),
    }
}
