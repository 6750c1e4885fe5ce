//! SQLite on a disk that fails in the middle of a commit.

use std::path::Path;
use std::process::{Command, Stdio};

use aami_store::{Revision, SqliteOptions, SqliteStore, Store, StoreError, Txn, TxnOutcome, WatchEvent};
use futures::StreamExt;
use tokio::time::timeout;

use crate::engine::{PATIENCE, key, prefix};

/// Tells the child which store to open.
const FOLDER: &str = "AAMI_STORE_TEST_FOLDER";

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, SqliteOptions::default())
        .await
        .expect("it opens")
}

fn txn(n: u64) -> Txn {
    Txn::new()
        .put(key(&format!("s/{n}/a")), vec![b'x'; 10_000])
        .put(key(&format!("s/{n}/b")), "")
}

/// Not a test of its own: what the one below starts, where no file may grow beyond a size.
#[test]
#[ignore = "the child of the failing disk test"]
fn child_writes_until_the_disk_fails() {
    let folder = std::env::var_os(FOLDER).expect("only the test starts it");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        // Given a store whose disk takes only so much, and a watch
        let store = open(Path::new(&folder)).await;
        let mut watch = store.watch(&prefix("s/"), Revision::FIRST);
        let mut taken = 0;
        let outcome = loop {
            match store.txn(txn(taken)).await {
                Ok(TxnOutcome::Committed(_)) => taken += 1,
                other => break other,
            }
            assert!(taken < 1000, "the disk never fails");
        };
        // when a commit fails, then its outcome is not guessed
        assert!(matches!(outcome, Ok(TxnOutcome::Unknown)), "{outcome:?}");
        // and nothing more is written, for nobody knows what the disk holds
        let error = store
            .txn(Txn::new().put(key("s/small"), ""))
            .await
            .expect_err("it is closed for writing");
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        // and reads go on
        assert!(store.get(&key("s/0/a")).await.expect("reads go on").is_some());
        assert_eq!(store.revision().await.expect("reads go on").get(), taken + 1);
        // and the watch tells what was committed and ends
        let mut told = 0;
        while let Some(event) = timeout(PATIENCE, watch.next()).await.expect("it is not silent") {
            told += u64::from(matches!(event, WatchEvent::Batch { .. }));
        }
        assert!(told <= taken, "it told {told} of {taken}");
        println!("\ntaken {taken}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_is_unknown_and_the_store_takes_no_more_until_it_is_opened_again() {
    // Given a process whose files may have 400 blocks, and which is not killed for wanting more
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("we run"))
        .args([
            "--ignored",
            "--exact",
            "sqlite_failing::child_writes_until_the_disk_fails",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("the child starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let taken = said
        .lines()
        .find_map(|line| line.strip_prefix("taken "))
        .expect("it says how many");
    let taken: u64 = taken.parse().expect("a number");
    // when its store is opened where there is room
    let store = open(folder.path()).await;
    // then what it took is there, and the one of which nothing is known whole or absent
    for n in 0..taken {
        assert!(
            store
                .get(&key(&format!("s/{n}/a")))
                .await
                .expect("it answers")
                .is_some(),
            "{n} of {taken}"
        );
    }
    let half = |part: &str| key(&format!("s/{taken}/{part}"));
    let (a, b) = (
        store.get(&half("a")).await.expect("it answers"),
        store.get(&half("b")).await.expect("it answers"),
    );
    assert_eq!(a.is_some(), b.is_some());
    let next = store.txn(txn(taken + 1)).await.expect("it is open for writing");
    assert!(matches!(next, TxnOutcome::Committed(_)), "{next:?}");
}
