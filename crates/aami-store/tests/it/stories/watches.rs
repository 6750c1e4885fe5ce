//! Watches: every revision once, whole, in order, or a word about the gap.

use std::collections::BTreeMap;
use std::sync::Arc;

use aami_store::{Change, PageRequest, Revision, Store, StoreError, Txn, TxnOutcome};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use tokio::time::timeout;

use crate::engine::{Engine, PATIENCE, commit, key, prefix, put};
use crate::watching::{read_until, started};

/// More revisions than an embedded store keeps at hand.
const MANY: usize = 9_000;

pub(crate) async fn every_revision_is_told_once_under_concurrent_writers(engine: &Engine) {
    const WRITERS: usize = 8;
    const EACH: usize = 60;
    let store = &engine.store;
    // Given writers who each remember what they wrote at which revision
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut wrote = Vec::new();
            for n in 0..EACH {
                let paths = [
                    format!("s/w/{writer}"),
                    format!("s/w/{writer}/{n}"),
                    format!("t/{writer}/{n}"),
                ];
                let txn = paths
                    .iter()
                    .fold(Txn::new(), |txn, path| txn.put(key(path), n.to_string()));
                wrote.push((commit(&*store, txn).await, paths));
            }
            wrote
        })
    });
    let end = Revision::new(1 + (WRITERS * EACH) as u64);
    // when some watch from the beginning, one that keeps breaking off, and one that lists first
    let whole = |of: &'static str| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            read_until(&mut store.watch(&prefix(of), Revision::FIRST), end)
                .await
                .batches
        })
    };
    let breaking = {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let (mut batches, mut from) = (Vec::new(), Revision::FIRST);
            while from <= end {
                let upto = Revision::new(from.get() + 25).min(end);
                batches.extend(
                    read_until(&mut store.watch(&prefix("s/"), from), upto)
                        .await
                        .batches,
                );
                from = batches
                    .last()
                    .map_or(from, |(revision, _): &(Revision, _)| revision.next());
            }
            batches
        })
    };
    let listing = {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let page = store
                .list(&prefix("s/"), PageRequest::first(8000))
                .await
                .expect("a page");
            assert_eq!(page.next, None);
            let told = read_until(&mut store.watch(&prefix("s/"), page.revision.next()), end).await;
            (page, told.batches)
        })
    };
    let watches = [whole("s/"), whole("s/"), breaking];
    let wrote: BTreeMap<_, _> = join_all(writers)
        .await
        .into_iter()
        .flat_map(|wrote| wrote.expect("wrote"))
        .collect();
    assert_eq!(wrote.len(), WRITERS * EACH, "a revision was given twice");
    // then each is told what was written, each revision once and whole
    let keys = |changes: &[Change]| {
        changes
            .iter()
            .map(|change| change.key().to_string())
            .collect::<Vec<_>>()
    };
    let expected: Vec<_> = wrote
        .iter()
        .map(|(at, paths)| (*at, paths[..2].to_vec()))
        .collect();
    for watch in watches {
        let batches = watch.await.expect("nobody panics");
        let told: Vec<_> = batches
            .iter()
            .map(|(at, changes)| (*at, sorted(keys(changes))))
            .collect();
        assert_eq!(told, expected);
    }
    // and a list with the watch after it is the same as all of it
    let (page, after) = listing.await.expect("nobody panics");
    let mut rows: BTreeMap<_, _> = page
        .entries
        .into_iter()
        .map(|entry| (entry.key.clone(), entry))
        .collect();
    for (_, changes) in after {
        for change in changes {
            let Change::Put(entry) = change else {
                panic!("nobody deletes here")
            };
            rows.insert(entry.key.clone(), entry);
        }
    }
    let now = store
        .list(&prefix("s/"), PageRequest::first(8000))
        .await
        .expect("a page");
    assert_eq!(rows.into_values().collect::<Vec<_>>(), now.entries);
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort_unstable();
    keys
}

pub(crate) async fn a_large_revision_is_told_whole(engine: &Engine) {
    // Given revisions of a hundred keys and 1.4 MB each
    const REVISIONS: usize = 12;
    let mut end = Revision::FIRST;
    for round in 0..REVISIONS {
        let txn = (0..100).fold(Txn::new(), |txn, n| {
            txn.put(key(&format!("s/{n}")), vec![round as u8; 14_000])
        });
        end = commit(&*engine.store, txn).await;
    }
    // when they are watched from the first on
    let told = read_until(&mut engine.store.watch(&prefix("s/"), Revision::FIRST), end).await;
    // then each has all its keys, with the value of its round
    assert_eq!(told.batches.len(), REVISIONS);
    for (round, (_, changes)) in told.batches.iter().enumerate() {
        assert_eq!(changes.len(), 100);
        for change in changes {
            let Change::Put(entry) = change else {
                panic!("nobody deletes here")
            };
            assert!(
                entry.value.len() == 14_000 && entry.value[0] == round as u8,
                "{entry:?} in round {round}"
            );
        }
    }
}

