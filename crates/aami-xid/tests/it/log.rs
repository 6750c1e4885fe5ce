//! A log of many kinds of line, and the table of what each of them is.

use aami_model::finding::Severity;
use aami_xid::kmsg::Record;
use aami_xid::{Event, Kind, RecoveryAction};

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

#[test]
fn every_code_of_an_nvlink_5_is_decoded_by_the_words_of_its_line() {
    for (code, words, told, verdict, severity) in [
        (
            144,
            "SAW_MVB Fatal XC0 i0 Link 02 (0x00000001 0x00000002",
            ("SAW_MVB", true, Some(2), 0),
            "RESET_GPU",
            Severity::Critical,
        ),
        (
            146,
            "TLW_RX_PIPE0 Fatal XC0 i0 Link 11 (0x0000000a 0x00000004",
            ("TLW_RX_PIPE0", true, Some(11), 0),
            "RESET_GPU",
            Severity::Critical,
        ),
        (
            147,
            "TREX Nonfatal XC0 i0 Link 00 (0x0000000e 0x00000001",
            ("TREX", false, Some(0), 0),
            "IGNORE",
            Severity::Warning,
        ),
        (
            148,
            "NVLPW Nonfatal XC0 i0 Link 17 (0x0000000f 0x80000000",
            ("NVLPW", false, Some(17), 0),
            "IGNORE",
            Severity::Warning,
        ),
        (
            150,
            "MSE_WATCHDOG Fatal XC0 i0 Link -1 (0x00000000 0x00000000",
            ("MSE_WATCHDOG", true, None, 0),
            "RESET_GPU",
            Severity::Critical,
        ),
    ] {
        let line = format!("[ 1.5] NVRM: Xid (PCI:0018:01:00): {code}, {words} 0x0 0x0 0x0 0x0)");
        let event = Event::of_line(&line).unwrap();
        let Kind::Xid {
            nvlink5: Some(words), ..
        } = &event.kind
        else {
            panic!("{line}: {event:?}")
        };
        let (unit, is_fatal, link, sub_code) = told;
        assert_eq!(
            (words.unit.as_str(), words.is_fatal, words.link, words.sub_code()),
            (unit, is_fatal, link, sub_code),
            "{line}"
        );
        let resolution = event.link_verdict().map(|verdict| verdict.resolution.name());
        assert_eq!(
            (event.code(), resolution, event.severity()),
            (code, Some(verdict), severity),
            "{line}"
        );
    }
}

#[test]
fn a_verdict_of_the_driver_says_from_what_to_what() {
    let line = "NVRM: Xid (PCI:0000:ab:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x2 \
                (Node Reboot Required)";
    let Some(Kind::Xid {
        recovery,
        recovery_before,
        ..
    }) = Event::of_line(line).map(|event| event.kind)
    else {
        panic!("an Xid")
    };
    let names = (
        recovery_before.map(RecoveryAction::name),
        recovery.map(RecoveryAction::name),
    );
    assert_eq!(names, (Some("GPU Reset Required"), Some("Node Reboot Required")));
}
