//! The backend for several control planes: an etcd cluster (3.4 or newer).
//!
//! Transactions, watches and leases are etcd's own. What is added here: lists always page ([`list`]
//! is bounded, where etcd's is not), an error says whether the transaction may have happened
//! ([`verdict`]), and broken watches are made anew where they were ([`watching`]).

mod verdict;
mod watching;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{
    Client, ConnectOptions, Error, GetOptions, GetResponse, KvClient, LeaseClient, TxnOpResponse, TxnResponse,
};
use tokio::time::{Instant, sleep, timeout_at};

use self::verdict::{Verdict, judge};
use self::wire::{end_of, entry, revision_of};
use crate::Store;
use crate::entry::{Entry, Revision};
use crate::error::{Gone, StoreError};
use crate::key::{Key, Prefix};
use crate::lease::{Lease, LeaseId, bounded};
use crate::limits::Limits;
use crate::page::{Gathering, Page, PageRequest};
use crate::txn::{Compared, Op, Txn, TxnOutcome};
use crate::watch::WatchStream;

/// How long a request may take in all; for one attempt of a read, how long before another is made.
const DEADLINE: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// What is decoded of one answer, in bytes. etcd bounds what it is asked, not what it answers.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;
/// The entries of one page: as many as usually fit into [`Limits::page_bytes`].
const PAGE: usize = 1024;

/// A store in an etcd cluster.
pub struct EtcdStore {
    /// Reads, writes and leases.
    client: Client,
    /// Watches, on a connection of their own: a large list does not hold up what is told, and the other
    /// way round.
    watcher: Client,
    place: Arc<str>,
}

