//! A fresh, empty store of each kind.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use aami_store::{Key, MemoryStore, Prefix, Revision, SqliteOptions, SqliteStore, Store, Txn, TxnOutcome};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    /// What must be there as long as the store is.
    _ground: Box<dyn Any + Send + Sync>,
}

impl Engine {
    pub(crate) fn memory() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            _ground: Box::new(()),
        }
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let store = SqliteStore::open(folder.path(), SqliteOptions::default())
            .await
            .expect("the store opens");
        Self {
            store: Arc::new(store),
            _ground: Box::new(folder),
        }
    }

    /// `None` where there is no etcd, which has been said then.
    #[cfg(feature = "etcd")]
    pub(crate) async fn etcd() -> Option<Self> {
        // It says how far it is every ten minutes otherwise.
        let server = crate::etcd_server::EtcdServer::start_with(&[
            "--experimental-watch-progress-notify-interval",
            "1s",
        ])
        .await?;
        let store = aami_store::open(&server.url()).await.expect("etcd answers");
        Some(Self {
            store,
            _ground: Box::new(server),
        })
    }
}

pub(crate) fn key(path: &str) -> Key {
    path.parse().expect("the test names a key")
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().expect("the test names a prefix")
}

/// Commits, where nothing may stand in the way.
pub(crate) async fn commit(store: &dyn Store, txn: Txn) -> Revision {
    match store.txn(txn).await.expect("the store takes it") {
        TxnOutcome::Committed(revision) => revision,
        other => panic!("nothing was in the way, and yet: {other:?}"),
    }
}

pub(crate) async fn put(store: &dyn Store, path: &str, value: &str) -> Revision {
    commit(store, Txn::new().put(key(path), value.to_owned())).await
}

/// Waits for what `look` finds, with a deadline; says what it waited for when it gives up.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited {PATIENCE:?} for {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
