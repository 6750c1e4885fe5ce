//! What only a server across a network can do: stop, stand still, be cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aami_store::{Revision, Store, StoreError, Txn, TxnOutcome, open};
use tokio::time::{Instant, timeout};

use crate::engine::{PATIENCE, commit, eventually, key, prefix, put};
use crate::etcd_server::EtcdServer;
use crate::proxy::Proxy;
use crate::seed::Seed;
use crate::watching::{read_until, started};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_off_leaves_the_outcome_unknown_until_it_is_read() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let proxy = Proxy::to(server.port()).await;
    let direct = open(&server.url()).await.expect("etcd answers");
    let store = open(&proxy.url()).await.expect("etcd answers");
    // Given a transaction whose answer gets lost
    proxy.swallow_answers(true);
    let txn = Txn::new()
        .when_absent(key("s/mine"))
        .put(key("s/mine"), "1")
        .put(key("s/too"), "1");
    let sent = {
        let (store, txn) = (Arc::clone(&store), txn.clone());
        tokio::spawn(async move { store.txn(txn).await })
    };
    eventually("etcd to apply it", async || {
        direct.get(&key("s/mine")).await.expect("direct")
    })
    .await;
    proxy.cut();
    // then it is not called a failure
    let outcome = timeout(PATIENCE, sent)
        .await
        .expect("it ends")
        .expect("nobody panics");
    assert_eq!(outcome.expect("it is no error"), TxnOutcome::Unknown);
    // and when the connection is back, its own key says that it was applied, and it is not applied twice
    proxy.swallow_answers(false);
    proxy.cut();
    let entry = store
        .get(&key("s/mine"))
        .await
        .expect("the connection is back")
        .expect("it was applied");
    let TxnOutcome::Conflict(compared) = store.txn(txn).await.expect("the store answers") else {
        panic!("it was applied twice")
    };
    assert_eq!(compared[0].now, Some(entry));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_listens_nothing_was_sent_and_it_says_so() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let store = open(&server.url()).await.expect("etcd answers");
    let head = put(&*store, "s/a", "1").await;
    // Given an etcd that is gone
    server.kill();
    // when something is asked of it
    let begin = Instant::now();
    let refused = store.txn(Txn::new().put(key("s/a"), "2")).await;
    // then it is refused in time, not called unknown
    // (the very first request may still have gone out on the old connection)
    let refused = match refused {
        Ok(TxnOutcome::Unknown) => store.txn(Txn::new().put(key("s/a"), "2")).await,
        other => other,
    };
    let error = refused.expect_err("nobody is there");
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert_eq!(error.code().symbol, "STORE_UNAVAILABLE");
    let (url, known) = (server.url(), key("s/a"));
    let (read, opened) = tokio::join!(store.get(&known), open(&url));
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
    assert!(matches!(opened.map(drop), Err(StoreError::Unavailable { .. })));
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        begin.elapsed()
    );
    // and when it is back, nothing has changed and the same store goes on
    server.run().await;
    let entry = store
        .get(&key("s/a"))
        .await
        .expect("etcd is back")
        .expect("it is there");
    assert_eq!((&entry.value[..], entry.mod_revision), (&b"1"[..], head));
    assert_eq!(put(&*store, "s/a", "3").await, head.next());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_stands_still_is_not_waited_for_without_end() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let store = open(&server.url()).await.expect("etcd answers");
    put(&*store, "s/a", "1").await;
    // Given an etcd that takes requests and answers none
    server.freeze(true);
    // when it is asked
    let begin = Instant::now();
    let txn = Txn::new().put(key("s/b"), "2").put(key("s/c"), "2");
    let known = key("s/a");
    let (outcome, read) = tokio::join!(store.txn(txn), store.get(&known));
    // then the outcome is unknown, a read fails, and neither takes long
    assert_eq!(outcome.expect("it is no error"), TxnOutcome::Unknown);
    assert!(matches!(read, Err(StoreError::Unavailable { .. })), "{read:?}");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "it took {:?}",
        begin.elapsed()
    );
    // and when it goes on, the transaction was applied whole or not at all
    server.freeze(false);
    let is_there = async |path: &str| Some(store.get(&key(path)).await.ok()?.is_some());
    let seen = async || Some((is_there("s/b").await?, is_there("s/c").await?));
    eventually("etcd to answer again", seen).await;
    let after = put(&*store, "s/end", "").await;
    let (b, c) = seen().await.expect("it answers");
    assert_eq!(b, c, "half of it was applied, before {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_outlives_cuts_restarts_and_standstill_without_gap_or_duplicate() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let proxy = Proxy::to(server.port()).await;
    let store = open(&proxy.url()).await.expect("etcd answers");
    // Given a watch from the beginning, and writers who find out what became of each transaction
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| tokio::spawn(write_until(Arc::clone(&store), writer, Arc::clone(&stop))))
        .collect();
    let (ended, end) = tokio::sync::oneshot::channel();
    let watcher = {
        let mut watch = store.watch(&prefix("s/w/"), Revision::FIRST);
        tokio::spawn(async move {
            let mut batches = read_until(&mut watch, Revision::new(50)).await.batches;
            let end: Revision = end.await.expect("the end is said");
            let last = batches.last().map_or(Revision::ZERO, |(revision, _)| *revision);
            if last < end {
                batches.extend(read_until(&mut watch, end).await.batches);
            }
            batches
        })
    };
    let direct = open(&server.url()).await.expect("etcd answers");
    let progress = async |by: u64| {
        let from = eventually("a revision", async || direct.revision().await.ok()).await;
        let moved = async || {
            direct
                .revision()
                .await
                .ok()
                .filter(|now| now.get() >= from.get() + by)
        };
        eventually("the writers to go on", moved).await
    };
    // when it is cut off, killed and started, and frozen
    for _ in 0..8 {
        progress(40).await;
        proxy.cut();
    }
    for _ in 0..2 {
        progress(40).await;
        server.kill();
        server.run().await;
    }
    progress(40).await;
    server.freeze(true);
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.freeze(false);
    proxy.swallow_answers(true);
    proxy.cut();
    proxy.swallow_answers(false);
    proxy.cut();
    progress(40).await;
    stop.store(true, Ordering::SeqCst);
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        acknowledged.extend(
            timeout(PATIENCE, writer)
                .await
                .expect("it ends")
                .expect("nobody panics"),
        );
    }
    // then the watch has told what an undisturbed one tells, each revision once
    let last = put(&*direct, "s/w/end", "").await;
    ended.send(last).expect("the watch listens");
    let told = timeout(PATIENCE, watcher)
        .await
        .expect("it ends")
        .expect("nobody panics");
    let all = read_until(&mut direct.watch(&prefix("s/w/"), Revision::FIRST), last)
        .await
        .batches;
    assert_eq!(told.len(), all.len());
    assert_eq!(told, all);
    // and everything acknowledged is among it, at its revision
    let keys: BTreeMap<_, _> = all
        .iter()
        .flat_map(|(at, changes)| changes.iter().map(|change| (change.key().to_string(), *at)))
        .collect();
    assert!(
        acknowledged.len() > 100,
        "only {} were written",
        acknowledged.len()
    );
    for (path, revision) in acknowledged {
        assert_eq!(keys.get(&path), Some(&revision), "{path}");
    }
}

