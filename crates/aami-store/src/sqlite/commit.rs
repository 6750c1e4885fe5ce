//! One commit: requests judged one after the other, written together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::rows::{self, Tables};
use super::schema::{self, Opened, failure, log_id};
use crate::apply::{Applied, Commit, apply};
use crate::entry::Revision;
use crate::error::StoreError;
use crate::lease::{Lease, LeaseId, bounded};
use crate::txn::{Op, Txn, TxnOutcome};

/// What is asked of the writer.
pub(super) enum Ask {
    Txn(Txn),
    Grant(Duration),
    KeepAlive(LeaseId),
    End(LeaseId),
    Compact(Revision),
}

/// What it answers.
#[derive(Clone)]
pub(super) enum Answer {
    Txn(TxnOutcome),
    Lease(Lease),
    Done,
}

/// The tables, and what is known of them.
pub(super) struct Ledger {
    pub(super) connection: Connection,
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) leases: HashMap<LeaseId, Running>,
    pub(super) place: Arc<str>,
    /// Why nothing more is written, once it is no longer known what the disk holds.
    pub(super) broken: Option<StoreError>,
}

/// A lease, by the clock of this process.
pub(super) struct Running {
    pub(super) ttl: Duration,
    pub(super) deadline: Instant,
}

/// What a batch did, before and after it is durable.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) answers: Vec<Result<Answer, StoreError>>,
    pub(super) commits: Vec<Commit>,
    pub(super) granted: Vec<Lease>,
    pub(super) ended: Vec<LeaseId>,
    pub(super) compacted: Option<Revision>,
    last_lease: Option<i64>,
}

/// How a batch failed.
pub(super) enum Failure {
    /// Nothing of it is in the tables.
    Refused(StoreError),
    /// The commit itself failed: it may or may not be found there when the file is next opened.
    Unknown(StoreError),
}

impl Ledger {
    /// The ledger of a store that was just opened: its leases have their whole time again.
    pub(super) fn of(opened: Opened, place: Arc<str>) -> Self {
        let now = Instant::now();
        let running = |(id, ttl)| {
            (
                id,
                Running {
                    ttl,
                    deadline: now + ttl,
                },
            )
        };
        Self {
            connection: opened.connection,
            revision: opened.revision,
            compacted: opened.compacted,
            leases: opened.leases.into_iter().map(running).collect(),
            place,
            broken: None,
        }
    }

