//! The one thread that writes.
//!
//! It takes whatever waits, up to a bound, judges each request against the tables as the ones before it
//! left them, commits all of them at once, shows the new revisions to the watches, and only then
//! answers. Between batches it ends leases whose time is over and frees what was compacted, a slice at
//! a time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::commit::{Answer, Ask, Batch, Failure, Ledger, Running};
use super::schema::Opened;
use crate::entry::Revision;
use crate::error::{Gone, StoreError};
use crate::ring::Ring;
use crate::txn::TxnOutcome;

/// Requests that may wait; the next caller waits before it hands its own over.
const WAITING: usize = 4096;
/// Requests of one commit, and bytes of them.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Rows of the log that one slice of compaction removes.
const SLICE: usize = 1000;
/// Batches after which a slice is due even if requests wait.
const BATCHES_PER_SLICE: usize = 16;
/// How long a commit is held back for half as many requests as the last one had: as long as that one took to
/// be made durable, within these bounds. Callers that wait for an answer come back together; while one half of
/// them is committed, the other half does what it does in between. One caller alone never waits.
const GATHERING: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));
/// How long the thread waits when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

struct Job {
    ask: Ask,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
    /// The place in the queue, given back when the job is done.
    _place: Option<OwnedSemaphorePermit>,
}

/// The handle to the thread. Dropping it lets the thread finish what waits, then ends it.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    waiting: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
    place: Arc<str>,
}

impl Writer {
    pub(super) fn start(opened: Opened, ring: Arc<Ring>, place: Arc<str>) -> Result<Self, StoreError> {
        let (jobs, queue) = channel();
        let state = Thread {
            // What was left unfinished when the process ended is swept again.
            sweeping: (opened.compacted > Revision::ZERO).then_some(opened.compacted),
            unswept: 0,
            last: 0,
            took: Duration::ZERO,
            ledger: Ledger::of(opened, Arc::clone(&place)),
            ring,
        };
        let thread = std::thread::Builder::new()
            .name("aami-store".to_owned())
            .spawn(move || state.run(&queue));
        let thread = Some(thread.map_err(|error| StoreError::unavailable(&place, error))?);
        Ok(Self {
            jobs: Some(jobs),
            waiting: Arc::new(Semaphore::new(WAITING)),
            thread,
            place,
        })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Hands a request over and waits for its answer; `None` when the thread ended over it.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Option<Answer>, StoreError> {
        let closed = || StoreError::unavailable(&self.place, Gone("its writer has ended"));
        let place = Arc::clone(&self.waiting)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(Job {
            ask,
            reply,
            _place: Some(place),
        })
        .map_err(|_| closed())?;
        answer.await.ok().transpose()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(store = &*self.place, "the store's writer panicked");
        }
    }
}

struct Thread {
    ledger: Ledger,
    /// Up to where rows of the log are still to be removed.
    sweeping: Option<Revision>,
    /// Batches since the last slice.
    unswept: usize,
    /// Requests of the last commit.
    last: usize,
    /// How long it took.
    took: Duration,
    ring: Arc<Ring>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        // However the thread ends, no watch waits for it.
        self.ring.close();
    }
}

