//! History in a SQLite file of its own, so that what is appended never waits for state, nor state for it.

use std::path::Path;
use std::sync::Arc;

use aami_model::{OrgId, Timestamp};
use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use tokio::sync::Mutex;

use super::record::Gathering;
use super::{History, HistoryPage, HistoryQuery, Keep, Kind, Reading, Record, check};
use crate::error::StoreError;
use crate::sqlite::{Readers, SqliteOptions, create, failure, prepare};

/// What this program writes into `user_version`.
const FORMAT: i64 = 1;
/// Connections that read.
const READERS: usize = 2;
/// Records that one piece of pruning looks at.
const SLICE: i64 = 1000;

const TABLES: &str = "
    CREATE TABLE record (
        kind TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
        org TEXT NOT NULL, subject TEXT NOT NULL, json TEXT NOT NULL,
        PRIMARY KEY (kind, seq)
    );
    CREATE INDEX record_subject ON record (kind, subject, seq);
    CREATE TABLE pruned (kind TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
";

/// A history in a SQLite file. Several processes may open it at once; each append is one commit.
pub struct SqliteHistory {
    /// Writing is done on a thread for blocking work, one at a time.
    writer: Arc<Mutex<Connection>>,
    readers: Arc<Readers>,
    place: Arc<str>,
}

impl SqliteHistory {
    /// Opens the file at `path`, making it when it is not there. Its folder must exist. Fails with
    /// [`StoreError::Corrupt`] when it is not a file of ours.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let (path, place) = (path.to_owned(), Arc::<str>::from(path.display().to_string()));
        let (opening, at) = (path.clone(), Arc::clone(&place));
        let opened = tokio::task::spawn_blocking(move || open(&opening, &at));
        let writer = opened
            .await
            .map_err(|error| StoreError::unavailable(&place, error))??;
        let readers = Readers::open(&path, READERS, Arc::clone(&place))?;
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            readers,
            place,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            writer.execute_batch("BEGIN IMMEDIATE")?;
            let done = work(&writer).and_then(|done| writer.execute_batch("COMMIT").map(|()| done));
            // After a full disk SQLite has rolled back by itself.
            if !writer.is_autocommit() {
                writer.execute_batch("ROLLBACK")?;
            }
            done
        });
        let done = done
            .await
            .map_err(|error| StoreError::unavailable(&self.place, error))?;
        done.map_err(|error| failure(&self.place, error))
    }
}

fn open(path: &Path, place: &Arc<str>) -> Result<Connection, StoreError> {
    let failed = |error| failure(place, error);
    let connection = create(path, place)?;
    prepare(&connection, &SqliteOptions::default()).map_err(failed)?;
    let format: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    match format {
        FORMAT => {}
        0 => connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT"
            ))
            .map_err(failed)?,
        other => {
            let what = format!("it has format {other}, this program reads {FORMAT}");
            return Err(StoreError::Corrupt {
                place: place.to_string(),
                what,
            });
        }
    }
    Ok(connection)
}

#[async_trait]
impl History for SqliteHistory {
    async fn append(&self, records: Vec<Record>) -> Result<usize, StoreError> {
        check(&records)?;
        self.write(move |connection| records.iter().map(|record| append(connection, record)).sum())
            .await
    }

    async fn read(&self, query: HistoryQuery) -> Result<HistoryPage, StoreError> {
        self.readers
            .read(move |connection| read(connection, &query))
            .await
    }

    async fn last(&self, kind: Kind) -> Result<Option<u64>, StoreError> {
        let last = move |connection: &Connection| {
            let mut statement = connection.prepare_cached("SELECT max(seq) FROM record WHERE kind = ?1")?;
            statement.query_row([kind.name()], |row| row.get::<_, Option<i64>>(0))
        };
        Ok(self.readers.read(last).await?.map(unsigned))
    }

    async fn reached(&self, kind: Kind) -> Result<u64, StoreError> {
        let reached = move |connection: &Connection| {
            let mut statement = connection.prepare_cached("SELECT max(seq) FROM record WHERE kind = ?1")?;
            let last: Option<i64> = statement.query_row([kind.name()], |row| row.get(0))?;
            Ok(last.map_or(0, unsigned).max(pruned(connection, kind)?))
        };
        self.readers.read(reached).await
    }

    async fn lack(&self, kind: Kind, through: u64) -> Result<(), StoreError> {
        self.write(move |connection| note_pruned(connection, kind, signed(through)))
            .await
    }

