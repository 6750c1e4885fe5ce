//! Reading: a few connections that cannot write.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, Row, Rows};
use tokio::sync::Semaphore;

use super::rows::entry;
use super::schema::{failure, log_id, log_revision, meta};
use crate::apply::{Commit, Logged};
use crate::entry::{Change, Entry, Revision};
use crate::error::{Gone, StoreError};
use crate::key::{Key, Prefix};
use crate::page::{Gathering, Page, PageRequest};
use crate::ring::Past;

/// How much of the log one look takes; whole revisions all the same.
const LOG_ROWS: usize = 1024;
const LOG_BYTES: usize = 4 * 1024 * 1024;

/// The pool. Whoever finds no idle connection waits.
pub(crate) struct Readers {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
    place: Arc<str>,
}

impl Readers {
    pub(crate) fn open(file: &Path, count: usize, place: Arc<str>) -> Result<Arc<Self>, StoreError> {
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(file, flags)?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "cache_size", -4 * 1024)?;
            Ok(connection)
        };
        let idle: rusqlite::Result<Vec<_>> = std::iter::repeat_with(open).take(count).collect();
        let idle = Mutex::new(idle.map_err(|error| failure(&place, error))?);
        Ok(Arc::new(Self {
            idle,
            free: Arc::new(Semaphore::new(count)),
            place,
        }))
    }

    /// Runs `look` inside one read transaction: everything it sees is from one moment.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = |_| StoreError::unavailable(&self.place, Gone("it is closed"));
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(closed)?;
        let readers = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let taken = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            // There is one for each permit, unless a look panicked with it.
            let connection =
                taken.ok_or_else(|| StoreError::unavailable(&readers.place, Gone("a reader broke")))?;
            let seen = connection.execute_batch("BEGIN").and_then(|()| look(&connection));
            let ended = connection.execute_batch("COMMIT");
            readers
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            seen.and_then(|seen| ended.map(|()| seen))
                .map_err(|error| failure(&readers.place, error))
        });
        read.await
            .map_err(|error| StoreError::unavailable(&self.place, error))?
    }
}

#[async_trait]
impl Past for Arc<Readers> {
    async fn read(&self, from: Revision) -> Result<Option<Vec<Arc<Commit>>>, StoreError> {
        Readers::read(self, move |connection| log(connection, from)).await
    }
}

/// The log from `from` on, whole revisions; `None` when it is compacted.
fn log(connection: &Connection, from: Revision) -> rusqlite::Result<Option<Vec<Arc<Commit>>>> {
    if from <= compacted(connection)? {
        return Ok(None);
    }
    let mut statement =
        connection.prepare_cached("SELECT id, key, value, create_rev FROM log WHERE id >= ?1 ORDER BY id")?;
    let mut rows = statement.query([log_id(from, 0)])?;
    let (mut commits, mut count, mut bytes) = (Vec::<Commit>::new(), 0, 0);
    while let Some(row) = rows.next()? {
        let revision = log_revision(row.get(0)?);
        let key = Key::trusted(row.get_ref(1)?.as_str()?);
        let change = match row.get::<_, Option<Vec<u8>>>(2)? {
            Some(value) => Change::Put(Entry {
                key,
                value: value.into(),
                create_revision: Revision::from_signed(row.get(3)?),
                mod_revision: revision,
            }),
            None => Change::Delete(key),
        };
        let logged = Logged { change, before: None };
        match commits.last_mut() {
            Some(commit) if commit.revision == revision => commit.changes.push(logged),
            _ if count >= LOG_ROWS || bytes >= LOG_BYTES => break,
            _ => commits.push(Commit {
                revision,
                changes: vec![logged],
            }),
        }
        count += 1;
        bytes += row.get_ref(2)?.as_bytes_or_null()?.map_or(0, <[u8]>::len);
    }
    Ok(Some(commits.into_iter().map(Arc::new).collect()))
}

fn compacted(connection: &Connection) -> rusqlite::Result<Revision> {
    Ok(meta(connection, "compacted")?.map_or(Revision::ZERO, Revision::from_signed))
}

/// A page of `prefix` as it was at the revision of the list's first page; `None` when that one is
/// compacted. Two orders of keys are merged: what is now, and what each key changed since was before.
pub(super) fn list(
    connection: &Connection,
    prefix: &Prefix,
    page: &PageRequest,
) -> rusqlite::Result<Option<Page>> {
    let head = meta(connection, "revision")?.map_or(Revision::FIRST, Revision::from_signed);
    let (revision, start) = match &page.token {
        // A revision that is not made yet is one of another life of the store.
        Some(token) if token.revision < compacted(connection)? || token.revision > head => return Ok(None),
        // The smallest text after the last key.
        Some(token) => (token.revision, format!("{}\0", token.last)),
        None => (head, prefix.as_str().to_owned()),
    };
    // No key holds a control character, nor begins with a character beyond this one.
    let end = prefix.end().unwrap_or_else(|| "\u{10ffff}".to_owned());

    let mut now = connection.prepare_cached(
        "SELECT key, value, create_rev, mod_rev FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key",
    )?;
    let mut now = Merging::new(now.query([&start, &end])?, |row, key| entry(key, row, 1))?;
    let mut then = connection.prepare_cached(
        "SELECT key, min(id) FROM log WHERE id >= ?3 AND key >= ?1 AND key < ?2 GROUP BY key ORDER BY key",
    )?;
    let changed = then.query((&start, &end, log_id(revision.next(), 0)))?;
    let mut then = Merging::new(changed, |row, key| Ok((key, row.get::<_, i64>(1)?)))?;

    let mut gathering = Gathering::new(page.limit);
    loop {
        let found = match (&now.present, &then.present) {
            (None, None) => return Ok(Some(gathering.finish(revision, false))),
            (Some(entry), changed) if changed.as_ref().is_none_or(|(key, _)| entry.key < *key) => {
                now.advance()?
            }
            (entry, _) => {
                let replaced =
                    entry.as_ref().map(|entry| &entry.key) == then.present.as_ref().map(|(key, _)| key);
                if replaced {
                    now.advance()?;
                }
                match then.advance()? {
                    Some((key, id)) => before(connection, key, id)?,
                    None => None,
                }
            }
        };
        if let Some(found) = found
            && !gathering.offer(found)
        {
            return Ok(Some(gathering.finish(revision, true)));
        }
    }
}

/// What a logged change replaced.
fn before(connection: &Connection, key: Key, id: i64) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached("SELECT before_value, before_create, before_mod FROM log WHERE id = ?1")?
        .query_row([id], |row| match row.get_ref(2)? {
            rusqlite::types::ValueRef::Null => Ok(None),
            _ => entry(key.clone(), row, 0).map(Some),
        })
}

/// Rows in the order of their keys, with the present one at hand.
struct Merging<'s, T> {
    rows: Rows<'s>,
    read: fn(&Row<'_>, Key) -> rusqlite::Result<T>,
    present: Option<T>,
}

impl<'s, T> Merging<'s, T> {
    fn new(rows: Rows<'s>, read: fn(&Row<'_>, Key) -> rusqlite::Result<T>) -> rusqlite::Result<Self> {
        let mut merging = Self {
            rows,
            read,
            present: None,
        };
        merging.advance()?;
        Ok(merging)
    }

    /// Goes to the next row and hands over the present one.
    fn advance(&mut self) -> rusqlite::Result<Option<T>> {
        let next = match self.rows.next()? {
            Some(row) => Some((self.read)(row, Key::trusted(row.get_ref(0)?.as_str()?))?),
            None => None,
        };
        Ok(std::mem::replace(&mut self.present, next))
    }
}
