//! A log of many kinds of line, and the table of what each of them is.

use aami_model::finding::Severity;
use aami_xid::kmsg::Record;
use aami_xid::{Event, Kind};

const LOG: &str = include_str!("../fixtures/xid_dmesg.txt");
const EXPECTED: &str = include_str!("../fixtures/xid_dmesg.expected.tsv");
const RECORDS: &[u8] = include_bytes!("../fixtures/kmsg_raw.txt");

/// The messages of a log with the number of their first line; what has no time of its own continues the one before.
fn messages(log: &str) -> Vec<(usize, String)> {
    let mut messages: Vec<(usize, String)> = Vec::new();
    for (at, line) in log.lines().enumerate() {
        match messages.last_mut() {
            Some((_, message)) if !line.starts_with('[') => {
                message.push('\n');
                message.push_str(line.trim_start());
            }
            _ => messages.push((at + 1, line.to_owned())),
        }
    }
    messages
}

/// An event as a row of the table, all columns but the remark.
fn row(line: usize, event: &Event) -> String {
    let (kind, code) = match event.kind {
        Kind::Xid { code, .. } => ("xid", code.to_string()),
        Kind::Sxid { code, .. } => ("sxid", code.to_string()),
        Kind::BusLost => ("bus_lost", String::new()),
    };
    let two = |number: u32| format!("{number:02}");
    let mig = event.mig;
    let process = event.process.as_ref();
    // The driver prints the function in some forms and not in others.
    let pci = match event.kind {
        Kind::BusLost => event.pci.device().to_string(),
        Kind::Xid { .. } | Kind::Sxid { .. } => event.pci.to_string(),
    };
    [
        line.to_string(),
        kind.to_owned(),
        pci,
        mig.map(|mig| two(mig.gpu_instance)).unwrap_or_default(),
        mig.and_then(|mig| mig.compute_instance)
            .map(two)
            .unwrap_or_default(),
        code,
        process.map(|process| process.pid.to_string()).unwrap_or_default(),
        process
            .and_then(|process| process.name.clone())
            .unwrap_or_default(),
    ]
    .join("\t")
}

#[test]
fn every_line_of_a_log_is_told_as_the_table_says() {
    let expected: Vec<String> = EXPECTED
        .lines()
        .skip(1)
        .map(|line| line.split('\t').take(8).collect::<Vec<_>>().join("\t"))
        .collect();
    let told: Vec<String> = messages(LOG)
        .iter()
        .filter_map(|(line, message)| Some(row(*line, &Event::of_line(message)?)))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn what_the_lines_say_beside_the_code_is_known() {
    let told = |number: usize| {
        let all = messages(LOG);
        let (_, message) = all.iter().find(|(line, _)| *line == number).unwrap();
        Event::of_line(message).unwrap()
    };
    assert_eq!(told(8).caused_by, Some(109));
    assert_eq!(
        (told(8).severity(), told(13).severity()),
        (Severity::Info, Severity::Critical)
    );
    assert_eq!(told(16).action(), "drain the node; reboot it");
    assert!(!told(29).is_detail() && told(30).is_detail());
    assert_eq!(told(31).severity(), Severity::Critical);
    // A code of the future is told all the same.
    assert_eq!((told(32).code(), told(32).severity()), (999, Severity::Warning));
    assert!(told(32).entry().is_none());
}

#[test]
fn the_records_of_the_kernel_say_the_same_as_dmesg() {
    let records: Vec<Record> = split(RECORDS)
        .iter()
        .map(|bytes| Record::parse(bytes).unwrap())
        .collect();
    let numbers: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    assert_eq!(numbers, [1412, 1413, 1414, 1415, 1490, 1491]);
    assert_eq!(records[0].pairs.len(), 2);
    assert_eq!(records[5].text, "tab\tescaped text");
    assert!(!records[5].is_of_the_kernel());

    let told: Vec<(u32, String)> = records
        .iter()
        .filter_map(Event::of_record)
        .map(|event| (event.code(), event.pci.device().to_string()))
        .collect();
    let device = |pci: &str| pci.to_owned();
    assert_eq!(
        told,
        [
            (31, device("0000:2a:00")),
            (79, device("0000:ab:00")),
            (79, device("0000:ab:00")),
            (12028, device("0000:05:00")),
        ]
    );
}

/// A record and the indented lines below it.
fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match records.last_mut() {
            Some(record) if line.starts_with(b" ") => record.extend_from_slice(line),
            _ => records.push(line.to_vec()),
        }
    }
    records
}
