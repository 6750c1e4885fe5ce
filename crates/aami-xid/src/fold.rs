//! One report instead of a storm: hundreds of thousands of equal lines become one with a count each few minutes.
//!
//! The first of its kind is told at once. Those that follow within the window are counted, and told together when the
//! window ends. What is equal is decided by the code, the GPU and its slice, and by what makes a difference: a grave
//! event is never folded into a harmless one of the same number.

use std::collections::BTreeMap;
use std::time::Duration;

use aami_model::Timestamp;
use aami_model::finding::Severity;

use crate::event::{Event, Kind, Mig};
use crate::pci::PciAddress;

/// How long equal events are folded, unless somebody asks for another time.
pub const WINDOW: Duration = Duration::from_secs(180);
/// At most this many kinds are folded at a time; for one more, the oldest window is closed early.
const MOST_OPEN: usize = 512;

/// Events of one kind, told as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The last of them.
    pub event: Event,
    /// How many lines it stands for; those told before are not among them.
    pub count: u64,
    /// When the first of them was written.
    pub first: Timestamp,
    /// When the last was.
    pub last: Timestamp,
    /// The number of the first.
    pub line: u64,
}

/// What makes two events the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    is_sxid: bool,
    code: u32,
    pci: PciAddress,
    mig: Option<Mig>,
    severity: Severity,
    is_consequence: bool,
    /// The link, or what an Xid 154 asks for.
    part: Option<u32>,
}

impl Key {
    pub(crate) fn of(event: &Event) -> Self {
        let part = match &event.kind {
            Kind::Xid {
                recovery: Some(action),
                ..
            } => Some(action.number()),
            Kind::Xid {
                nvlink5: Some(told), ..
            } => told.link.map(u32::from),
            Kind::Sxid { link, .. } => link.map(u32::from),
            Kind::Xid { .. } | Kind::BusLost => None,
        };
        Self {
            is_sxid: event.is_sxid(),
            code: event.code(),
            pci: event.pci.device(),
            mig: event.mig,
            severity: event.severity(),
            is_consequence: event.caused_by.is_some(),
            part,
        }
    }
}

/// The time since one kind of event was told.
#[derive(Debug)]
struct Open {
    since: Timestamp,
    waiting: Option<Folded>,
}

impl Open {
    fn is_over(&self, now: Timestamp, window: Duration) -> bool {
        // A clock that was set back must not keep a window open for years.
        now < self.since || now.since(self.since) >= window
    }
}

/// Folds events of the same kind.
#[derive(Debug)]
pub struct Folder {
    window: Duration,
    open: BTreeMap<Key, Open>,
    echoes: Echoes,
}

impl Default for Folder {
    fn default() -> Self {
        Self::new(WINDOW)
    }
}

impl Folder {
    /// Folds within this time.
    pub const fn new(window: Duration) -> Self {
        Self {
            window,
            open: BTreeMap::new(),
            echoes: Echoes::new(),
        }
    }

    /// Takes in the event of a line, written at this time, and gives what is to be told now: mostly it, or nothing.
    /// Lines have numbers that ascend.
    #[must_use = "these have to be told"]
    pub fn add(&mut self, event: Event, at: Timestamp, line: u64) -> Vec<Folded> {
        if self.echoes.is_echo(&event, at) {
            return Vec::new();
        }
        let key = Key::of(&event);
        let mut told = Vec::new();
        if let Some(open) = self.open.get_mut(&key) {
            if !open.is_over(at, self.window) {
                let before = open.waiting.as_ref();
                open.waiting = Some(Folded {
                    event,
                    count: before.map_or(0, |waiting| waiting.count).saturating_add(1),
                    first: before.map_or(at, |waiting| waiting.first),
                    last: at,
                    line: before.map_or(line, |waiting| waiting.line),
                });
                return told;
            }
            told.extend(open.waiting.take());
        } else if self.open.len() >= MOST_OPEN {
            told.extend(self.close_the_oldest());
        }
        let open = Open {
            since: at,
            waiting: None,
        };
        self.open.insert(key, open);
        told.push(Folded {
            event,
            count: 1,
            first: at,
            last: at,
            line,
        });
        told
    }

