//! Leases: what goes with them, and when.

use std::time::Duration;

use aami_store::{Change, LeaseId, StoreError, Txn};
use tokio::time::Instant;

use crate::engine::{Engine, commit, eventually, key, prefix, put};
use crate::watching::{read_until, started};

/// As short as etcd grants.
const SHORT: Duration = Duration::from_secs(2);

pub(crate) async fn what_a_lease_holds_goes_with_it_in_one_revision(engine: &Engine) {
    let store = &*engine.store;
    // Given keys on a lease, and one that is not
    for revoked in [true, false] {
        let lease = store.grant(SHORT).await.expect("it is granted");
        assert!(lease.ttl >= SHORT, "{lease:?}");
        let txn = Txn::new()
            .put_leased(key("s/a"), "1", lease.id)
            .put_leased(key("s/b"), "1", lease.id);
        let head = commit(store, txn.put(key("s/stays"), "1")).await;
        let mut watch = store.watch(&prefix("s/"), head.next());
        started(&mut watch).await;
        // when it ends, by word or by time
        if revoked {
            store.revoke(lease.id).await.expect("it is revoked");
            assert_eq!(
                store.get(&key("s/a")).await.expect("the store answers"),
                None,
                "it is gone at once"
            );
        }
        // then its keys go in one revision, as any other
        let told = read_until(&mut watch, head.next()).await;
        let (revision, mut changes) = told.batches.into_iter().next().expect("it is told");
        changes.sort_by(|a, b| a.key().cmp(b.key()));
        assert_eq!(
            (revision, changes),
            (
                head.next(),
                vec![Change::Delete(key("s/a")), Change::Delete(key("s/b"))]
            )
        );
        assert!(
            store
                .get(&key("s/stays"))
                .await
                .expect("the store answers")
                .is_some()
        );
        // and ending it again is no error
        store.revoke(lease.id).await.expect("it is over already");
    }
}

pub(crate) async fn a_lease_kept_alive_outlives_its_time(engine: &Engine) {
    let store = &*engine.store;
    // Given a key on a lease
    let lease = store.grant(SHORT).await.expect("it is granted");
    commit(store, Txn::new().put_leased(key("s/a"), "1", lease.id)).await;
    // when the lease is kept alive for twice its time
    let begin = Instant::now();
    while begin.elapsed() < lease.ttl * 2 {
        store.keep_alive(lease.id).await.expect("it lives");
        // then the key is there all the while
        assert!(store.get(&key("s/a")).await.expect("the store answers").is_some());
        tokio::time::sleep(lease.ttl / 10).await;
    }
    // and goes when that ends, but not before the time is over
    let last = Instant::now();
    store.keep_alive(lease.id).await.expect("it lives");
    let gone = async || {
        store
            .get(&key("s/a"))
            .await
            .expect("the store answers")
            .is_none()
            .then_some(())
    };
    eventually("the key to go with its lease", gone).await;
    assert!(
        last.elapsed() >= lease.ttl,
        "it went after {:?} of {:?}",
        last.elapsed(),
        lease.ttl
    );
    let over = store.keep_alive(lease.id).await.expect_err("it is over");
    assert!(matches!(over, StoreError::LeaseEnded { .. }), "{over}");
}

pub(crate) async fn a_put_without_the_lease_takes_the_key_off_it(engine: &Engine) {
    let store = &*engine.store;
    // Given two keys on a lease, one of which is put again without it, and one moved to another
    let [one, two] =
        [store.grant(SHORT).await, store.grant(SHORT).await].map(|lease| lease.expect("granted").id);
    for path in ["s/plain", "s/moved", "s/goes"] {
        commit(store, Txn::new().put_leased(key(path), "1", one)).await;
    }
    put(store, "s/plain", "2").await;
    commit(store, Txn::new().put_leased(key("s/moved"), "2", two)).await;
    // when the lease ends
    store.revoke(one).await.expect("it is revoked");
    // then only what is still on it goes
    let mut there = Vec::new();
    for path in ["s/plain", "s/moved", "s/goes"] {
        there.push(store.get(&key(path)).await.expect("the store answers").is_some());
    }
    assert_eq!(there, [true, true, false]);
    store.revoke(two).await.expect("it is revoked");
    assert_eq!(store.get(&key("s/moved")).await.expect("the store answers"), None);
}

pub(crate) async fn nothing_is_put_on_a_lease_that_is_over(engine: &Engine) {
    let store = &*engine.store;
    // Given a lease that is over
    let lease: LeaseId = store.grant(SHORT).await.expect("it is granted").id;
    store.revoke(lease).await.expect("it is revoked");
    let head = store.revision().await.expect("the store answers");
    // when a transaction puts a key on it, and another without
    let txn = Txn::new().put(key("s/a"), "1").put_leased(key("s/b"), "1", lease);
    let refused = store.txn(txn).await.expect_err("there is no such lease");
    // then it is refused whole
    assert!(
        matches!(refused, StoreError::LeaseEnded { lease: named } if named == lease),
        "{refused}"
    );
    assert_eq!(store.get(&key("s/a")).await.expect("the store answers"), None);
    assert_eq!(store.revision().await.expect("the store answers"), head);
}
