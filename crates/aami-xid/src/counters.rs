//! How often each code was written for each GPU, for the metrics: every line counts, however it was folded.
//!
//! Prometheus sees no increase in a counter that is born with its first event. So the codes somebody alerts on stand at
//! 0 for every GPU and every switch from the moment it is [known](Counters::know).

use std::collections::BTreeMap;

use aami_model::Timestamp;
use aami_model::finding::Severity;

use crate::catalogue;
use crate::event::Event;
use crate::fold::Echoes;
use crate::pci::PciAddress;

/// At most this many series: a machine has at most a few dozen GPUs and switches.
const MOST_SERIES: usize = 8192;

/// The counter of one code on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Whether a switch counts.
    pub is_sxid: bool,
    /// The code.
    pub code: u32,
    /// The GPU or switch, without a function.
    pub pci: PciAddress,
    /// How many lines.
    pub count: u64,
    /// When the last was written, of each gravity.
    last: [Option<Timestamp>; 3],
}

impl Series {
    /// When the last line of this gravity was written. One code can have several: a link's event is judged by its words.
    pub const fn last(&self, severity: Severity) -> Option<Timestamp> {
        self.last[place(severity)]
    }

    /// When the last line of any gravity was written.
    pub fn last_of_all(&self) -> Option<Timestamp> {
        self.last.into_iter().flatten().max()
    }
}

const fn place(severity: Severity) -> usize {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Critical => 2,
    }
}

/// The counters of a machine, since this program started.
#[derive(Debug)]
pub struct Counters {
    alerted: Vec<u32>,
    series: BTreeMap<(bool, u32, PciAddress), Series>,
    left_out: u64,
    echoes: Echoes,
}

impl Default for Counters {
    /// With the codes that the catalogue holds worth an alert.
    fn default() -> Self {
        Self::new(catalogue::alerted().map(|entry| entry.code))
    }
}

impl Counters {
    /// With the Xids that a site alerts on.
    pub fn new(alerted: impl IntoIterator<Item = u32>) -> Self {
        Self {
            alerted: alerted.into_iter().collect(),
            series: BTreeMap::new(),
            left_out: 0,
            echoes: Echoes::new(),
        }
    }

    /// A GPU of this machine: its counters start at 0.
    pub fn know(&mut self, gpu: PciAddress) {
        for at in 0..self.alerted.len() {
            let code = self.alerted[at];
            self.one(false, code, gpu);
        }
    }

    /// A switch of this machine: the counters of its critical SXids start at 0.
    pub fn know_switch(&mut self, switch: PciAddress) {
        for entry in catalogue::alerted_sxids() {
            self.one(true, entry.code, switch);
        }
    }

    /// Counts an event, written at this time.
    pub fn count(&mut self, event: &Event, at: Timestamp) {
        if self.echoes.is_echo(event, at) {
            return;
        }
        let place = place(event.severity());
        match self.one(event.is_sxid(), event.code(), event.pci) {
            Some(series) => {
                series.count = series.count.saturating_add(1);
                series.last[place] = series.last[place].max(Some(at));
            }
            None => self.left_out = self.left_out.saturating_add(1),
        }
    }

    /// Every counter, in the order of kind, code and device.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.series.values()
    }

    /// How many lines were counted nowhere, because there were too many counters already.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn one(&mut self, is_sxid: bool, code: u32, pci: PciAddress) -> Option<&mut Series> {
        let pci = pci.device();
        let key = (is_sxid, code, pci);
        if self.series.len() >= MOST_SERIES && !self.series.contains_key(&key) {
            return None;
        }
        Some(self.series.entry(key).or_insert(Series {
            is_sxid,
            code,
            pci,
            count: 0,
            last: [None; 3],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn event(line: &str) -> Event {
        Event::of_line(line).unwrap()
    }

    fn of(counters: &Counters, code: u32) -> Series {
        *counters.series().find(|series| series.code == code).unwrap()
    }

    #[test]
    fn a_known_gpu_stands_at_zero_before_anything_happened() {
        let mut counters = Counters::default();
        counters.know("0000:3b:00.0".parse().unwrap());
        counters.know("0000:5d:00.0".parse().unwrap());
        assert_eq!(counters.series().count(), 2 * catalogue::alerted().count());
        assert!(
            counters
                .series()
                .all(|series| series.count == 0 && series.last_of_all().is_none())
        );

        // The line names the same GPU without a function, and it is the same counter.
        counters.count(&event("NVRM: Xid (PCI:0000:3b:00): 79, gone"), at(5));
        let lost = of(&counters, 79);
        assert_eq!((lost.count, lost.pci.in_sysfs().as_str()), (1, "0000:3b:00.0"));
        assert_eq!(lost.last(Severity::Critical), Some(at(5)));
        assert_eq!(counters.series().count(), 2 * catalogue::alerted().count());
    }

    #[test]
    fn a_known_switch_stands_at_zero_with_the_codes_of_switches_alone() {
        let mut counters = Counters::default();
        counters.know_switch("0000:05:00.0".parse().unwrap());
        let known = catalogue::alerted_sxids().count();
        assert!(known > 100, "{known}");
        assert_eq!(counters.series().count(), known);
        assert!(
            counters
                .series()
                .all(|series| series.is_sxid && series.count == 0)
        );
        counters.count(
            &event("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 x"),
            at(5),
        );
        let seen = of(&counters, 12028);
        assert_eq!((seen.count, seen.last(Severity::Critical)), (1, Some(at(5))));
        assert_eq!(counters.series().count(), known, "it is the same counter");
    }

    #[test]
    fn every_line_counts_but_one_event_once() {
        let mut counters = Counters::new([]);
        for second in 0..1000 {
            counters.count(&event("NVRM: Xid (PCI:0000:3b:00): 95, x"), at(second));
        }
        counters.count(&event("NVRM: Xid (PCI:0000:3b:00): 79, gone"), at(0));
        counters.count(
            &event("NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus."),
            at(0),
        );
        counters.count(
            &event("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 x"),
            at(0),
        );
        counters.count(
            &event("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Severity 0 Engine instance 32"),
            at(0),
        );
        assert_eq!((of(&counters, 95).count, of(&counters, 79).count), (1000, 1));
        assert_eq!(
            (of(&counters, 12028).count, of(&counters, 12028).is_sxid),
            (1, true)
        );
    }

    #[test]
    fn a_consequence_is_not_the_last_critical_one() {
        let mut counters = Counters::new([]);
        counters.count(&event("NVRM: Xid (PCI:0000:3b:00): 109, x"), at(1));
        counters.count(
            &event("NVRM: Xid (PCI:0000:3b:00): 109, x caused by previous Xid 79"),
            at(9),
        );
        let series = of(&counters, 109);
        assert_eq!(series.count, 2);
        assert_eq!(
            (series.last(Severity::Critical), series.last(Severity::Info)),
            (Some(at(1)), Some(at(9)))
        );
        assert_eq!(series.last_of_all(), Some(at(9)));
    }

    #[test]
    fn a_device_that_makes_up_codes_fills_no_memory() {
        let mut counters = Counters::new([]);
        for code in 0..10_000 {
            counters.count(&event(&format!("NVRM: Xid (PCI:0000:3b:00): {code}, x")), at(1));
        }
        assert_eq!(counters.series().count(), MOST_SERIES);
        assert_eq!(counters.left_out(), 10_000 - MOST_SERIES as u64);
    }
}
