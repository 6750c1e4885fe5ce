//! SQLite's file: opened again, not ours, compacted.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aami_store::{PageRequest, Revision, SqliteOptions, SqliteStore, Store, StoreError, Txn};
use rusqlite::Connection;

use crate::engine::{commit, eventually, key, prefix, put};
use crate::watching::read_until;

async fn open(path: &std::path::Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, SqliteOptions::default()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_opened_again_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("deep/er/aami.db");
    // Given a store with entries, one of them leased, compacted to somewhere
    let store = open(&file).await.expect("folders are made");
    let lease = store
        .grant(Duration::from_secs(1))
        .await
        .expect("it is granted")
        .id;
    let first = put(&store, "s/a", "1").await;
    let second = commit(&store, Txn::new().put_leased(key("s/leased"), "1", lease)).await;
    store.compact(first).await.expect("it compacts");
    // which only its owner can read
    for name in ["aami.db", "aami.db-wal", "."] {
        let path = folder.path().join("deep/er").join(name);
        let mode = std::fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    // when it is closed and opened by its URL
    drop(store);
    let store = aami_store::open(&format!("sqlite:{}", file.display()))
        .await
        .expect("it opens");
    // then everything is there, at its revision, and what is forgotten stays so
    assert_eq!(store.revision().await.expect("it answers"), second);
    let page = store
        .list(&prefix("s/"), PageRequest::first(9))
        .await
        .expect("it answers");
    assert_eq!(
        page.entries
            .iter()
            .map(|entry| entry.mod_revision)
            .collect::<Vec<_>>(),
        [first, second]
    );
    let told = read_until(&mut store.watch(&prefix("s/"), second), second).await;
    assert_eq!(told.batches.len(), 1, "the log is read from before it was opened");
    assert!(
        read_until(&mut store.watch(&prefix("s/"), first), second)
            .await
            .compacted
    );
    // and the lease has its time once more, and then ends
    let gone = async || {
        store
            .get(&key("s/leased"))
            .await
            .expect("it answers")
            .is_none()
            .then_some(())
    };
    eventually("the leased key to go", gone).await;
    assert!(store.get(&key("s/a")).await.expect("it answers").is_some());
    let again = store.grant(Duration::MAX).await.expect("it is granted");
    assert_ne!(again.id, lease, "no lease is given twice");
    assert_eq!(again.ttl, Duration::from_secs(24 * 3600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_when_a_store_is_closed_are_carried_out() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    // Given requests handed over and not waited for
    let store = open(folder.path()).await.expect("it opens");
    // (as many as a task of tokio's may hand over without pausing)
    for n in 0..50 {
        let request = store.txn(Txn::new().put(key(&format!("s/{n:03}")), "1"));
        // Once polled it is with the writer.
        assert!(futures::FutureExt::now_or_never(request).is_none_or(|outcome| outcome.is_ok()));
    }
    // when the store is closed and opened again
    drop(store);
    let store = open(folder.path()).await.expect("it opens");
    // then they have been carried out
    let page = store
        .list(&prefix("s/"), PageRequest::first(500))
        .await
        .expect("it answers");
    assert_eq!(page.entries.len(), 50);
    assert_eq!(page.revision, Revision::new(51));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("state.db");
    let sql = |text: &str| {
        Connection::open(&file)
            .expect("SQLite opens")
            .execute_batch(text)
            .expect("it is SQL")
    };
    // Given a file of another program, of a newer version of ours, or of something else entirely
    type Make<'a> = Box<dyn Fn() + 'a>;
    let cases: [(Make<'_>, &str); 3] = [
        (
            Box::new(|| sql("CREATE TABLE recipes (name TEXT)")),
            "another program",
        ),
        (
            Box::new(|| sql("CREATE TABLE kv (key); PRAGMA user_version = 7")),
            "format 7, this program reads 1",
        ),
        (
            Box::new(|| std::fs::write(&file, b"not a database".repeat(500)).expect("it can be written")),
            "not a database",
        ),
    ];
    for (make, said) in cases {
        make();
        let before = std::fs::read(&file).expect("it is there");
        // when it is opened as a store
        let error = open(&file).await.map(drop).expect_err("it is not a store");
        // then that is said, and it is as it was
        assert!(
            matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains(said),
            "{error}"
        );
        assert!(error.to_string().contains("state.db"), "{error}");
        assert_eq!(error.code().symbol, "STORE_CORRUPT");
        let after = std::fs::read(&file).expect("it is there");
        // SQLite may note in the header that it keeps a write-ahead log.
        assert_eq!(before.len(), after.len());
        std::fs::remove_file(&file).expect("it can be removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compacted_leaves_the_file_even_if_somebody_always_waits() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let store = Arc::new(open(folder.path()).await.expect("it opens"));
    // Given a long log, and more writers than the store can serve at once
    let mut head = Revision::FIRST;
    for round in 0..60 {
        let txn = (0..100).fold(Txn::new(), |txn, n| {
            txn.put(key(&format!("s/{n}")), format!("{round}"))
        });
        head = commit(&*store, txn).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..64).map(|writer| {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                put(&*store, &format!("s/w/{writer}"), "1").await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    // when it is compacted
    store.compact(head).await.expect("it compacts");
    // then what is compacted goes while they write
    let file = Connection::open(folder.path().join("state.db")).expect("it can be read");
    let end = i64::try_from((head.get() + 1) << 20).expect("it fits");
    let rows = || {
        file.query_row("SELECT count(*) FROM log WHERE id < ?1", [end], |row| {
            row.get::<_, i64>(0)
        })
    };
    eventually("the rows to go", async || {
        (rows().expect("it counts") == 0).then_some(())
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("nobody panics");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compacted_leaves_the_file_while_others_write() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let store = open(folder.path()).await.expect("it opens");
    // Given a log of some thousand rows
    let mut head = Revision::FIRST;
    for round in 0..60 {
        let txn = (0..100).fold(Txn::new(), |txn, n| {
            txn.put(key(&format!("s/{n}")), format!("{round}"))
        });
        head = commit(&store, txn).await;
    }
    let file = Connection::open(folder.path().join("state.db")).expect("it can be read");
    let rows = || {
        file.query_row("SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0))
            .expect("it counts")
    };
    assert_eq!(rows(), 6000);
    // and a watch that has begun to read it, with nothing of it at hand in memory
    drop(store);
    let store = open(folder.path()).await.expect("it opens");
    let mut watch = store.watch(&prefix("s/"), Revision::FIRST);
    let mut told = read_until(&mut watch, Revision::new(2)).await.batches;
    // when all but the last two revisions are compacted, and others write meanwhile
    store
        .compact(Revision::new(head.get() - 2))
        .await
        .expect("it compacts");
    for _ in 0..20 {
        put(&store, "s/other", "1").await;
    }
    // then their rows go, and no others
    eventually("the rows to go", async || (rows() == 2 * 100 + 20).then_some(())).await;
    // and the watch is told that they went, where it is
    let rest = read_until(&mut watch, head).await;
    assert!(rest.compacted);
    told.extend(rest.batches);
    let revisions: Vec<_> = told.iter().map(|(revision, _)| revision.get()).collect();
    assert_eq!(revisions, (2..2 + told.len() as u64).collect::<Vec<_>>());
    // and who watches what is kept has all of it
    let told = read_until(
        &mut store.watch(&prefix("s/"), Revision::new(head.get() - 1)),
        head,
    )
    .await;
    assert_eq!(
        told.batches
            .iter()
            .map(|(_, changes)| changes.len())
            .take(2)
            .collect::<Vec<_>>(),
        [100, 100]
    );
}
