use std::fs;

use super::*;

fn findings() -> Told {
    Told::Findings { findings: Vec::new() }
}

fn open(path: &Path) -> Spool {
    Spool::open(path, Limits::default(), "fresh").unwrap()
}

fn waiting(spool: &Spool) -> Vec<u64> {
    let mut seqs = Vec::new();
    let mut after = 0;
    while let Some((seq, line)) = spool.after(after) {
        let Up::Report(report) = serde_json::from_str(&line.unwrap()).unwrap() else {
            panic!("a line is a report");
        };
        assert_eq!(report.seq, seq);
        seqs.push(seq);
        after = seq;
    }
    seqs
}

#[test]
fn reports_outlive_the_process_and_keep_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    let mut spool = open(&path);
    for wanted in 1..=3 {
        assert_eq!(spool.push(Timestamp::EPOCH, findings()).unwrap(), wanted);
    }
    // Killed, not closed.
    std::mem::forget(spool);
    let mut spool = Spool::open(&path, Limits::default(), "another").unwrap();
    assert_eq!((spool.id(), waiting(&spool)), ("fresh", vec![1, 2, 3]));
    spool.settle(2).unwrap();
    assert_eq!(waiting(&spool), [3]);
    assert_eq!(spool.push(Timestamp::EPOCH, findings()).unwrap(), 4);
    spool.settle(4).unwrap();
    assert_eq!(open(&path).push(Timestamp::EPOCH, findings()).unwrap(), 5);
}

#[test]
fn a_torn_last_line_is_dropped_wherever_the_power_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    let mut spool = open(&path);
    spool.push(Timestamp::EPOCH, findings()).unwrap();
    let whole = fs::read(&path).unwrap().len();
    spool.push(Timestamp::EPOCH, findings()).unwrap();
    drop(spool);
    let bytes = fs::read(&path).unwrap();
    for cut in whole..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let mut spool = open(&path);
        assert_eq!(waiting(&spool), [1], "cut at {cut}");
        assert_eq!(spool.push(Timestamp::EPOCH, findings()).unwrap(), 2);
        assert_eq!(waiting(&open(&path)), [1, 2], "cut at {cut}");
    }
}

#[test]
fn a_file_that_says_nothing_begins_a_new_numbering() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    for bad in ["", "\n", "{}\n", "\0\0\0\0", "{\"spool\":\"x\",\"next\":"] {
        fs::write(&path, bad).unwrap();
        let spool = open(&path);
        assert_eq!((spool.id(), spool.len()), ("fresh", 0), "{bad:?}");
    }
}

#[test]
fn a_full_spool_drops_the_oldest_and_says_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    let limits = Limits {
        bytes: 1 << 20,
        reports: 8,
    };
    let mut spool = Spool::open(&path, limits, "fresh").unwrap();
    let mut pushed = 0;
    for _ in 0..100 {
        pushed = spool.push(Timestamp::EPOCH, findings()).unwrap();
        assert!(spool.len() <= limits.reports, "{}", spool.len());
    }
    assert_eq!(pushed, 100);
    let seqs = waiting(&spool);
    assert_eq!(seqs.last(), Some(&100));
    let (first, line) = spool.after(0).unwrap();
    let Ok(Up::Report(report)) = serde_json::from_str(&line.unwrap()) else {
        panic!("the first is a report");
    };
    // What was lost and what is there make the whole.
    assert_eq!(report.what, Told::Lost { count: first });
    let mut spool = Spool::open(&path, limits, "another").unwrap();
    assert_eq!(waiting(&spool), seqs);
    assert_eq!(spool.push(Timestamp::EPOCH, findings()).unwrap(), 101);
}

#[test]
fn a_spool_is_no_larger_than_it_may_be_whatever_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    let limits = Limits {
        bytes: 20_000,
        reports: 4096,
    };
    let mut spool = Spool::open(&path, limits, "fresh").unwrap();
    for at in 0..200 {
        let inventory = serde_json::Value::String("x".repeat(1000 + at));
        let sha256 = String::new();
        spool
            .push(Timestamp::EPOCH, Told::Inventory { sha256, inventory })
            .unwrap();
        assert!(spool.bytes() <= limits.bytes);
        assert!(fs::metadata(&path).unwrap().len() <= limits.bytes * 2);
        if at % 3 == 0 {
            spool.settle(at as u64 / 2).unwrap();
        }
    }
    assert!(spool.len() > 5);
}

#[test]
fn one_that_fits_no_frame_is_refused_and_uses_up_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = open(&folder.path().join("reports.jsonl"));
    let inventory = serde_json::Value::String("x".repeat(LARGEST_UP));
    let sha256 = String::new();
    assert!(
        spool
            .push(Timestamp::EPOCH, Told::Inventory { sha256, inventory })
            .is_err()
    );
    assert_eq!(spool.push(Timestamp::EPOCH, findings()).unwrap(), 1);
}

#[test]
fn a_copy_that_was_put_back_counts_on_where_the_original_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reports.jsonl");
    let mut spool = open(&path);
    spool.push(Timestamp::EPOCH, findings()).unwrap();
    spool.settle(70).unwrap();
    drop(spool);
    assert_eq!(open(&path).push(Timestamp::EPOCH, findings()).unwrap(), 71);
}
