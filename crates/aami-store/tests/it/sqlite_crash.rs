//! SQLite, and the process or the power going away between any two writes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aami_store::{
    Key, PageRequest, Revision, SqliteOptions, SqliteStore, Store, StoreError, Txn, TxnOutcome,
};

use crate::engine::{commit, key, prefix, put};
use crate::model::Model;
use crate::seed::Seed;
use crate::watching::read_until;

/// Tells the child which store to open.
const FOLDER: &str = "AAMI_STORE_TEST_FOLDER";
const WRITERS: usize = 8;
const PARTS: [&str; 3] = ["x", "y", "z"];

fn part(writer: usize, n: u64, part: &str) -> Key {
    key(&format!("s/c/{writer}/{n:06}/{part}"))
}

fn hot(writer: usize) -> Key {
    key(&format!("s/hot/{writer}"))
}

async fn reopen(folder: &Path) -> Arc<SqliteStore> {
    Arc::new(
        SqliteStore::open(folder, SqliteOptions::default())
            .await
            .expect("it opens again"),
    )
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The parent reads to the end of the pipe; one it does not get is one it does not count on.
    let _ = writeln!(out, "\n{line}").and_then(|()| out.flush());
}

/// Not a test of its own: what [`child`] starts. Writes until it is killed, saying each acknowledged
/// transaction.
#[test]
#[ignore = "the child of the crash tests"]
fn child_writes_until_it_is_killed() {
    let folder = std::env::var_os(FOLDER).expect("only the crash tests start it");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let store = reopen(Path::new(&folder)).await;
        say("open");
        let writers = (0..WRITERS).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut last = store.get(&hot(writer)).await.expect("it answers");
                loop {
                    let n = last.as_ref().map_or(0, |entry| number(&entry.value) + 1);
                    let at = last.as_ref().map_or(Revision::ZERO, |entry| entry.mod_revision);
                    let txn = Txn::new()
                        .when_unchanged(hot(writer), at)
                        .put(hot(writer), n.to_string());
                    let txn = PARTS
                        .iter()
                        .fold(txn, |txn, name| txn.put(part(writer, n, name), n.to_string()));
                    let revision = commit(&*store, txn).await;
                    say(&format!("ack {writer} {n} {revision}"));
                    if n % 40 == 39 {
                        store
                            .compact(Revision::new(revision.get() - 50))
                            .await
                            .expect("it compacts");
                    }
                    last = store.get(&hot(writer)).await.expect("it answers");
                }
            })
        });
        futures::future::join_all(writers).await;
    });
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .expect("text")
        .parse()
        .expect("a number")
}