    /// What has waited to the end of its window. A storm that goes on gives one of these a window.
    #[must_use = "these have to be told"]
    pub fn due(&mut self, now: Timestamp) -> Vec<Folded> {
        let mut told = Vec::new();
        let window = self.window;
        self.open.retain(|_, open| {
            if !open.is_over(now, window) {
                return true;
            }
            let waited = open.waiting.take();
            let goes_on = waited.is_some();
            told.extend(waited);
            open.since = now;
            goes_on
        });
        told
    }

    /// When to ask for [`due`](Self::due) again; `None` while nothing waits.
    pub fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.open.values().filter(|open| open.waiting.is_some());
        waiting.map(|open| open.since.plus(self.window)).min()
    }

    /// The number of the first line that still waits to be told; `None` while nothing waits.
    pub fn oldest(&self) -> Option<u64> {
        let waiting = self.open.values().filter_map(|open| open.waiting.as_ref());
        waiting.map(|folded| folded.line).min()
    }

    /// Everything that still waits, for an orderly end.
    #[must_use = "these have to be told"]
    pub fn finish(&mut self) -> Vec<Folded> {
        let open = std::mem::take(&mut self.open);
        open.into_values().filter_map(|open| open.waiting).collect()
    }

    fn close_the_oldest(&mut self) -> Option<Folded> {
        let (key, _) = self.open.iter().min_by_key(|(_, open)| open.since)?;
        let key = *key;
        self.open.remove(&key)?.waiting
    }
}

/// Lines that say again what another line has said: the further lines of an SXid, and the two ways in which the driver
/// says that a GPU fell off the bus.
#[derive(Debug)]
pub(crate) struct Echoes {
    /// Per GPU: when it was said last, and whether with a number.
    lost: BTreeMap<PciAddress, (Timestamp, bool)>,
}

impl Echoes {
    /// How long after a line its other form is still the same event.
    const WITHIN: Duration = Duration::from_secs(10);
    const MOST: usize = 256;

    pub(crate) const fn new() -> Self {
        Self {
            lost: BTreeMap::new(),
        }
    }