    /// Carries out all requests in one durable commit.
    pub(super) fn commit<'a>(&self, asks: impl Iterator<Item = &'a Ask>) -> Result<Batch, Failure> {
        if let Some(error) = &self.broken {
            return Err(Failure::Refused(error.clone()));
        }
        let mut batch = Batch::default();
        let judged = self.begin().and_then(|()| {
            for ask in asks {
                let answer = self.carry_out(ask, &mut batch)?;
                batch.answers.push(answer);
            }
            self.note(&batch)
        });
        let wrote = match judged {
            Ok(wrote) => wrote,
            Err(error) => {
                self.roll_back();
                return Err(Failure::Refused(failure(&self.place, error)));
            }
        };
        if !wrote {
            self.roll_back();
            return Ok(batch);
        }
        match self.execute("COMMIT") {
            Ok(()) => Ok(batch),
            Err(error) => {
                self.roll_back();
                let error = failure(&self.place, error);
                // Full is said before the record that would make the commit valid is written.
                Err(if matches!(error, StoreError::DiskFull { .. }) {
                    Failure::Refused(error)
                } else {
                    Failure::Unknown(error)
                })
            }
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn begin(&self) -> rusqlite::Result<()> {
        self.execute("BEGIN IMMEDIATE")
    }

    fn roll_back(&self) {
        // SQLite has rolled back by itself after some errors, a full disk among them.
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(store = &*self.place, %error, "a transaction cannot be rolled back");
        }
    }

    fn carry_out(&self, ask: &Ask, batch: &mut Batch) -> rusqlite::Result<Result<Answer, StoreError>> {
        Ok(match ask {
            Ask::Txn(txn) => self.apply(txn, batch)?.map(Answer::Txn),
            Ask::Grant(ttl) => {
                let last = match batch.last_lease {
                    Some(last) => last,
                    None => schema::meta(&self.connection, "last_lease")?.unwrap_or(0),
                };
                let lease = Lease {
                    id: LeaseId::new(last + 1),
                    ttl: bounded(*ttl),
                };
                let millis = i64::try_from(lease.ttl.as_millis()).unwrap_or(i64::MAX);
                self.connection
                    .prepare_cached("INSERT INTO lease (id, ttl_ms) VALUES (?1, ?2)")?
                    .execute((lease.id.get(), millis))?;
                batch.last_lease = Some(lease.id.get());
                batch.granted.push(lease);
                Ok(Answer::Lease(lease))
            }
            Ask::KeepAlive(lease) => self.keep_alive(*lease, batch),
            Ask::End(lease) => {
                let keys = rows::leased(&self.connection, *lease)?;
                self.connection
                    .prepare_cached("DELETE FROM lease WHERE id = ?1")?
                    .execute([lease.get()])?;
                batch.ended.push(*lease);
                let txn = keys
                    .into_iter()
                    .fold(Txn::new(), |txn, key| txn.then(Op::Delete(key)));
                self.apply(&txn, batch)?.map(|_| Answer::Done)
            }
            Ask::Compact(to) => self.compact(*to, batch),
        })
    }

    fn apply(&self, txn: &Txn, batch: &mut Batch) -> rusqlite::Result<Result<TxnOutcome, StoreError>> {
        let revision = batch
            .commits
            .last()
            .map_or(self.revision, |commit| commit.revision);
        Ok(
            match apply(&mut Tables(&self.connection), txn, revision.next())? {
                Applied::Conflict(compared) => Ok(TxnOutcome::Conflict(compared)),
                Applied::LeaseEnded(lease) => Err(StoreError::LeaseEnded { lease }),
                Applied::Unchanged => Ok(TxnOutcome::Committed(revision)),
                Applied::Changed(commit) => {
                    rows::append(&self.connection, &commit)?;
                    batch.commits.push(commit);
                    Ok(TxnOutcome::Committed(revision.next()))
                }
            },
        )
    }

    fn keep_alive(&self, lease: LeaseId, batch: &mut Batch) -> Result<Answer, StoreError> {
        match self.leases.get(&lease) {
            Some(running) if !batch.ended.contains(&lease) => {
                // As if granted anew; nothing durable depends on it.
                batch.granted.push(Lease {
                    id: lease,
                    ttl: running.ttl,
                });
                Ok(Answer::Done)
            }
            _ => Err(StoreError::LeaseEnded { lease }),
        }
    }

    fn compact(&self, to: Revision, batch: &mut Batch) -> Result<Answer, StoreError> {
        let revision = batch
            .commits
            .last()
            .map_or(self.revision, |commit| commit.revision);
        if to > revision {
            return Err(StoreError::NotYet { asked: to, revision });
        }
        if to > batch.compacted.unwrap_or(self.compacted) {
            batch.compacted = Some(to);
        }
        Ok(Answer::Done)
    }

    /// Writes down what the store knows about itself; answers whether there is anything to commit.
    fn note(&self, batch: &Batch) -> rusqlite::Result<bool> {
        if let Some(last) = batch.commits.last() {
            schema::set_meta(&self.connection, "revision", last.revision.signed())?;
        }
        if let Some(to) = batch.compacted {
            schema::set_meta(&self.connection, "compacted", to.signed())?;
        }
        if let Some(last) = batch.last_lease {
            schema::set_meta(&self.connection, "last_lease", last)?;
        }
        let wrote = !batch.commits.is_empty() || batch.compacted.is_some() || batch.last_lease.is_some();
        Ok(wrote || !batch.ended.is_empty())
    }

    /// Removes some rows of the log up to `to`, at most `most`; answers how many.
    pub(super) fn slice(&self, to: Revision, most: usize) -> rusqlite::Result<usize> {
        let removed = self
            .connection
            .prepare_cached(
                "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE id < ?1 ORDER BY id LIMIT ?2)",
            )?
            .execute((log_id(to.next(), 0), i64::try_from(most).unwrap_or(i64::MAX)));
        if removed.is_err() {
            self.roll_back();
        }
        removed
    }
}
