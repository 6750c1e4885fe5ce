//! Transactions: conflicts, races, all or nothing.

use std::sync::Arc;

use aami_store::{Change, Compare, PageRequest, Revision, Txn, TxnOutcome};
use futures::future::join_all;

use crate::engine::{Engine, commit, key, prefix, put};
use crate::seed::Seed;
use crate::watching::read_until;

pub(crate) async fn a_conflict_shows_every_compared_key_as_it_is(engine: &Engine) {
    // Given a key that was made and then changed
    let store = &*engine.store;
    let made = put(store, "s/a", "1").await;
    let changed = put(store, "s/a", "2").await;
    // when a transaction compares it as it was first, beside a key that holds
    let txn = Txn::new()
        .when_unchanged(key("s/a"), made)
        .when_absent(key("s/b"))
        .when(Compare::Present(key("s/a")));
    let outcome = store
        .txn(txn.put(key("s/b"), "x"))
        .await
        .expect("the store answers");
    // then it is told how both are, each once, in its own order, and nothing was changed
    let TxnOutcome::Conflict(compared) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(compared.len(), 2, "{compared:?}");
    let now = compared[0].now.as_ref().expect("it is there");
    assert_eq!(
        (&now.value[..], now.create_revision, now.mod_revision),
        (&b"2"[..], made, changed)
    );
    assert_eq!((compared[1].key.as_str(), &compared[1].now), ("s/b", &None));
    assert_eq!(store.get(&key("s/b")).await.expect("the store answers"), None);
    assert_eq!(store.revision().await.expect("the store answers"), changed);
}

pub(crate) async fn a_conflict_over_large_values_shows_them_all(engine: &Engine) {
    // Given twelve keys of 1.4 MiB: more than a client of etcd takes at once
    let store = &*engine.store;
    let path = |n: usize| key(&format!("s/large/{n:02}"));
    for n in 0..12 {
        commit(store, Txn::new().put(path(n), vec![n as u8; 1_468_006])).await;
    }
    // when one transaction compares them all and one of them does not hold
    let txn = (0..12)
        .fold(Txn::new(), |txn, n| txn.when(Compare::Present(path(n))))
        .when_absent(path(3));
    let outcome = store
        .txn(txn.put(key("s/b"), "x"))
        .await
        .expect("the store answers");
    // then all of them are shown
    let TxnOutcome::Conflict(compared) = outcome else {
        panic!("{outcome:?}")
    };
    for (n, compared) in compared.iter().enumerate() {
        let now = compared.now.as_ref().expect("it is there");
        assert!(
            now.key == path(n) && now.value.len() == 1_468_006 && now.value[7] == n as u8,
            "{compared:?}"
        );
    }
    assert_eq!(compared.len(), 12);
}

pub(crate) async fn fifty_racing_for_one_key_have_one_winner(engine: &Engine) {
    // Given fifty who want to make the same key
    let racers = (0..50).map(|n| {
        let store = Arc::clone(&engine.store);
        tokio::spawn(async move {
            let txn = Txn::new().when_absent(key("s/one"));
            store
                .txn(
                    txn.put(key("s/one"), n.to_string())
                        .put(key(&format!("s/own/{n}")), ""),
                )
                .await
        })
    });
    // when they all try at once
    let (mut winners, mut losers) = (Vec::new(), 0);
    for (n, outcome) in join_all(racers).await.into_iter().enumerate() {
        match outcome.expect("nobody panics").expect("the store answers") {
            TxnOutcome::Committed(revision) => winners.push((n, revision)),
            TxnOutcome::Conflict(compared) => {
                assert!(compared[0].now.is_some(), "who lost sees who won");
                losers += 1;
            }
            TxnOutcome::Unknown => panic!("nothing was cut off"),
        }
    }
    // then exactly one has it, and left nothing but its own
    assert_eq!((winners.len(), losers), (1, 49));
    let (winner, revision) = winners[0];
    let entry = engine
        .store
        .get(&key("s/one"))
        .await
        .expect("the store answers")
        .expect("it is there");
    assert_eq!(
        (&entry.value[..], entry.mod_revision),
        (winner.to_string().as_bytes(), revision)
    );
    let own = engine
        .store
        .list(&prefix("s/own/"), PageRequest::first(100))
        .await
        .expect("the store answers");
    assert_eq!(own.entries.len(), 1, "{own:?}");
}

