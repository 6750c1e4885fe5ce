//! History: appended once, read in pages, pruned from the oldest on.

use aami_model::{OrgId, Timestamp};
use aami_store::StoreError;
use aami_store::history::{
    History, HistoryQuery, Keep, Kind, MOST_APPENDED, MemoryHistory, Reading, Record, SqliteHistory,
};

fn record(kind: Kind, seq: u64) -> Record {
    Record {
        kind,
        seq,
        at: Timestamp::from_millis(i64::try_from(seq).expect("small") * 1000),
        org: org(if seq.is_multiple_of(3) { "other" } else { "default" }),
        subject: format!("n{}", seq % 4),
        json: format!("{{\"seq\":{seq},\"name\":\"ä\"}}").into(),
    }
}

fn org(name: &str) -> OrgId {
    name.parse().expect("it is an id")
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

async fn all(history: &dyn History, mut query: HistoryQuery) -> Vec<Record> {
    let mut records = Vec::new();
    loop {
        let page = history.read(query.clone()).await.expect("it answers");
        assert!(page.records.len() <= query.limit);
        records.extend(page.records);
        let Some(next) = page.next else { return records };
        query.reading = next;
    }
}

async fn appended_records_come_back_in_order_and_once(history: &dyn History) {
    // Given records with gaps between their numbers, appended in pieces that overlap
    let numbers: Vec<u64> = (1..=300).map(|n| n * 7).collect();
    let records = |from: usize, to: usize| {
        numbers[from..to]
            .iter()
            .map(|n| record(Kind::Event, *n))
            .collect()
    };
    assert_eq!(history.append(records(0, 200)).await.expect("it is taken"), 200);
    assert_eq!(history.append(records(100, 300)).await.expect("it is taken"), 100);
    // when one that is known is appended with other words
    let mut changed = record(Kind::Event, 7);
    changed.json = "{}".into();
    assert_eq!(
        history
            .append(vec![changed, record(Kind::Audit, 7)])
            .await
            .expect("it is taken"),
        1
    );
    // then it stays what it was, and the kinds do not mix
    let read = all(history, HistoryQuery::new(Kind::Event, Reading::After(0), 37)).await;
    assert_eq!(
        read,
        numbers
            .iter()
            .map(|n| record(Kind::Event, *n))
            .collect::<Vec<_>>()
    );
    assert_eq!(history.last(Kind::Event).await.expect("it answers"), Some(2100));
    assert_eq!(history.last(Kind::Audit).await.expect("it answers"), Some(7));
    assert_eq!(history.last(Kind::Delivery).await.expect("it answers"), None);
    // and the newest come first where that is asked
    let newest = history
        .read(HistoryQuery::new(Kind::Event, Reading::Before(u64::MAX), 3))
        .await
        .expect("a page");
    assert_eq!(
        (seqs(&newest.records), newest.next),
        (vec![2100, 2093, 2086], Some(Reading::Before(2086)))
    );
    let backwards = all(history, HistoryQuery::new(Kind::Event, Reading::Before(100), 4)).await;
    assert_eq!(
        seqs(&backwards),
        (1..=14).rev().map(|n| n * 7).collect::<Vec<_>>()
    );
    let after = history
        .read(HistoryQuery::new(Kind::Event, Reading::After(2100), 9))
        .await
        .expect("a page");
    assert_eq!((after.records.len(), after.next), (0, None));
}

async fn only_what_is_asked_for_is_read(history: &dyn History) {
    // Given records of two organisations about four subjects
    history
        .append((1..=120).map(|n| record(Kind::Audit, n)).collect())
        .await
        .expect("it is taken");
    let query = || HistoryQuery::new(Kind::Audit, Reading::After(0), 7);
    let expect = |keep: fn(&u64) -> bool| (1..=120).filter(keep).collect::<Vec<u64>>();
    // then a filter holds for every page
    let of = |orgs: &[&str]| query().of(orgs.iter().map(|name| org(name)).collect());
    assert_eq!(seqs(&all(history, of(&["other"])).await), expect(|n| n % 3 == 0));
    assert_eq!(
        seqs(&all(history, of(&["other", "default"])).await),
        expect(|_| true)
    );
    assert_eq!(seqs(&all(history, of(&["nobody"])).await), expect(|_| false));
    // and no organisation is not every organisation
    assert_eq!(seqs(&all(history, of(&[])).await), expect(|_| false));
    assert_eq!(
        seqs(&all(history, query().about("n1")).await),
        expect(|n| n % 4 == 1)
    );
    assert_eq!(
        seqs(&all(history, of(&["other"]).about("n1")).await),
        expect(|n| n % 4 == 1 && n % 3 == 0)
    );
    assert_eq!(
        seqs(&all(history, query().about("n1' OR '1'='1")).await),
        expect(|_| false)
    );
}

async fn pruning_takes_the_oldest_and_says_how_far(history: &dyn History) {
    // Given three thousand records
    for n in 0..3u64 {
        history
            .append(
                (n * 1000 + 1..=n * 1000 + 1000)
                    .map(|n| record(Kind::Event, n))
                    .collect(),
            )
            .await
            .expect("taken");
    }
    history
        .append(vec![record(Kind::Delivery, 1)])
        .await
        .expect("it is taken");
    let read = async || {
        history
            .read(HistoryQuery::new(Kind::Event, Reading::After(0), 1))
            .await
            .expect("a page")
    };
    assert_eq!(read().await.pruned, 0);
    // when those before a point in time are pruned
    let keep = Keep {
        since: Some(Timestamp::from_millis(1_500_000)),
        newest: None,
    };
    assert_eq!(history.prune(Kind::Event, keep).await.expect("it prunes"), 1499);
    // then the first that is left is the first that is young enough, and a reader can tell what it missed
    assert_eq!(
        (seqs(&read().await.records), read().await.pruned),
        (vec![1500], 1499)
    );
    // and by number
    let keep = Keep {
        since: None,
        newest: Some(100),
    };
    assert_eq!(history.prune(Kind::Event, keep).await.expect("it prunes"), 1401);
    assert_eq!(
        (seqs(&read().await.records), read().await.pruned),
        (vec![2901], 2900)
    );
    // and what was pruned does not come back, what is new does
    let again = vec![
        record(Kind::Event, 2900),
        record(Kind::Event, 2901),
        record(Kind::Event, 3001),
    ];
    assert_eq!(history.append(again).await.expect("it is taken"), 1);
    // and keeping everything removes nothing, of another kind neither
    assert_eq!(
        history
            .prune(Kind::Event, Keep::default())
            .await
            .expect("it prunes"),
        0
    );
    assert_eq!(history.last(Kind::Delivery).await.expect("it answers"), Some(1));
}

async fn what_is_too_much_is_refused(history: &dyn History) {
    let many = (1..=MOST_APPENDED as u64 + 1)
        .map(|n| record(Kind::Event, n))
        .collect();
    let error = history.append(many).await.expect_err("it is too many");
    assert!(
        matches!(error, StoreError::Limit { what: "records", .. }),
        "{error}"
    );
    let mut large = record(Kind::StepLog, 1);
    large.json = vec![b' '; 600 * 1024].into();
    let error = history
        .append(vec![record(Kind::StepLog, 2), large])
        .await
        .expect_err("it is too large");
    assert!(
        matches!(
            error,
            StoreError::Limit {
                what: "bytes in one record",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        history.last(Kind::StepLog).await.expect("it answers"),
        None,
        "all or none"
    );
}

async fn what_never_came_is_noted_and_what_is_here_stays(history: &dyn History) {
    // Given a history that ends before others have copied more
    let reached = async || history.reached(Kind::Event).await.expect("it answers");
    assert_eq!(reached().await, 0);
    history
        .append((1..=3).map(|n| record(Kind::Event, n)).collect())
        .await
        .expect("it is taken");
    assert_eq!(reached().await, 3);
    // when that is noted,
    history.lack(Kind::Event, 9).await.expect("it is noted");
    // then readers are told, what is here stays, and what follows is taken;
    history
        .append(vec![record(Kind::Event, 10)])
        .await
        .expect("it is taken");
    let query = HistoryQuery::new(Kind::Event, Reading::After(0), 100);
    let page = history.read(query.clone()).await.expect("a page");
    assert_eq!((seqs(&page.records), page.pruned), (vec![1, 2, 3, 10], 9));
    assert_eq!(reached().await, 10);
    // the other kinds lack nothing; and what is pruned from before it is no less noted.
    assert_eq!(history.reached(Kind::Audit).await.expect("it answers"), 0);
    let keep = Keep {
        since: None,
        newest: Some(2),
    };
    assert_eq!(history.prune(Kind::Event, keep).await.expect("it prunes"), 2);
    history.lack(Kind::Event, 4).await.expect("it is noted");
    let page = history.read(query).await.expect("a page");
    assert_eq!((seqs(&page.records), page.pruned), (vec![3, 10], 9));
}

macro_rules! both {
    ($($story:ident)+) => {
        mod memory { $(
            #[tokio::test]
            async fn $story() {
                super::$story(&super::MemoryHistory::new()).await;
            }
        )+ }
        mod sqlite { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                let folder = tempfile::tempdir().expect("there is room for a folder");
                let history = super::SqliteHistory::open(&folder.path().join("history.db")).await;
                super::$story(&history.expect("it opens")).await;
            }
        )+ }
    };
}

both! {
    appended_records_come_back_in_order_and_once
    only_what_is_asked_for_is_read
    pruning_takes_the_oldest_and_says_how_far
    what_is_too_much_is_refused
    what_never_came_is_noted_and_what_is_here_stays
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_opened_again_is_the_same() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("history.db");
    let history = SqliteHistory::open(&path).await.expect("it opens");
    history
        .append((1..=10).map(|n| record(Kind::Event, n)).collect())
        .await
        .expect("it is taken");
    history
        .prune(
            Kind::Event,
            Keep {
                since: None,
                newest: Some(4),
            },
        )
        .await
        .expect("it prunes");
    drop(history);
    let history = SqliteHistory::open(&path).await.expect("it opens");
    let page = history
        .read(HistoryQuery::new(Kind::Event, Reading::After(0), 100))
        .await
        .expect("a page");
    assert_eq!((seqs(&page.records), page.pruned), (vec![7, 8, 9, 10], 6));
}