impl Thread {
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let job = match queue.try_recv() {
                Ok(job) => Some(job),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if self.sweep() => continue,
                Err(TryRecvError::Empty) => match queue.recv_timeout(self.until_due()) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            let mut jobs = self.due();
            let mut bytes = 0;
            let patience = self.took.clamp(GATHERING.0, GATHERING.1);
            let (expected, deadline) = (self.last / 2, Instant::now() + patience);
            let mut taken = usize::from(job.is_some());
            let gather = || {
                taken += 1;
                queue.try_recv().ok().or_else(|| {
                    let left = deadline.saturating_duration_since(Instant::now());
                    (1 < taken && taken <= expected && !left.is_zero())
                        .then(|| queue.recv_timeout(left).ok())?
                })
            };
            let more = job.into_iter().chain(std::iter::from_fn(gather));
            for job in more.take(BATCH) {
                bytes += if let Ask::Txn(txn) = &job.ask {
                    txn.size()
                } else {
                    0
                };
                jobs.push(job);
                if bytes > BATCH_BYTES {
                    break;
                }
            }
            self.last = jobs.len();
            let start = Instant::now();
            self.settle(jobs);
            self.took = start.elapsed();
            // Otherwise when nobody waits; but where somebody always does, the log must not grow for ever.
            self.unswept += 1;
            if self.unswept >= BATCHES_PER_SLICE {
                self.sweep();
            }
        }
    }

    /// How long nothing is due.
    fn until_due(&self) -> Duration {
        let next = self.ledger.leases.values().map(|running| running.deadline).min();
        next.map_or(IDLE, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        })
    }

    /// A request for the end of each lease whose time is over.
    fn due(&self) -> Vec<Job> {
        let now = Instant::now();
        let over = self
            .ledger
            .leases
            .iter()
            .filter(|(_, running)| running.deadline <= now);
        // Nobody waits for the answer.
        over.map(|(id, _)| Job {
            ask: Ask::End(*id),
            reply: oneshot::channel().0,
            _place: None,
        })
        .collect()
    }

    /// Carries out all jobs and answers each.
    fn settle(&mut self, jobs: Vec<Job>) {
        match self.ledger.commit(jobs.iter().map(|job| &job.ask)) {
            Ok(batch) => self.publish(jobs, batch),
            // One of many may be too large for what is left; the others need not suffer for it.
            Err(Failure::Refused(StoreError::DiskFull { .. })) if jobs.len() > 1 => {
                for job in jobs {
                    self.settle(vec![job]);
                }
            }
            Err(Failure::Refused(error)) => {
                tracing::error!(%error, "the store refused a commit");
                self.postpone(&jobs);
                for job in jobs {
                    let _ = job.reply.send(Err(error.clone()));
                }
            }
            Err(Failure::Unknown(error)) => {
                tracing::error!(%error, "a commit failed and the store takes no more until it is opened again");
                self.ledger.broken = Some(error.clone());
                for job in jobs {
                    let unknown = matches!(job.ask, Ask::Txn(_));
                    let _ = job.reply.send(if unknown {
                        Ok(Answer::Txn(TxnOutcome::Unknown))
                    } else {
                        Err(error.clone())
                    });
                }
                // Nothing more will be published, and what was lost is not known.
                self.ring.close();
            }
        }
    }

    /// A lease that could not be ended is tried again later, not at once.
    fn postpone(&mut self, jobs: &[Job]) {
        for job in jobs {
            if let Ask::End(lease) = &job.ask
                && let Some(running) = self.ledger.leases.get_mut(lease)
            {
                running.deadline = running.deadline.max(Instant::now() + Duration::from_secs(1));
            }
        }
    }

    fn publish(&mut self, jobs: Vec<Job>, batch: Batch) {
        let now = Instant::now();
        for lease in batch.granted {
            self.ledger.leases.insert(
                lease.id,
                Running {
                    ttl: lease.ttl,
                    deadline: now + lease.ttl,
                },
            );
        }
        for lease in batch.ended {
            self.ledger.leases.remove(&lease);
        }
        if let Some(to) = batch.compacted {
            self.ledger.compacted = to;
            self.sweeping = Some(to);
            self.ring.compact(to);
        }
        if let Some(last) = batch.commits.last() {
            self.ledger.revision = last.revision;
            self.ring
                .publish(batch.commits.into_iter().map(Arc::new).collect());
        }
        for (job, answer) in jobs.into_iter().zip(batch.answers) {
            // Whoever no longer waits does not want to know.
            let _ = job.reply.send(answer);
        }
    }

    /// Removes a slice of the compacted log; answers whether there was one.
    fn sweep(&mut self) -> bool {
        self.unswept = 0;
        let Some(to) = self.sweeping else { return false };
        if self.ledger.broken.is_some() {
            self.sweeping = None;
            return false;
        }
        match self.ledger.slice(to, SLICE) {
            Ok(SLICE..) => {}
            Ok(_) => self.sweeping = None,
            Err(error) => {
                tracing::warn!(store = &*self.ledger.place, %error, "what was compacted cannot be removed yet");
                self.sweeping = None;
            }
        }
        true
    }
}