impl EtcdStore {
    /// Connects to the cluster with these members, `HOST:PORT` each, over plain HTTP. Fails with
    /// [`StoreError::Unavailable`] when none of them answers.
    pub async fn open(members: &[&str]) -> Result<Self, StoreError> {
        let place: Arc<str> = format!("etcd://{}", members.join(",")).into();
        // etcd refuses pings more often than every 5 s, and on connections without a request.
        let options = ConnectOptions::new()
            .with_connect_timeout(ATTEMPT)
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(5))
            .with_keep_alive_while_idle(false)
            .with_require_leader(true);
        let connect = || Client::connect(members, Some(options.clone()));
        let failed = |error| StoreError::unavailable(&place, error);
        let (client, watcher) = (connect().await.map_err(failed)?, connect().await.map_err(failed)?);
        let store = Self {
            client,
            watcher,
            place,
        };
        store.revision().await?;
        Ok(store)
    }

    fn kv(&self) -> KvClient {
        self.client.kv_client().max_decoding_message_size(LARGEST_ANSWER)
    }

    /// Asks until there is an answer, or an error that asking again would not mend. Only for what may be
    /// done twice.
    async fn insist<T, F>(&self, ask: impl Fn() -> F + Send) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let attempt = deadline.min(Instant::now() + ATTEMPT);
            let trouble = match timeout_at(attempt, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if matches!(judge(&error), Verdict::Refused | Verdict::TooLarge) => {
                    return Err(Trouble::Refused(error));
                }
                Ok(Err(error)) => self.unavailable(error),
                Err(_) => self.unavailable(Gone("no answer in time")),
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(Trouble::Store(trouble));
            }
            sleep(PAUSE).await;
        }
    }

    fn unavailable(&self, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        StoreError::unavailable(&self.place, error)
    }

    /// What an error that etcd gave on purpose means where no special meaning is expected.
    fn refused(&self, error: Error) -> StoreError {
        if verdict::is_no_space(&error) {
            StoreError::DiskFull {
                place: self.place.to_string(),
                source: Arc::new(error),
            }
        } else {
            self.unavailable(error)
        }
    }

    fn plain(&self, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Store(error) => error,
            Trouble::Refused(error) => self.refused(error),
        }
    }

    async fn get_with(&self, key: &[u8], options: GetOptions) -> Result<GetResponse, Trouble> {
        self.insist(|| {
            let (mut kv, options) = (self.kv(), options.clone());
            async move { kv.get(key, Some(options)).await }
        })
        .await
    }

    /// Sends a transaction until it has surely been sent once.
    async fn send(&self, txn: &Txn) -> Sent {
        let request = wire::request(txn);
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut kv = self.kv();
            let error = match timeout_at(deadline, kv.txn(request.clone())).await {
                Ok(Ok(response)) => return Sent::Answered(response),
                Ok(Err(error)) => error,
                Err(_) => return Sent::Lost,
            };
            match judge(&error) {
                Verdict::Refused => return Sent::Refused(error),
                Verdict::NotSent if Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
                Verdict::NotSent => return Sent::Refused(error),
                Verdict::TooLarge => return Sent::TooLarge,
                Verdict::Unclear => {
                    tracing::warn!(store = &*self.place, %error, "whether a transaction was applied is not known");
                    return Sent::Lost;
                }
            }
        }
    }

    /// Every compared key as it is, once.
    async fn look_up(&self, txn: &Txn) -> Result<Vec<Compared>, StoreError> {
        let mut compared = Vec::new();
        for key in wire::compared_keys(txn) {
            compared.push(Compared {
                key: key.clone(),
                now: self.get(key).await?,
            });
        }
        Ok(compared)
    }

    fn outcome(&self, txn: &Txn, response: &TxnResponse) -> Result<TxnOutcome, StoreError> {
        if response.succeeded() {
            return Ok(TxnOutcome::Committed(revision_of(response.header())));
        }
        let answers = response.op_responses().into_iter();
        let compared = wire::compared_keys(txn)
            .into_iter()
            .zip(answers)
            .map(|(key, answer)| {
                let now = match answer {
                    TxnOpResponse::Get(mut found) => found.take_kvs().into_iter().next(),
                    _ => None,
                };
                Ok(Compared {
                    key: key.clone(),
                    now: now.map(|now| entry(now, &self.place)).transpose()?,
                })
            });
        compared.collect::<Result<_, _>>().map(TxnOutcome::Conflict)
    }

    /// etcd says that it is full before a transaction, and, at the very moment it becomes full, after one.
    /// When what would have been put is not there, it was before.
    async fn full(&self, txn: &Txn, error: Error) -> Result<TxnOutcome, StoreError> {
        for op in txn.ops() {
            if let Op::Put { key, value, .. } = op
                && self.get(key).await?.is_none_or(|now| now.value != *value)
            {
                return Err(self.refused(error));
            }
        }
        Ok(TxnOutcome::Unknown)
    }
}

/// Why a request that may be repeated had no answer.
enum Trouble {
    /// etcd does not want it, or answers with more than is decoded.
    Refused(Error),
    Store(StoreError),
}