fn child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().expect("we run"))
        .args([
            "--ignored",
            "--exact",
            "sqlite_crash::child_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_kill_9_what_was_acknowledged_is_there_and_the_rest_whole_or_absent() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut seed = Seed::new("kill -9");
    let mut acknowledged = BTreeMap::new();
    for round in 0..30 {
        // Given a process that writes, killed at a moment nobody chose
        let mut child = child(folder.path());
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let kill_after = seed.below(300);
        let mut count = 0;
        for line in lines {
            let line = line.expect("the pipe holds text");
            let words: Vec<_> = line.split(' ').collect();
            if let ["ack", writer, n, revision] = words[..] {
                let parse = |text: &str| text.parse::<u64>().expect("a number");
                acknowledged.insert((parse(writer) as usize, parse(n)), Revision::new(parse(revision)));
                count += 1;
            }
            if count == kill_after && (line == "open" || line.starts_with("ack")) {
                std::thread::sleep(Duration::from_micros(seed.below(3000)));
                child.kill().expect("it can be killed");
            }
        }
        child.wait().expect("it is our child");
        // when the store is opened again
        let store = reopen(folder.path()).await;
        // then it holds what it said it holds
        check(&store, &acknowledged, round).await;
    }
    assert!(
        acknowledged.len() > 100,
        "only {} were written",
        acknowledged.len()
    );
}

async fn check(store: &Arc<SqliteStore>, acknowledged: &BTreeMap<(usize, u64), Revision>, round: usize) {
    let mut there: BTreeMap<(usize, u64), Vec<Revision>> = BTreeMap::new();
    let mut page = store
        .list(&prefix("s/c/"), PageRequest::first(5000))
        .await
        .expect("it can be read");
    loop {
        for entry in &page.entries {
            let parts: Vec<_> = entry.key.segments().collect();
            let (writer, n) = (
                parts[2].parse().expect("a writer"),
                parts[3].parse().expect("a number"),
            );
            there.entry((writer, n)).or_default().push(entry.mod_revision);
        }
        let Some(token) = page.next.take() else { break };
        page = store
            .list(&prefix("s/c/"), PageRequest::after(token, 5000))
            .await
            .expect("it can be read");
    }
    // Each transaction whole: all three keys, at one revision.
    for (which, revisions) in &there {
        assert_eq!(revisions.len(), 3, "round {round}: half of {which:?} is there");
        assert!(
            revisions.iter().all(|revision| *revision == revisions[0]),
            "round {round}: {which:?}"
        );
    }
    for (which, revision) in acknowledged {
        let found = there.get(which).map(|revisions| revisions[0]);
        assert_eq!(
            found,
            Some(*revision),
            "round {round}: {which:?} was acknowledged"
        );
    }
    for writer in 0..WRITERS {
        // Each writer waits for one before it begins the next: none may be missing between them.
        let own = there.range((writer, 0)..(writer + 1, 0)).map(|((_, n), _)| *n);
        let own: Vec<_> = own.collect();
        assert_eq!(
            own,
            (0..own.len() as u64).collect::<Vec<_>>(),
            "round {round}: writer {writer}"
        );
        let last = store
            .get(&hot(writer))
            .await
            .expect("it can be read")
            .map(|entry| number(&entry.value));
        assert_eq!(last, own.last().copied(), "round {round}: writer {writer}");
    }
    // The log that is left has no gap and ends where the store is.
    let head = store.revision().await.expect("it answers");
    assert_eq!(head.get(), 1 + there.len() as u64, "round {round}");
    let from = Revision::new(head.get().saturating_sub(20).max(2));
    if from <= head {
        let told = read_until(&mut store.watch(&prefix("s/"), from), head).await;
        let revisions: Vec<_> = told.batches.iter().map(|(revision, _)| revision.get()).collect();
        assert_eq!(
            revisions,
            (from.get()..=head.get()).collect::<Vec<_>>(),
            "round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_between_any_two_pages_leaves_whole_transactions() {
    // Given a store with transactions of several keys, and a model of each of its moments
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let store = reopen(folder.path()).await;
    let mut model = Model::new();
    let mut seed = Seed::new("power cut");
    for n in 0..40u64 {
        let mut txn = Txn::new().put(key("s/hot"), n.to_string());
        for m in 0..seed.below(4) {
            let size = if seed.chance(15) { 20_000 } else { 30 };
            txn = txn.put(key(&format!("s/{n}/{m}")), vec![n as u8; size]);
        }
        if n > 3 {
            txn = txn.delete(key(&format!("s/{}/0", seed.below(n))));
        }
        assert_eq!(
            store.txn(txn.clone()).await.expect("it is taken"),
            model.txn(&txn)
        );
    }
    // when its files are left as they were after each write of a page, and in the middle of some
    let database = std::fs::read(folder.path().join("state.db")).expect("it is there");
    let log = std::fs::read(folder.path().join("state.db-wal")).expect("it is there");
    let frames = (log.len() - 32) / (24 + 4096);
    assert!(frames > 80, "only {frames} pages were written");
    let cuts = (0..=frames).map(|frame| 32 + frame * (24 + 4096));
    let middles: Vec<_> = (0..40).map(|_| seed.below(log.len() as u64) as usize).collect();
    let mut moments = std::collections::BTreeSet::new();
    for cut in cuts.chain(middles) {
        let cut = cut.min(log.len());
        let copy = tempfile::tempdir().expect("there is room for a folder");
        std::fs::write(copy.path().join("state.db"), &database).expect("it can be written");
        std::fs::write(copy.path().join("state.db-wal"), &log[..cut]).expect("it can be written");
        let store = reopen(copy.path()).await;
        // then the store is at one of its moments, whole
        let head = store.revision().await.expect("it answers");
        assert!(head <= model.revision(), "cut at {cut}");
        let page = store
            .list(&prefix(""), PageRequest::first(5000))
            .await
            .expect("it can be read");
        assert_eq!(
            page.entries,
            model.list(&prefix(""), head),
            "cut at {cut}, revision {head}"
        );
        let told = read_until(&mut store.watch(&prefix(""), Revision::FIRST), head).await;
        let expected = model
            .history
            .iter()
            .filter(|(revision, _)| *revision <= head)
            .cloned();
        assert_eq!(told.batches, expected.collect::<Vec<_>>(), "cut at {cut}");
        moments.insert(head);
    }
    // and every moment was met, the last one with everything that was acknowledged
    assert_eq!(moments.len() as u64, model.revision().get());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_holds_the_folder_until_it_ends() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    // Given a process that has the store open
    let mut child = child(folder.path());
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    assert!(
        lines.any(|line| line.expect("the pipe holds text") == "open"),
        "the child did not open the store"
    );
    // when another opens it
    let refused = SqliteStore::open(folder.path(), SqliteOptions::default()).await;
    // then it is told who has it
    let error = refused.map(drop).expect_err("it is held");
    assert!(
        matches!(error, StoreError::Locked { holder: Some(pid), .. } if pid == child.id()),
        "{error}"
    );
    assert!(
        error.to_string().contains(&format!("process {}", child.id())),
        "{error}"
    );
    assert_eq!(error.code().symbol, "STORE_LOCKED");
    // and when that process is killed, it is free at once
    child.kill().expect("it can be killed");
    child.wait().expect("it is our child");
    let store = reopen(folder.path()).await;
    put(&*store, "s/a", "1").await;
    // and within one process too there is only one at a time
    let error = SqliteStore::open(folder.path(), SqliteOptions::default())
        .await
        .map(drop)
        .expect_err("it is held");
    assert!(
        matches!(error, StoreError::Locked { holder: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    drop(store);
    let store = reopen(folder.path()).await;
    let outcome = store
        .txn(Txn::new().when_absent(key("s/a")))
        .await
        .expect("it answers");
    assert!(matches!(outcome, TxnOutcome::Conflict(_)));
}