pub(crate) async fn several_keys_change_together_or_not_at_all(engine: &Engine) {
    const ACCOUNTS: u64 = 6;
    const TOTAL: u64 = ACCOUNTS * 100;
    let account = |n: u64| key(&format!("s/accounts/{n}"));
    let amount = |value: &[u8]| -> u64 {
        std::str::from_utf8(value)
            .expect("text")
            .parse()
            .expect("a number")
    };
    // Given accounts with the same amount each
    let first = commit(
        &*engine.store,
        (0..ACCOUNTS).fold(Txn::new(), |txn, n| txn.put(account(n), "100")),
    )
    .await;
    // when several move amounts between them, each comparing what it read
    let movers = (0..6).map(|_| {
        let store = Arc::clone(&engine.store);
        tokio::spawn(async move {
            let mut seed = Seed::new("accounts");
            let mut moved = 0;
            for _ in 0..60 {
                let (from, to) = (seed.below(ACCOUNTS), seed.below(ACCOUNTS));
                if from == to {
                    continue;
                }
                let read = async |n| store.get(&account(n)).await;
                let (Some(a), Some(b)) = (read(from).await.expect("read"), read(to).await.expect("read"))
                else {
                    panic!("an account is gone")
                };
                let some = seed.below(amount(&a.value) + 1);
                let txn = Txn::new()
                    .when_unchanged(a.key.clone(), a.mod_revision)
                    .when_unchanged(b.key.clone(), b.mod_revision)
                    .put(a.key.clone(), (amount(&a.value) - some).to_string())
                    .put(b.key.clone(), (amount(&b.value) + some).to_string());
                match store.txn(txn).await.expect("the store answers") {
                    TxnOutcome::Committed(_) => moved += 1,
                    TxnOutcome::Conflict(_) => {}
                    TxnOutcome::Unknown => panic!("nothing was cut off"),
                }
            }
            moved
        })
    });
    let lister = {
        let store = Arc::clone(&engine.store);
        async move {
            for _ in 0..60 {
                let page = store
                    .list(&prefix("s/accounts/"), PageRequest::first(10))
                    .await
                    .expect("a page");
                let sum: u64 = page.entries.iter().map(|entry| amount(&entry.value)).sum();
                // then every list shows them all, and nothing lost or made
                assert_eq!(
                    (page.entries.len() as u64, sum),
                    (ACCOUNTS, TOTAL),
                    "at {}",
                    page.revision
                );
            }
        }
    };
    let (moved, ()) = tokio::join!(join_all(movers), lister);
    let moved: u64 = moved.into_iter().map(|mover| mover.expect("nobody panics")).sum();
    assert!(moved > 0, "nobody moved anything");
    // and so does every revision, and there are as many as there were moves
    let head = engine.store.revision().await.expect("the store answers");
    let told = read_until(&mut engine.store.watch(&prefix("s/accounts/"), first), head).await;
    assert_eq!(told.batches.len() as u64, moved + 1);
    let mut sums = std::collections::BTreeMap::new();
    for (revision, changes) in told.batches {
        for change in changes {
            let Change::Put(entry) = change else {
                panic!("an account was deleted")
            };
            sums.insert(entry.key.clone(), amount(&entry.value));
        }
        assert_eq!(sums.values().sum::<u64>(), TOTAL, "at {revision}");
    }
}

pub(crate) async fn nothing_to_do_makes_no_revision(engine: &Engine) {
    // Given a store with one key
    let store = &*engine.store;
    assert_eq!(
        store.revision().await.expect("the store answers"),
        Revision::FIRST
    );
    let head = put(store, "s/a", "1").await;
    assert_eq!(head, Revision::FIRST.next());
    // when transactions hold but change nothing
    for txn in [
        Txn::new(),
        Txn::new().when_unchanged(key("s/a"), head),
        Txn::new().delete(key("s/none")),
    ] {
        // then they are committed at the present revision
        assert_eq!(
            store.txn(txn).await.expect("the store answers"),
            TxnOutcome::Committed(head)
        );
    }
    assert_eq!(put(store, "s/a", "1").await, head.next());
}

pub(crate) async fn values_and_keys_come_back_as_they_were(engine: &Engine) {
    // Given keys and values of every kind
    let store = &*engine.store;
    let every: Vec<u8> = (0..=255).collect();
    let cases = [
        ("s/empty", vec![]),
        ("s/every", every),
        ("s/ä ü/€'\"%_", b"{}".to_vec()),
        ("t", vec![0]),
    ];
    for (path, value) in &cases {
        let revision = commit(store, Txn::new().put(key(path), value.clone())).await;
        // then they are read back the same
        let entry = store
            .get(&key(path))
            .await
            .expect("the store answers")
            .expect("it is there");
        assert_eq!((entry.key.as_str(), &entry.value[..]), (*path, &value[..]));
        assert_eq!((entry.create_revision, entry.mod_revision), (revision, revision));
    }
    // and listed in the order of their bytes
    let page = store
        .list(&prefix(""), PageRequest::first(10))
        .await
        .expect("the store answers");
    let paths: Vec<_> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(paths, ["s/empty", "s/every", "s/ä ü/€'\"%_", "t"]);
    // and a key that was deleted and made again is a new one
    commit(store, Txn::new().delete(key("t"))).await;
    let again = put(store, "t", "2").await;
    let entry = store
        .get(&key("t"))
        .await
        .expect("the store answers")
        .expect("it is there");
    assert_eq!((entry.create_revision, entry.mod_revision), (again, again));
}