/// What became of a transaction.
enum Sent {
    Answered(TxnResponse),
    /// It was surely not applied, or the cluster is full.
    Refused(Error),
    /// There is an answer, larger than what is decoded.
    TooLarge,
    Lost,
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let found = self.get_with(key.as_str().as_bytes(), GetOptions::new()).await;
        let now = found
            .map_err(|trouble| self.plain(trouble))?
            .take_kvs()
            .into_iter()
            .next();
        now.map(|now| entry(now, &self.place)).transpose()
    }

    async fn list(&self, prefix: &Prefix, page: PageRequest) -> Result<Page, StoreError> {
        let (asked, start) = match &page.token {
            // The smallest text after the last key.
            Some(token) => (token.revision, format!("{}\0", token.last)),
            None => (Revision::ZERO, prefix.as_str().to_owned()),
        };
        // etcd takes a single NUL for the beginning and for the end of all.
        let start = if start.is_empty() {
            vec![0]
        } else {
            start.into_bytes()
        };
        let mut limit = page.limit.min(PAGE);
        let mut found = loop {
            let options = GetOptions::new()
                .with_range(end_of(prefix))
                .with_revision(asked.signed())
                .with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
            match self.get_with(&start, options).await {
                Ok(found) => break found,
                Err(Trouble::Refused(error)) if judge(&error) == Verdict::TooLarge && limit > 1 => {
                    limit = limit.div_ceil(8)
                }
                Err(Trouble::Refused(error)) if verdict::is_out_of_history(&error) => {
                    return Err(StoreError::Compacted { asked });
                }
                Err(trouble) => return Err(self.plain(trouble)),
            }
        };
        let revision = if asked == Revision::ZERO {
            revision_of(found.header())
        } else {
            asked
        };
        let mut gathering = Gathering::new(limit);
        let mut more = found.more();
        for kv in found.take_kvs() {
            if !gathering.offer(entry(kv, &self.place)?) {
                more = true;
                break;
            }
        }
        Ok(gathering.finish(revision, more))
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        Limits::ETCD.check(&txn)?;
        match self.send(&txn).await {
            Sent::Answered(response) => self.outcome(&txn, &response),
            Sent::Lost => Ok(TxnOutcome::Unknown),
            // Only the keys of a conflict are that large.
            Sent::TooLarge => self.look_up(&txn).await.map(TxnOutcome::Conflict),
            Sent::Refused(error) if verdict::is_no_space(&error) => self.full(&txn, error).await,
            Sent::Refused(error) => Err(match verdict::ended_lease(&error, &txn) {
                Some(lease) => StoreError::LeaseEnded { lease },
                None => self.unavailable(error),
            }),
        }
    }

    fn watch(&self, prefix: &Prefix, from: Revision) -> WatchStream {
        watching::watch(
            self.watcher.watch_client(),
            prefix.clone(),
            from,
            Arc::clone(&self.place),
        )
    }

    async fn grant(&self, ttl: Duration) -> Result<Lease, StoreError> {
        // Whole seconds, rather longer than shorter. One whose answer is lost ends by itself.
        let seconds = i64::try_from(bounded(ttl).as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let granted = self
            .lease(|mut leases| async move { leases.grant(seconds, None).await })
            .await;
        let granted = granted.map_err(|trouble| self.plain(trouble))?;
        let ttl = Duration::from_secs(u64::try_from(granted.ttl()).unwrap_or(1));
        Ok(Lease {
            id: LeaseId::new(granted.id()),
            ttl,
        })
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        // Opening the stream sends one request and waits for its answer, which is all there is to do.
        let kept = self
            .lease(|mut leases| async move { leases.keep_alive(lease.get()).await })
            .await;
        match kept {
            Ok(_) => Ok(()),
            Err(Trouble::Refused(Error::LeaseKeepAliveError(_))) => Err(StoreError::LeaseEnded { lease }),
            Err(trouble) => Err(self.plain(trouble)),
        }
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        match self
            .lease(|mut leases| async move { leases.revoke(lease.get()).await })
            .await
        {
            Ok(_) => Ok(()),
            Err(Trouble::Refused(error)) if verdict::is_not_found(&error) => Ok(()),
            Err(trouble) => Err(self.plain(trouble)),
        }
    }

    async fn compact(&self, to: Revision) -> Result<(), StoreError> {
        let revision = self.revision().await?;
        if to > revision {
            return Err(StoreError::NotYet { asked: to, revision });
        }
        if to == Revision::ZERO {
            return Ok(());
        }
        let compact = || {
            let mut kv = self.kv();
            async move { kv.compact(to.signed(), None).await }
        };
        match self.insist(compact).await {
            Ok(_) => Ok(()),
            // It is compacted to there or further.
            Err(Trouble::Refused(error)) if verdict::is_out_of_history(&error) => Ok(()),
            Err(trouble) => Err(self.plain(trouble)),
        }
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        // Any linearizable read tells it; this one fetches nothing.
        let found = self.get_with(b"s", GetOptions::new().with_count_only()).await;
        Ok(revision_of(
            found.map_err(|trouble| self.plain(trouble))?.header(),
        ))
    }
}

impl EtcdStore {
    async fn lease<T, F>(&self, ask: impl Fn(LeaseClient) -> F + Send + Sync) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        self.insist(|| ask(self.client.lease_client())).await
    }
}
