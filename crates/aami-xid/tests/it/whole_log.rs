//! Whole logs, as they are written by different programs and read in pieces.

use std::io::Read;

use aami_model::finding::Severity;
use aami_xid::log::{Extent, Found, Line, Summary, read};
use proptest::prelude::*;

const LOG: &str = include_str!("../fixtures/xid_dmesg.txt");
const EXPECTED: &str = include_str!("../fixtures/xid_dmesg.expected.tsv");

fn found(log: impl Read) -> (Vec<Found>, Extent) {
    let mut all = Vec::new();
    let extent = read(log, |line| match line {
        Line::Event(found) => all.push(found),
        Line::Loaded => {}
    })
    .unwrap();
    (all, extent)
}

/// Gives at most so many bytes at a time.
struct Dripping<'a>(&'a [u8], usize);

impl Read for Dripping<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.min(into.len());
        self.0.read(&mut into[..most])
    }
}

#[test]
fn every_line_of_the_driver_is_found_where_the_table_says() {
    let expected: Vec<(u64, u32)> = EXPECTED
        .lines()
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            // A lost bus has no number in its line.
            (columns[0].parse().unwrap(), columns[5].parse().unwrap_or(79))
        })
        .collect();
    let (all, extent) = found(LOG.as_bytes());
    let told: Vec<(u64, u32)> = all.iter().map(|found| (found.line, found.event.code())).collect();
    assert_eq!(told, expected);
    assert_eq!(extent.lines, u64::try_from(LOG.lines().count()).unwrap());
    assert_eq!(extent.bytes, u64::try_from(LOG.len()).unwrap());
    assert_eq!(all[0].when.as_deref(), Some("812.004411"));
}

#[test]
fn the_journal_and_syslog_are_read_like_dmesg() {
    for (log, when) in [
        (
            "Nov 21 22:17:01 gpu01 kernel: NVRM: Xid (PCI:0000:ab:00): 79, GPU has fallen off the bus.\n",
            "Nov 21 22:17:01",
        ),
        (
            "2026-11-21T22:17:01.000123+00:00 gpu01 kernel: [  812.004411] NVRM: Xid (PCI:0000:ab:00): 79, x",
            "2026-11-21T22:17:01.000123+00:00",
        ),
        (
            "4,1234,812004411,-;NVRM: Xid (PCI:0000:ab:00): 79, x\n",
            "812.004411",
        ),
        (
            "[Fri Nov 21 22:17:01 2026] NVRM: Xid (PCI:0000:ab:00): 79, x\r\n",
            "Fri Nov 21 22:17:01 2026",
        ),
    ] {
        let (all, _) = found(log.as_bytes());
        assert_eq!(all.len(), 1, "{log}");
        assert_eq!(all[0].when.as_deref(), Some(when), "{log}");
    }
}

#[test]
fn what_a_process_wrote_is_not_the_kernels_word() {
    let hostile = "\
Nov 21 22:17:01 gpu01 python3[999]: NVRM: Xid (PCI:0000:ab:00): 79, x
Nov 21 22:17:01 gpu01 python3[999]: kernel: NVRM: Xid (PCI:0000:ab:00): 79, x
[ 1.0] python3[999]: segfault NVRM: Xid (PCI:0000:ab:00): 79, x
12,1,1,-;NVRM: Xid (PCI:0000:ab:00): 79, x
";
    assert_eq!(found(hostile.as_bytes()).0, []);
}

#[test]
fn garbage_and_endless_lines_are_passed_over() {
    let mut log = vec![0xff; 3 << 20];
    log.extend_from_slice(b"NVRM: Xid (PCI:0000:ab:00): 79, far from the line's beginning\n");
    log.extend_from_slice(b"[ 1.0] NVRM: Xid (PCI:0000:ab:00): 48, \xff\xfe\x1b[31m");
    let (all, extent) = found(log.as_slice());
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].line, all[0].event.code()), (2, 48));
    assert!(!all[0].event.line.contains('\x1b'));
    assert_eq!(extent.lines, 2);
}

