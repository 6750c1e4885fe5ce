//! etcd's limits, on every backend.

use aami_store::{Limits, StoreError, Txn};

use crate::engine::{Engine, commit, key};

fn path(n: usize) -> aami_store::Key {
    key(&format!("s/limits/{n:03}"))
}

/// As many puts as there may be, of this size in all.
fn of_size(bytes: usize, store: &Limits) -> Txn {
    let frame = store.operations * (path(0).as_str().len() + Limits::OVERHEAD);
    let (each, rest) = (
        (bytes - frame) / store.operations,
        (bytes - frame) % store.operations,
    );
    let txn = (0..store.operations).fold(Txn::new(), |txn, n| {
        txn.put(path(n), vec![b'x'; if n == 0 { each + rest } else { each }])
    });
    assert_eq!(txn.size(), bytes);
    txn
}

pub(crate) async fn a_transaction_at_the_limit_is_taken_and_one_beyond_is_not(engine: &Engine) {
    let store = &*engine.store;
    let limits = store.limits();
    assert_eq!(
        (limits.request_bytes, limits.compares, limits.operations),
        (1536 * 1024, 128, 128)
    );
    // Given transactions of exactly the size that is allowed, of many keys and of one
    let alone = limits.request_bytes - path(0).as_str().len() - Limits::OVERHEAD;
    for txn in [
        of_size(limits.request_bytes, &limits),
        Txn::new().put(path(0), vec![b'y'; alone]),
    ] {
        // then they are taken
        commit(store, txn).await;
    }
    // and one byte more is refused, and changes nothing
    let head = store.revision().await.expect("the store answers");
    let refused = store
        .txn(of_size(limits.request_bytes + 1, &limits))
        .await
        .expect_err("it is too large");
    assert!(
        matches!(refused, StoreError::Limit { what: "bytes", .. }),
        "{refused}"
    );
    assert_eq!(refused.code().symbol, "STORE_LIMIT");
    assert_eq!(store.revision().await.expect("the store answers"), head);
}

pub(crate) async fn too_many_compares_operations_or_one_key_twice_are_refused(engine: &Engine) {
    let store = &*engine.store;
    // Given as many compares and operations as there may be
    let compares = |count| (0..count).fold(Txn::new(), |txn, n| txn.when_absent(path(n)));
    let full = (0..128).fold(compares(128), |txn, n| txn.put(path(n), ""));
    // then they are taken
    let head = commit(store, full.clone()).await;
    // and one more of either, or a key that is changed twice, is refused
    for (txn, said) in [
        (compares(129), "129 compares"),
        (
            (0..129).fold(Txn::new(), |txn, n| txn.delete(path(n))),
            "129 operations",
        ),
        (Txn::new().put(path(1), "a").delete(path(1)), "s/limits/001 twice"),
        (
            Txn::new().put(path(1), "a").put(path(2), "").put(path(1), "a"),
            "s/limits/001 twice",
        ),
    ] {
        let refused = store.txn(txn).await.expect_err("it is refused");
        assert!(refused.to_string().contains(said), "{refused}");
        assert_eq!(refused.code().symbol, "STORE_LIMIT");
    }
    assert_eq!(store.revision().await.expect("the store answers"), head);
}
