//! A log is written by anybody: whatever stands in it, nothing panics, and what comes out is bounded and harmless.

use std::time::Duration;

use aami_model::Timestamp;
use aami_model::finding::LONGEST_TEXT;
use aami_xid::counters::Counters;
use aami_xid::fold::Folder;
use aami_xid::kmsg::{Follower, Next, Record};
use aami_xid::{Event, PciAddress};
use proptest::prelude::*;

/// What can be wanted of an event, wanted: none of it may panic, and none of it may be long or obeyed by a terminal.
fn is_harmless(event: &Event) -> Result<(), TestCaseError> {
    let name = event.process.as_ref().and_then(|process| process.name.as_deref());
    for text in [event.line.as_str(), name.unwrap_or_default()] {
        prop_assert!(text.chars().count() <= LONGEST_TEXT);
        prop_assert!(!text.contains(char::is_control), "{text:?}");
    }
    for branch in [None, Some(570), Some(580)] {
        let event = event.clone().on_branch(branch);
        let _ = (event.severity(), event.entry());
        prop_assert!(!event.action().is_empty() && !event.name().is_empty());
    }
    Ok(())
}

/// A line that nearly is one of the driver's.
fn nearly() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("NVRM: Xid (PCI:0000:3b:00".to_owned()),
        Just("NVRM: Xid (".to_owned()),
        Just(" GPU-I:01".to_owned()),
        Just(" GPU-CI:".to_owned()),
        Just("): 149, ".to_owned()),
        Just("): 154, GPU recovery action changed from 0x0 (None) to 0x".to_owned()),
        Just("pid='<unknown>', name=".to_owned()),
        Just("pid=1, name=a,b, ".to_owned()),
        Just("NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x".to_owned()),
        Just(" caused by previous Xid ".to_owned()),
        Just("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link ".to_owned()),
        Just("NVRM: GPU 0000:ab:00.0: GPU has fallen off the bus.".to_owned()),
        "[0-9a-fA-F]{0,12}",
        ".{0,20}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_line_is_told_harmlessly_or_not_at_all(line in prop_oneof![nearly(), ".*"]) {
        if let Some(event) = Event::of_line(&line) {
            is_harmless(&event)?;
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
        if let Ok(record) = Record::parse(&bytes) {
            prop_assert!(record.text.len() <= 3 * bytes.len());
        }
    }

    #[test]
    fn a_record_is_bounded_and_of_whom_it_says(
        priority in 0_u64..300,
        sequence: u64,
        micros in 0..u64::MAX / 1000,
        text in nearly(),
        filler in 0_usize..30_000,
    ) {
        let header = format!("{priority},{sequence},{micros},-,caller=T1;");
        let bytes = [header.as_bytes(), text.as_bytes(), &vec![b'x'; filler]].concat();
        let record = Record::parse(&bytes).unwrap();
        prop_assert_eq!(record.sequence, sequence);
        prop_assert!(record.text.len() <= 3 * 8192);
        let event = Event::of_record(&record);
        if priority >= 8 {
            prop_assert!(event.is_none(), "{:?}", event);
        }
        if let Some(event) = event {
            is_harmless(&event)?;
        }
    }

    #[test]
    fn any_address_survives_being_shown(domain: u32, bus: u8, device in 0_u8..32, function in 0_u8..8) {
        let text = format!("{domain:04x}:{bus:02x}:{device:02x}.{function}");
        let address: PciAddress = text.parse().unwrap();
        prop_assert_eq!(&address.to_string(), &text);
        prop_assert_eq!(address.device().to_string() + &format!(".{function}"), text);
    }

    #[test]
    fn a_follower_ends_whatever_it_reads(bytes in proptest::collection::vec(any::<u8>(), 0..40_000)) {
        let mut follower = Follower::new(bytes.as_slice(), "boot", None);
        let mut steps = 0;
        while follower.read().unwrap() != Next::Later {
            steps += 1;
            prop_assert!(steps <= bytes.len());
        }
    }

    #[test]
    fn what_is_folded_adds_up(
        events in proptest::collection::vec((0_u32..4, 0_u8..3, 0_i64..2_000_000), 0..400),
        ask in 1_usize..50,
    ) {
        let mut folder = Folder::new(Duration::from_secs(60));
        let mut counters = Counters::new([]);
        let mut told = Vec::new();
        for (nth, (code, bus, millis)) in events.iter().enumerate() {
            let line = format!("NVRM: Xid (PCI:0000:{bus:02x}:00): {}, x", 92 + code);
            let event = Event::of_line(&line).unwrap();
            let at = Timestamp::from_millis(*millis);
            counters.count(&event, at);
            told.extend(folder.add(event, at, nth as u64));
            if nth % ask == 0 {
                told.extend(folder.due(at));
            }
        }
        told.extend(folder.finish());
        let in_reports: u64 = told.iter().map(|folded| folded.count).sum();
        let counted: u64 = counters.series().map(|series| series.count).sum();
        prop_assert_eq!((in_reports, counted), (events.len() as u64, events.len() as u64));
    }
}

#[test]
fn a_line_without_an_end_is_cut() {
    let line = format!(
        "NVRM: Xid (PCI:0000:3b:00): 13, pid=1, name={}, x",
        "é".repeat(1_000_000)
    );
    let event = Event::of_line(&line).unwrap();
    assert_eq!(event.code(), 13);
    assert_eq!(event.line.chars().count(), LONGEST_TEXT);
    assert!(event.process.unwrap().name.unwrap().chars().count() <= 32);
}
