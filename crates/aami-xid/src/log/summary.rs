//! What a whole log comes to: each kind of event once, and for each GPU and switch what it needs now.

use std::collections::BTreeMap;

use aami_model::finding::Severity;

use super::{Found, Line};
use crate::event::{Event, Kind, Process, RecoveryAction};
use crate::fold::Key;
use crate::pci::PciAddress;

/// At most so many kinds are kept apart; a log made to be long has more, and they are counted.
const MOST_KINDS: usize = 4096;
/// At most so many processes are named for one kind.
const MOST_PROCESSES: usize = 4;

/// Everything a log says, in bounded memory.
#[derive(Debug, Default)]
pub struct Summary {
    kinds: BTreeMap<Key, Seen>,
    devices: BTreeMap<(bool, PciAddress), Verdict>,
    beyond: u64,
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Its number; the first is 1.
    pub line: u64,
    /// Its own time, as the log has it.
    pub when: Option<String>,
}

/// One kind of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The last of its kind.
    pub event: Event,
    /// The first.
    pub first: Moment,
    /// The last.
    pub last: Moment,
    /// The processes that were named, each once, the first few.
    pub processes: Vec<Process>,
    numbered: u64,
    unnumbered: u64,
}

impl Seen {
    /// How often it happened. A lost bus that is said twice, with a number and without, happened once.
    pub fn count(&self) -> u64 {
        self.numbered.max(self.unnumbered)
    }
}

/// What one GPU or switch needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub device: PciAddress,
    /// Whether it is a switch.
    pub is_switch: bool,
    /// How grave it is.
    pub severity: Severity,
    /// The line that decides.
    pub deciding: Event,
    /// Where it stands.
    pub at: Moment,
}

impl Verdict {
    /// What to do.
    pub fn action(&self) -> &'static str {
        self.deciding.action()
    }
}

impl Summary {
    /// Takes one line in. Lines come in the order of the log.
    pub fn add(&mut self, line: Line) {
        match line {
            Line::Event(found) => self.add_event(found),
            // What GPUs and switches needed before, they were given, or will say again.
            Line::Loaded => self.devices.clear(),
        }
    }

    fn add_event(&mut self, found: Found) {
        let Found { event, line, when } = found;
        // A further line about an event is no event.
        if event.is_detail() {
            return;
        }
        let at = Moment { line, when };
        self.judge(&event, &at);
        let key = Key::of(&event);
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&key) {
            self.beyond = self.beyond.saturating_add(1);
            return;
        }
        let seen = self.kinds.entry(key).or_insert_with(|| Seen {
            event: event.clone(),
            first: at.clone(),
            last: at.clone(),
            processes: Vec::new(),
            numbered: 0,
            unnumbered: 0,
        });
        match event.kind {
            Kind::BusLost => seen.unnumbered += 1,
            Kind::Xid { .. } | Kind::Sxid { .. } => seen.numbered += 1,
        }
        if let Some(process) = &event.process
            && seen.processes.len() < MOST_PROCESSES
            && !seen.processes.contains(process)
        {
            seen.processes.push(process.clone());
        }
        (seen.event, seen.last) = (event, at);
    }

    /// The driver's own verdict, an Xid 154, stands until something graver comes; one that says that the GPU is whole
    /// again ends what was before it. What follows from another Xid decides nothing.
    fn judge(&mut self, event: &Event, at: &Moment) {
        if event.caused_by.is_some() {
            return;
        }
        let device = (event.is_sxid(), event.pci.device());
        let says = match event.kind {
            Kind::Xid { recovery, .. } => recovery,
            Kind::Sxid { .. } | Kind::BusLost => None,
        };
        if says == Some(RecoveryAction::None) {
            self.devices.remove(&device);
            return;
        }
        let severity = event.severity();
        let stands = self.devices.get(&device);
        let yields =
            |stands: &Verdict| severity > stands.severity || (says.is_some() && severity == stands.severity);
        if stands.is_some_and(|stands| !yields(stands))
            || (stands.is_none() && self.devices.len() >= MOST_KINDS)
        {
            return;
        }
        let verdict = Verdict {
            device: device.1,
            is_switch: device.0,
            severity,
            deciding: event.clone(),
            at: at.clone(),
        };
        self.devices.insert(device, verdict);
    }

    /// Each kind of event, in the order of its first line.
    pub fn seen(&self) -> Vec<&Seen> {
        let mut all: Vec<&Seen> = self.kinds.values().collect();
        all.sort_by_key(|seen| seen.first.line);
        all
    }

    /// For each GPU and switch what it needs, the gravest first.
    pub fn verdicts(&self) -> Vec<&Verdict> {
        let mut all: Vec<&Verdict> = self.devices.values().collect();
        all.sort_by_key(|verdict| (std::cmp::Reverse(verdict.severity), verdict.at.line));
        all
    }

    /// How grave the gravest is that still stands; `None` where nothing does.
    pub fn severity(&self) -> Option<Severity> {
        self.devices.values().map(|verdict| verdict.severity).max()
    }

    /// How many events were of a kind for which there was no room.
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }
}