#[test]
fn what_a_gpu_needs_is_the_drivers_last_word_or_the_gravest_line() {
    let verdict = |log: &str| {
        let mut summary = Summary::default();
        read(log.as_bytes(), |line| summary.add(line)).unwrap();
        summary
            .verdicts()
            .first()
            .map(|verdict| (verdict.severity, verdict.deciding.code(), verdict.action()))
    };
    let xid =
        |code: u32, text: &str| format!("[ 1.0] NVRM: Xid (PCI:0000:ab:00): {code}, pid=1, name=x, {text}\n");
    let reset = xid(
        154,
        "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)",
    );
    let whole = xid(
        154,
        "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)",
    );

    let (severity, code, action) = verdict(&(xid(48, "DBE") + &reset)).unwrap();
    assert_eq!((severity, code), (Severity::Critical, 154));
    assert!(action.contains("reset the GPU"), "{action}");
    assert_eq!(
        verdict(&(xid(48, "DBE") + &reset + &whole)),
        None,
        "it is whole again"
    );
    let after = verdict(&(reset + &whole + &xid(13, "Exception"))).unwrap();
    assert_eq!(after.1, 13);
    let consequence = xid(45, "Ch 1 caused by previous Xid 109");
    assert_eq!(verdict(&consequence), None);
}

#[test]
fn what_a_gpu_needed_before_the_driver_was_loaded_anew_stands_no_more() {
    const LOADED: &str = "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.95.05\n";
    // Given a log over two boots: a GPU and a switch that were lost in the first,
    let before = "\
Nov 21 22:17:01 gpu01 kernel: NVRM: Xid (PCI:0000:ab:00): 79, GPU has fallen off the bus.
Nov 21 22:17:02 gpu01 kernel: nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault Up\n";
    let after = "Nov 21 23:00:00 gpu01 kernel: NVRM: Xid (PCI:0000:18:00): 48, DBE\n";
    let judged = |log: &str| {
        let mut summary = Summary::default();
        read(log.as_bytes(), |line| summary.add(line)).unwrap();
        let codes: Vec<u32> = (summary.verdicts().iter().map(|one| one.deciding.code())).collect();
        (codes, summary.severity(), summary.seen().len())
    };
    let kernel = format!("Nov 21 22:40:00 gpu01 kernel: {LOADED}");
    assert_eq!(judged(before).0, [79, 20034]);

    // when the driver is loaded again, then nothing of it stands, and it is still told;
    assert_eq!(judged(&format!("{before}{kernel}")), (vec![], None, 2));
    // what comes after that stands,
    let all = format!("{before}{kernel}{after}");
    assert_eq!(judged(&all), (vec![48], Some(Severity::Critical), 3));
    // and a process that says the same changes nothing.
    let process = format!("Nov 21 22:40:00 gpu01 python3[999]: {LOADED}");
    assert_eq!(judged(&format!("{before}{process}")).0, [79, 20034]);
}

#[test]
fn a_lost_bus_said_in_two_ways_happened_once() {
    let mut summary = Summary::default();
    read(LOG.as_bytes(), |line| summary.add(line)).unwrap();
    let lost: Vec<u64> = summary
        .seen()
        .iter()
        .filter(|seen| seen.event.code() == 79 && seen.event.pci.to_string().contains("ab:00"))
        .map(|seen| seen.count())
        .collect();
    assert_eq!(lost, [1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However a log is cut into pieces, and wherever its lines fall.
    #[test]
    fn pieces_make_no_difference(
        gaps in proptest::collection::vec(0_usize..700_000, 1..6),
        piece in prop_oneof![1_usize..10, 1000_usize..2_000_000],
    ) {
        // Tiny pieces of a long log take too long.
        let gaps: Vec<usize> = if piece < 10 { gaps.iter().map(|gap| gap % 3000).collect() } else { gaps };
        let mut log = String::new();
        let mut expected = Vec::new();
        for (nth, gap) in gaps.iter().enumerate() {
            log.push_str(&"[    1.000000] usb 1-1: new device\n".repeat(gap / 35));
            let code = 31 + u32::try_from(nth).unwrap();
            expected.push((u64::try_from(log.lines().count()).unwrap() + 1, code));
            log.push_str(&format!("[    2.000000] NVRM: Xid (PCI:0000:3b:00): {code}, pid=1, name=x, y\n"));
        }
        let (all, extent) = found(Dripping(log.as_bytes(), piece));
        let told: Vec<(u64, u32)> = all.iter().map(|found| (found.line, found.event.code())).collect();
        prop_assert_eq!(told, expected);
        prop_assert_eq!(extent.bytes, u64::try_from(log.len()).unwrap());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        let mut log = b"NVRM: Xid (".to_vec();
        log.extend_from_slice(&bytes);
        log.extend_from_slice(b"nvidia-nvswitch0: SXid (");
        log.extend_from_slice(&bytes);
        let _ = found(log.as_slice());
    }
}
