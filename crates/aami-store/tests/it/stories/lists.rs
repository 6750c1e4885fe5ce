//! Lists: in pages, of one moment.

use std::sync::Arc;

use aami_store::{Change, Entry, Limits, PageRequest, PageToken, Prefix, Revision, StoreError, Txn};

use crate::engine::{Engine, commit, key, prefix, put};
use crate::seed::Seed;

async fn all(engine: &Engine, prefix: &Prefix, limit: usize) -> (Vec<Vec<Entry>>, Revision) {
    let mut page = engine
        .store
        .list(prefix, PageRequest::first(limit))
        .await
        .expect("the store answers");
    let (revision, mut pages) = (page.revision, vec![page.entries]);
    while let Some(token) = page.next.take() {
        page = engine
            .store
            .list(prefix, PageRequest::after(token, limit))
            .await
            .expect("the store answers");
        assert_eq!(page.revision, revision);
        assert!(page.entries.len() <= limit);
        pages.push(page.entries);
    }
    (pages, revision)
}

pub(crate) async fn all_pages_of_a_list_show_one_moment(engine: &Engine) {
    const KEYS: u64 = 200;
    let path = |n: u64| key(&format!("s/many/{n:03}"));
    // Given keys that all have the same value, changed together again and again, some removed
    let change = move |round: u64| {
        (0..KEYS / 2).fold(Txn::new(), move |txn, n| {
            let kept = n * 2 + round % 2;
            if n % 5 == 0 {
                txn.delete(path(kept))
            } else {
                txn.put(path(kept), round.to_string())
            }
        })
    };
    let start = (0..KEYS).map(|n| Txn::new().put(path(n), "start"));
    for txn in start {
        commit(&*engine.store, txn).await;
    }
    let store = Arc::clone(&engine.store);
    let changing = tokio::spawn(async move {
        for round in 0..40 {
            let txn = change(round)
                .put(key("s/zzz"), "")
                .put(key("s/aaa"), round.to_string());
            commit(&*store, txn).await;
        }
    });
    // when lists are read meanwhile, in small pages
    let mut seed = Seed::new("lists");
    let mut lists = Vec::new();
    while !changing.is_finished() || lists.len() < 3 {
        let (pages, revision) = all(engine, &prefix("s/many/"), 7 + seed.below(30) as usize).await;
        let entries: Vec<_> = pages.concat();
        // then no entry is younger than the list
        assert!(
            entries.iter().all(|entry| entry.mod_revision <= revision),
            "at {revision}"
        );
        lists.push((revision, entries));
    }
    changing.await.expect("nobody panics");
    // and each list is what the watch says was there at its revision
    let head = engine.store.revision().await.expect("the store answers");
    let mut watch = engine.store.watch(&prefix("s/many/"), Revision::FIRST);
    let told = crate::watching::read_until(&mut watch, told_last(engine).await.min(head)).await;
    for (revision, entries) in lists {
        let mut rows = std::collections::BTreeMap::new();
        for (_, changes) in told.batches.iter().take_while(|(at, _)| *at <= revision) {
            for change in changes {
                match change {
                    Change::Put(entry) => rows.insert(entry.key.clone(), entry.clone()),
                    Change::Delete(key) => rows.remove(key),
                };
            }
        }
        assert_eq!(entries, rows.into_values().collect::<Vec<_>>(), "at {revision}");
    }
}

/// The last revision that changed what is listed.
async fn told_last(engine: &Engine) -> Revision {
    let entry = engine.store.get(&key("s/zzz")).await.expect("the store answers");
    entry.expect("it is put with every change").mod_revision
}

pub(crate) async fn a_list_that_was_compacted_starts_again(engine: &Engine) {
    // Given a list of which one page is read
    for n in 0..5 {
        put(&*engine.store, &format!("s/{n}"), "1").await;
    }
    let page = engine
        .store
        .list(&prefix("s/"), PageRequest::first(2))
        .await
        .expect("the store answers");
    let token = page.next.expect("there is more");
    // when the store goes on, and forgets
    put(&*engine.store, "s/4", "2").await;
    let head = put(&*engine.store, "s/5", "2").await;
    engine.store.compact(page.revision).await.expect("it compacts");
    let same = engine
        .store
        .list(&prefix("s/"), PageRequest::after(token.clone(), 9))
        .await;
    // then the moment that is compacted to can still be read, one before it not
    let same = same.expect("the moment itself is kept");
    assert_eq!(
        same.entries
            .iter()
            .map(|entry| &entry.value[..])
            .collect::<Vec<_>>(),
        [b"1", b"1", b"1"]
    );
    engine.store.compact(head).await.expect("it compacts");
    let error = engine
        .store
        .list(&prefix("s/"), PageRequest::after(token, 9))
        .await
        .expect_err("it is forgotten");
    assert!(
        matches!(error, StoreError::Compacted { asked } if asked == page.revision),
        "{error}"
    );
    // and a moment that is not made yet, as after a restore, is refused as well
    let ahead = PageToken::new(Revision::new(head.get() + 10), key("s/0"));
    let error = engine
        .store
        .list(&prefix("s/"), PageRequest::after(ahead, 9))
        .await
        .expect_err("it is ahead");
    assert!(matches!(error, StoreError::Compacted { .. }), "{error}");
    // and a list from the start shows what is now
    let (pages, _) = all(engine, &prefix("s/"), 4).await;
    assert_eq!(pages.concat().len(), 6);
}

pub(crate) async fn pages_of_large_values_stay_small(engine: &Engine) {
    // Given twenty values of 900 kB
    for n in 0..20u8 {
        commit(
            &*engine.store,
            Txn::new().put(key(&format!("s/large/{n:02}")), vec![n; 900_000]),
        )
        .await;
    }
    // when they are listed as if they were small
    let (pages, _) = all(engine, &prefix("s/large/"), 1000).await;
    // then no page is larger than the store says
    for page in &pages {
        let bytes: usize = page.iter().map(|entry| entry.value.len()).sum();
        assert!(
            page.len() == 1 || bytes <= Limits::ETCD.page_bytes,
            "{} entries, {bytes} bytes",
            page.len()
        );
    }
    // and all are there
    let values: Vec<u8> = pages.concat().iter().map(|entry| entry.value[899_999]).collect();
    assert_eq!(values, (0..20).collect::<Vec<u8>>());
}