/// One revision each, many writers at once.
async fn write_many(store: &Arc<dyn Store>, count: usize) {
    let txns = stream::iter(0..count).map(|n| {
        let store = Arc::clone(store);
        async move {
            store
                .txn(Txn::new().put(key(&format!("s/many/{}", n % 50)), n.to_string()))
                .await
        }
    });
    // A watch that is not read must not hold up a writer.
    let outcomes = timeout(PATIENCE * 2, txns.buffer_unordered(128).collect::<Vec<_>>()).await;
    for outcome in outcomes.expect("nobody waits for a watch") {
        assert!(matches!(outcome, Ok(TxnOutcome::Committed(_))), "{outcome:?}");
    }
}

pub(crate) async fn a_watch_that_slept_catches_up(engine: &Engine) {
    // Given a watch that is begun and then not read
    let mut watch = engine.store.watch(&prefix("s/"), Revision::FIRST);
    put(&*engine.store, "s/first", "").await;
    started(&mut watch).await;
    let before = engine.store.revision().await.expect("the store answers");
    // when far more happens than is kept at hand
    write_many(&engine.store, MANY).await;
    // then it has missed nothing when it is read again
    let end = engine.store.revision().await.expect("the store answers");
    assert_eq!(end.get(), before.get() + MANY as u64);
    let told = read_until(&mut watch, end).await;
    let revisions = told.batches.iter().map(|(revision, _)| revision.get());
    let revisions: Vec<_> = revisions.filter(|at| *at > before.get()).collect();
    assert_eq!(revisions, (before.get() + 1..=end.get()).collect::<Vec<_>>());
}

pub(crate) async fn a_watch_from_before_compaction_is_told_so_and_relists(engine: &Engine) {
    let store = &*engine.store;
    // Given a store that has forgotten its first revisions
    let first = put(store, "s/a", "1").await;
    commit(store, Txn::new().put(key("s/b"), "1").put(key("s/gone"), "1")).await;
    let compacted = commit(store, Txn::new().delete(key("s/gone"))).await;
    let kept = put(store, "s/a", "2").await;
    store.compact(compacted).await.expect("it compacts");
    // when somebody watches from there or before, it is told so at once
    for from in [Revision::ZERO, Revision::FIRST, first, compacted] {
        let told = read_until(&mut store.watch(&prefix("s/"), from), kept).await;
        assert!(told.compacted && told.batches.is_empty(), "from {from}: {told:?}");
    }
    // and who lists anew and watches from the list has everything
    let page = store
        .list(&prefix("s/"), PageRequest::first(10))
        .await
        .expect("a page");
    assert_eq!(
        page.entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect::<Vec<_>>(),
        ["s/a", "s/b"]
    );
    let mut watch = store.watch(&prefix("s/"), page.revision.next());
    let next = put(store, "s/c", "1").await;
    let told = read_until(&mut watch, next).await;
    assert_eq!(
        told.batches
            .iter()
            .map(|(revision, _)| *revision)
            .collect::<Vec<_>>(),
        [next]
    );
    // and what came after the compacted revision can still be watched
    let told = read_until(&mut store.watch(&prefix("s/"), compacted.next()), next).await;
    assert_eq!(
        told.batches
            .iter()
            .map(|(revision, _)| *revision)
            .collect::<Vec<_>>(),
        [kept, next]
    );
    // and compacting to where it is compacted already changes nothing
    store.compact(first).await.expect("it is no error");
    store.compact(compacted).await.expect("it is no error");
}

pub(crate) async fn a_sleeper_overtaken_by_compaction_has_no_silent_gap(engine: &Engine) {
    // Given a watch that is begun and then not read, while much happens and is forgotten
    let mut watch = engine.store.watch(&prefix("s/"), Revision::FIRST);
    put(&*engine.store, "s/first", "").await;
    started(&mut watch).await;
    write_many(&engine.store, MANY).await;
    let head = engine.store.revision().await.expect("the store answers");
    engine.store.compact(head).await.expect("it compacts");
    // when it is read again
    let told = read_until(&mut watch, head).await;
    // then what it tells has no gap, up to the end or up to where it says that there is one
    let revisions: Vec<_> = told.batches.iter().map(|(revision, _)| revision.get()).collect();
    assert!(
        revisions.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{revisions:?}"
    );
    assert!(
        told.compacted || told.last() == head,
        "it told up to {} of {head}",
        told.last()
    );
}

pub(crate) async fn a_bookmark_says_how_far_a_quiet_prefix_has_been_told(engine: &Engine) {
    // Given a watch of a prefix under which nothing happens
    let mut watch = engine.store.watch(&prefix("s/quiet/"), Revision::FIRST);
    // when something happens elsewhere
    let elsewhere = put(&*engine.store, "s/loud", "").await;
    // then it is told that it has missed nothing
    let told = read_until(&mut watch, elsewhere).await;
    assert_eq!((told.last(), told.batches), (elsewhere, vec![]));
}

pub(crate) async fn compacting_what_is_not_made_yet_is_refused(engine: &Engine) {
    let head = put(&*engine.store, "s/a", "1").await;
    let refused = engine
        .store
        .compact(head.next())
        .await
        .expect_err("it is not made yet");
    assert!(
        matches!(refused, StoreError::NotYet { revision, .. } if revision == head),
        "{refused}"
    );
    engine
        .store
        .compact(Revision::ZERO)
        .await
        .expect("nothing is to do");
}