    async fn prune(&self, kind: Kind, keep: Keep) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let piece = self
                .write(move |connection| prune(connection, kind, keep))
                .await?;
            removed += piece;
            if piece < SLICE.unsigned_abs() {
                return Ok(removed);
            }
        }
    }
}

/// Numbers are made from revisions and stay far below what SQLite can hold; a hostile one is held at
/// the end of the order.
fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

fn append(connection: &Connection, record: &Record) -> rusqlite::Result<usize> {
    if record.seq <= pruned(connection, record.kind)? {
        return Ok(0);
    }
    connection
        .prepare_cached("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING")?
        .execute(params![
            record.kind.name(),
            signed(record.seq),
            record.at.millis(),
            record.org.as_str(),
            record.subject,
            // Readable in sqlite3; what is no text would be read back as bytes all the same.
            std::str::from_utf8(&record.json).map_or_else(
                |_| Value::Blob(record.json.to_vec()),
                |json| Value::Text(json.to_owned())
            ),
        ])
}

fn pruned(connection: &Connection, kind: Kind) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT seq FROM pruned WHERE kind = ?1")?;
    let seq: Option<i64> = statement.query_row([kind.name()], |row| row.get(0)).optional()?;
    Ok(seq.map_or(0, unsigned))
}

fn read(connection: &Connection, query: &HistoryQuery) -> rusqlite::Result<HistoryPage> {
    let pruned = pruned(connection, query.kind)?;
    let (condition, order, seq) = match query.reading {
        Reading::After(seq) => ("seq > ?", "ASC", signed(seq)),
        Reading::Before(seq) => ("seq < ?", "DESC", signed(seq)),
    };
    let mut sql = format!("SELECT seq, at, org, subject, json FROM record WHERE kind = ? AND {condition}");
    let mut values = vec![Value::Text(query.kind.name().to_owned()), Value::Integer(seq)];
    if let Some(subject) = &query.subject {
        sql.push_str(" AND subject = ?");
        values.push(Value::Text(subject.clone()));
    }
    if let Some(orgs) = &query.orgs {
        sql.push_str(&format!(" AND org IN ({})", vec!["?"; orgs.len()].join(", ")));
        values.extend(orgs.iter().map(|org| Value::Text(org.as_str().to_owned())));
    }
    sql.push_str(&format!(" ORDER BY seq {order}"));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut gathering = Gathering::new(query.limit);
    while let Some(row) = rows.next()? {
        if !gathering.offer(record(query.kind, row)?) {
            return Ok(gathering.finish(query.reading, true, pruned));
        }
    }
    Ok(gathering.finish(query.reading, false, pruned))
}

fn record(kind: Kind, row: &Row<'_>) -> rusqlite::Result<Record> {
    let org: OrgId = row.get_ref(2)?.as_str()?.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Record {
        kind,
        seq: unsigned(row.get(0)?),
        at: Timestamp::from_millis(row.get(1)?),
        org,
        subject: row.get(3)?,
        json: row.get_ref(4)?.as_bytes()?.to_vec().into(),
    })
}

/// Removes one piece of what is not kept, from the oldest on; answers how many records that were.
fn prune(connection: &Connection, kind: Kind, keep: Keep) -> rusqlite::Result<u64> {
    let cut = match keep.newest {
        Some(newest) => oldest_of_newest(connection, kind, newest)?,
        None => None,
    };
    let mut statement =
        connection.prepare_cached("SELECT seq, at FROM record WHERE kind = ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query((kind.name(), SLICE))?;
    let (mut last, mut removed) = (None, 0);
    while let Some(row) = rows.next()? {
        let (seq, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        let old = keep.since.is_some_and(|since| at < since.millis());
        if !(old || cut.is_some_and(|cut| seq <= cut)) {
            break;
        }
        last = Some(seq);
        removed += 1;
    }
    if let Some(last) = last {
        connection.execute(
            "DELETE FROM record WHERE kind = ?1 AND seq <= ?2",
            (kind.name(), last),
        )?;
        note_pruned(connection, kind, last)?;
    }
    Ok(removed)
}

/// Notes up to which number readers are told that something is missing; never less than before.
fn note_pruned(connection: &Connection, kind: Kind, through: i64) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO pruned VALUES (?1, ?2) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
        (kind.name(), through),
    )?;
    Ok(())
}

/// The greatest number that is not among the newest so many.
fn oldest_of_newest(connection: &Connection, kind: Kind, newest: u64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT seq FROM record WHERE kind = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2")?
        .query_row((kind.name(), signed(newest)), |row| row.get(0))
        .optional()
}