    pub(crate) fn is_echo(&mut self, event: &Event, at: Timestamp) -> bool {
        let has_number = match event.kind {
            Kind::Sxid { is_detail, .. } => return is_detail,
            Kind::Xid { .. } if event.code() != 79 => return false,
            Kind::Xid { .. } => true,
            Kind::BusLost => false,
        };
        let pci = event.pci.device();
        let before = self.lost.get(&pci).copied();
        let same = before.filter(|(last, _)| *last <= at && at.since(*last) <= Self::WITHIN);
        if before.is_none() && self.lost.len() >= Self::MOST {
            self.lost.clear();
        }
        let had_number = same.map(|(_, had_number)| had_number);
        self.lost
            .insert(pci, (at, has_number || had_number == Some(true)));
        had_number.is_some_and(|had_number| had_number != has_number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn xid(code: u32) -> Event {
        Event::of_line(&format!("NVRM: Xid (PCI:0000:3b:00): {code}, pid=1, name=x, y")).unwrap()
    }

    fn counts(told: &[Folded]) -> Vec<(u32, u64)> {
        told.iter()
            .map(|folded| (folded.event.code(), folded.count))
            .collect()
    }

    #[test]
    fn a_storm_is_told_at_once_and_then_once_a_window() {
        let mut folder = Folder::default();
        assert_eq!(counts(&folder.add(xid(95), at(0), 0)), [(95, 1)]);
        for second in 1..100 {
            assert_eq!(folder.add(xid(95), at(second), 0), []);
        }
        assert_eq!(folder.due(at(179)), []);
        assert_eq!(folder.next_due(), Some(at(180)));
        let told = folder.due(at(180));
        assert_eq!(counts(&told), [(95, 99)]);
        assert_eq!((told[0].first, told[0].last), (at(1), at(99)));
        // It goes on, and is still one storm.
        assert_eq!(folder.add(xid(95), at(181), 0), []);
        assert_eq!(counts(&folder.due(at(400))), [(95, 1)]);
        // It ended, and what comes after that is told at once.
        assert_eq!(folder.due(at(700)), []);
        assert_eq!(counts(&folder.add(xid(95), at(701), 0)), [(95, 1)]);
    }

    #[test]
    fn a_log_read_late_is_folded_by_its_own_times() {
        let mut folder = Folder::default();
        let mut told = Vec::new();
        for second in [0, 1, 2, 1000, 1001, 2000] {
            told.extend(folder.add(xid(31), at(second), 0));
        }
        assert_eq!(counts(&told), [(31, 1), (31, 2), (31, 1), (31, 1), (31, 1)]);
        assert_eq!(folder.finish(), []);
    }

    #[test]
    fn every_line_is_counted_in_exactly_one_report() {
        let mut folder = Folder::new(Duration::from_secs(10));
        let mut told = Vec::new();
        for line in 0..5_000_i64 {
            // In pairs, so that each of too many kinds has one waiting when its window is closed early.
            let code = 1 + u32::try_from(line / 2 % 900).unwrap();
            told.extend(folder.add(xid(code), at(line / 300), u64::try_from(line).unwrap()));
            if line % 1000 == 0 {
                told.extend(folder.due(at(line / 300)));
            }
        }
        told.extend(folder.finish());
        assert_eq!(told.iter().map(|folded| folded.count).sum::<u64>(), 5_000);
    }

    #[test]
    fn the_oldest_line_that_waits_is_the_first_of_its_fold() {
        let mut folder = Folder::default();
        assert_eq!(folder.add(xid(31), at(0), 5).len(), 1);
        assert_eq!(folder.oldest(), None, "it is told");
        assert_eq!(folder.add(xid(31), at(1), 6).len(), 0);
        assert_eq!(folder.add(xid(95), at(100), 7).len(), 1);
        assert_eq!(folder.add(xid(95), at(101), 8).len(), 0);
        assert_eq!(folder.add(xid(31), at(102), 9).len(), 0);
        assert_eq!(folder.oldest(), Some(6));
        assert_eq!(folder.due(at(180))[0].line, 6);
        assert_eq!(folder.oldest(), Some(8));
        assert_eq!(counts(&folder.finish()), [(95, 1)]);
        assert_eq!(folder.oldest(), None);
    }

    #[test]
    fn a_grave_event_is_not_hidden_behind_a_harmless_one() {
        let told = |unit: &str| {
            Event::of_line(&format!(
                "NVRM: Xid (PCI:0018:01:00): 149, {unit} XC0 i0 Link 08 (0x0 0x9)"
            ))
            .unwrap()
        };
        let mut folder = Folder::default();
        assert_eq!(folder.add(told("NEW_UNIT Nonfatal"), at(0), 0).len(), 1);
        assert_eq!(folder.add(told("NEW_UNIT Fatal"), at(1), 0).len(), 1);
        assert_eq!(folder.add(told("NEW_UNIT Fatal"), at(2), 0).len(), 0);
    }

    #[test]
    fn one_loss_of_the_bus_is_one_event() {
        let lost = || Event::of_line("NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.").unwrap();
        let mut folder = Folder::default();
        assert_eq!(folder.add(xid(79), at(0), 0).len(), 1);
        assert_eq!(folder.add(lost(), at(0), 0), []);
        assert_eq!(folder.finish(), []);

        let mut other_order = Folder::default();
        assert_eq!(other_order.add(lost(), at(0), 0).len(), 1);
        assert_eq!(other_order.add(xid(79), at(1), 0), []);
        assert_eq!(other_order.add(xid(79), at(2), 0), []);
        assert_eq!(counts(&other_order.finish()), [(79, 1)]);
    }

    #[test]
    fn a_clock_set_back_closes_windows() {
        let mut folder = Folder::default();
        assert_eq!(folder.add(xid(31), at(10_000), 0).len(), 1);
        assert_eq!(folder.add(xid(31), at(10_001), 0).len(), 0);
        assert_eq!(counts(&folder.due(at(5))), [(31, 1)]);
    }
}