/// Writes keys nobody else writes, and answers which are there at which revision.
async fn write_until(store: Arc<dyn Store>, writer: u64, stop: Arc<AtomicBool>) -> Vec<(String, Revision)> {
    let mut wrote = Vec::new();
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let path = format!("s/w/{writer}/{n}");
        let txn = Txn::new()
            .when_absent(key(&path))
            .put(key(&path), n.to_string())
            .put(key("s/w/all"), path.clone());
        match store.txn(txn).await {
            Ok(TxnOutcome::Committed(revision)) => wrote.push((path, revision)),
            Ok(TxnOutcome::Conflict(compared)) => panic!("{path} was written by somebody else: {compared:?}"),
            // Nobody else writes this key, so it says what happened, as soon as it can be read. It may
            // still arrive later; then nobody has been told of it.
            Ok(TxnOutcome::Unknown) => {
                let deadline = Instant::now() + PATIENCE;
                let found = loop {
                    match store.get(&key(&path)).await {
                        Ok(found) => break found,
                        Err(error) => assert!(Instant::now() < deadline, "{path} cannot be read: {error}"),
                    }
                };
                wrote.extend(found.map(|entry| (path, entry.mod_revision)));
            }
            Err(StoreError::Unavailable { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    wrote
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_goes_on_without_any_one_of_them() {
    let Some(mut servers) = EtcdServer::start_three().await else {
        return;
    };
    let members: Vec<_> = servers
        .iter()
        .map(|server| format!("127.0.0.1:{}", server.port()))
        .collect();
    let store = open(&format!("etcd://{}", members.join(",")))
        .await
        .expect("etcd answers");
    let mut watch = store.watch(&prefix("s/w/"), Revision::FIRST);
    let mut batches = Vec::new();
    // Given a cluster of which each member is killed in turn, the leader among them
    for (n, server) in servers.iter_mut().enumerate() {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(write_until(Arc::clone(&store), n as u64, Arc::clone(&stop)));
        server.kill();
        // when others write
        let from = eventually("two members to answer", async || store.revision().await.ok()).await;
        let moved = async || {
            store
                .revision()
                .await
                .ok()
                .filter(|now| now.get() > from.get() + 100)
        };
        eventually("the writer to go on", moved).await;
        stop.store(true, Ordering::SeqCst);
        let acknowledged = timeout(PATIENCE, writer)
            .await
            .expect("it ends")
            .expect("nobody panics");
        assert!(
            acknowledged.len() > 50,
            "only {} were written",
            acknowledged.len()
        );
        // then the watch goes on too
        let (_, last) = acknowledged.last().expect("there are some");
        batches.extend(read_until(&mut watch, *last).await.batches);
        server.run().await;
    }
    // and has told everything once
    let last = put(&*store, "s/w/end", "").await;
    batches.extend(read_until(&mut watch, last).await.batches);
    let all = read_until(&mut store.watch(&prefix("s/w/"), Revision::FIRST), last)
        .await
        .batches;
    assert_eq!(batches, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_overtaken_by_compaction_while_it_was_cut_off_is_told_so() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let proxy = Proxy::to(server.port()).await;
    let direct = open(&server.url()).await.expect("etcd answers");
    let store = open(&proxy.url()).await.expect("etcd answers");
    let first = put(&*direct, "s/a", "1").await;
    let mut watch = store.watch(&prefix("s/"), first);
    assert_eq!(read_until(&mut watch, first).await.batches.len(), 1);
    started(&mut watch).await;
    // Given a watch that does not hear what happens
    proxy.swallow_answers(true);
    put(&*direct, "s/a", "2").await;
    let head = put(&*direct, "s/a", "3").await;
    // when that is forgotten before the watch is back
    direct.compact(head).await.expect("it compacts");
    proxy.cut();
    proxy.swallow_answers(false);
    proxy.cut();
    // then it says so instead of leaving it out
    let told = read_until(&mut watch, head).await;
    assert!(told.compacted && told.batches.is_empty(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_revision_of_which_a_part_was_lost_is_told_once_and_whole() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let proxy = Proxy::to(server.port()).await;
    let direct = open(&server.url()).await.expect("etcd answers");
    let store = open(&proxy.url()).await.expect("etcd answers");
    // Given revisions so large that etcd sends them in parts
    let mut end = Revision::FIRST;
    for round in 0..16 {
        let txn = (0..100).fold(Txn::new(), |txn, n| {
            txn.put(key(&format!("s/{n}")), vec![round; 14_000])
        });
        end = commit(&*direct, txn).await;
    }
    // when each connection breaks after a few parts, in the middle of one
    let mut seed = Seed::new("parts");
    let mut watch = store.watch(&prefix("s/"), Revision::FIRST);
    let mut batches = Vec::new();
    for revision in 2..=end.get() {
        proxy.drop_after(4_500_000 + seed.below(3_000_000) as usize);
        if revision.is_multiple_of(3) {
            proxy.cut();
        }
        batches.extend(read_until(&mut watch, Revision::new(revision)).await.batches);
    }
    // then each is told once, with all its keys
    let revisions: Vec<_> = batches.iter().map(|(revision, _)| revision.get()).collect();
    assert_eq!(revisions, (2..=end.get()).collect::<Vec<_>>());
    assert!(batches.iter().all(|(_, changes)| changes.len() == 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_whose_quota_is_used_up_refuses_and_still_reads() {
    let Some(server) = EtcdServer::start_with(&["--quota-backend-bytes", "8388608"]).await else {
        return;
    };
    let store = open(&server.url()).await.expect("etcd answers");
    // Given an etcd that is filled until it takes no more
    let mut acknowledged = Vec::new();
    let error = loop {
        assert!(acknowledged.len() < 100, "it is never full");
        let path = format!("s/{}", acknowledged.len());
        match store.txn(Txn::new().put(key(&path), vec![b'x'; 500_000])).await {
            Ok(TxnOutcome::Committed(_)) => acknowledged.push(path),
            // Full at that very moment: it is there.
            Ok(TxnOutcome::Unknown) => {
                assert!(store.get(&key(&path)).await.expect("reads go on").is_some());
                acknowledged.push(path);
            }
            Ok(TxnOutcome::Conflict(compared)) => panic!("{compared:?}"),
            Err(error) => break error,
        }
    };
    // then it says so
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert_eq!(error.code().symbol, "STORE_DISK_FULL");
    // and what it took is there, and can be removed
    for path in &acknowledged {
        assert!(
            store.get(&key(path)).await.expect("reads go on").is_some(),
            "{path}"
        );
    }
    commit(&*store, Txn::new().delete(key("s/0"))).await;
}
