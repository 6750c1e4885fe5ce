//! SQLite on a disk that is full.

use aami_store::{SqliteOptions, SqliteStore, Store, StoreError, Txn, TxnOutcome};
use futures::future::join_all;

use crate::disk::Disk;
use crate::engine::{commit, key, put};

/// Writes until the store takes no more; answers how many it took, and how it refused.
async fn fill(store: &SqliteStore) -> (usize, StoreError) {
    for n in 0..2000 {
        let txn = Txn::new()
            .put(key(&format!("s/{n}/a")), vec![b'x'; 30_000])
            .put(key(&format!("s/{n}/b")), "");
        match store.txn(txn).await {
            Ok(TxnOutcome::Committed(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (n, error),
        }
    }
    panic!("it is never full");
}

/// What was acknowledged is there, what was refused is not.
async fn check(store: &SqliteStore, taken: usize) {
    for n in 0..=taken {
        for part in ["a", "b"] {
            let entry = store
                .get(&key(&format!("s/{n}/{part}")))
                .await
                .expect("reads go on");
            assert_eq!(entry.is_some(), n < taken, "s/{n}/{part} of {taken}");
        }
    }
    assert_eq!(
        store.revision().await.expect("reads go on").get(),
        taken as u64 + 1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_at_its_size_refuses_whole_transactions_and_still_reads() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    // Given a store that may have 4 MiB
    let options = SqliteOptions::default().with_max_pages(1024);
    let store = SqliteStore::open(folder.path(), options).await.expect("it opens");
    // when it is filled
    let (taken, error) = fill(&store).await;
    // then it says so
    assert!(
        taken > 10 && matches!(error, StoreError::DiskFull { .. }),
        "{taken}: {error}"
    );
    assert_eq!(error.code().symbol, "STORE_DISK_FULL");
    check(&store, taken).await;
    // and what still fits is taken, also beside what does not
    let large = (0..20).map(|n| Txn::new().put(key(&format!("s/large/{n}")), vec![b'x'; 60_000]));
    let small = (0..20).map(|n| Txn::new().put(key(&format!("s/small/{n}")), "x"));
    let outcomes = join_all(large.chain(small).map(|txn| store.txn(txn))).await;
    assert!(
        outcomes[..20]
            .iter()
            .all(|outcome| matches!(outcome, Err(StoreError::DiskFull { .. })))
    );
    let fitted = outcomes[20..]
        .iter()
        .filter(|outcome| matches!(outcome, Ok(TxnOutcome::Committed(_))))
        .count();
    assert!(
        fitted > 0,
        "small ones suffered for the large: {:?}",
        outcomes[20]
    );
    // and with more room it goes on
    let head = store.revision().await.expect("it answers");
    drop(store);
    let store = SqliteStore::open(folder.path(), SqliteOptions::default())
        .await
        .expect("it opens");
    assert_eq!(put(&store, "s/more", "1").await, head.next());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_whole_transactions_and_goes_on_when_there_is_room() {
    // Given a disk of 6 MiB, a part of which something else uses
    let Some(disk) = Disk::new("6m") else { return };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 2 * 1024 * 1024]).expect("there is room");
    let store = SqliteStore::open(&disk.path().join("state.db"), SqliteOptions::default())
        .await
        .expect("it opens");
    // when the store fills it
    let (taken, error) = fill(&store).await;
    // then it refuses, and reads on
    assert!(
        taken > 5 && matches!(error, StoreError::DiskFull { .. }),
        "{taken}: {error}"
    );
    check(&store, taken).await;
    // and it goes on as soon as there is room, without being opened again
    std::fs::remove_file(&ballast).expect("it can be removed");
    let head = store.revision().await.expect("it answers");
    assert_eq!(put(&store, "s/more", "1").await, head.next());
    // and after being opened again nothing is lost and nothing refused has come back
    drop(store);
    let store = SqliteStore::open(&disk.path().join("state.db"), SqliteOptions::default())
        .await
        .expect("it opens");
    commit(&store, Txn::new().delete(key("s/more"))).await;
    for n in 0..=taken {
        let entry = store.get(&key(&format!("s/{n}/a"))).await.expect("it answers");
        assert_eq!(entry.is_some(), n < taken, "s/{n}/a of {taken}");
    }
}
