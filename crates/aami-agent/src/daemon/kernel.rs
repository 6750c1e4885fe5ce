//! The kernel's log: Xids and SXids as they happen, folded where they storm, each line counted.
//!
//! How far it was read is noted once everything before it is told, so that a restart loses none and, at worst, tells
//! one twice.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use aami_api::link::{Told, XidTold};
use aami_model::Timestamp;
use aami_xid::fold::{Folded, Folder};
use aami_xid::kmsg::{Follower, Next, Record};
use aami_xid::{Event, PciAddress};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::state::{Shared, boot_id};

/// Where the kernel gives its log, a record a read (kernel, Documentation/ABI/testing/dev-kmsg).
const LOG: &str = "/dev/kmsg";
/// How long one turn waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often it is noted how far the log was read while nothing happens.
const NOTE: Duration = Duration::from_secs(600);
/// What could not be kept waits here, no more than this.
const MOST_WAITING: usize = 256;
/// Records of one turn: the loop shows that it moves.
const MOST_READ: usize = 4096;
/// A line of a report is no longer.
const LONGEST_LINE: usize = 500;

/// Runs until the daemon stops.
pub(super) fn run(shared: &Shared) {
    for gpu in gpus() {
        shared
            .xids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .know(gpu);
    }
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or(0);
    match OpenOptions::new().read(true).custom_flags(flags).open(LOG) {
        Ok(file) => follow(shared, file),
        Err(error) => {
            shared.say(&format!("Xids cannot be seen: {LOG}: {error}"));
            while !shared.is_stopping() {
                shared.pulses.kernel.beat(shared.now());
                thread::park_timeout(LONGEST_WAIT);
            }
        }
    }
}

fn follow(shared: &Shared, file: File) {
    let from = shared.memory.noted().kernel.clone();
    let mut follower = Follower::new(file, &boot_id(), from.as_ref());
    let mut reader = Reader::default();
    let mut noted = shared.now();
    while !shared.is_stopping() {
        shared.pulses.kernel.beat(shared.now());
        let began = began(shared.wall());
        for _ in 0..MOST_READ {
            match follower.read() {
                Ok(Next::Record(record)) => reader.take(shared, &record, began),
                Ok(Next::Lost(count)) => {
                    shared.vitals.records_lost.fetch_add(count, Ordering::Relaxed);
                }
                Ok(Next::Later) => break,
                Err(error) => {
                    shared.say(&format!("{LOG} cannot be read any more: {error}"));
                    return idle(shared);
                }
            }
        }
        reader.due(shared.wall());
        let has_told = reader.tell(shared);
        if reader.is_done() && (has_told || shared.now().saturating_sub(noted) >= NOTE) {
            noted = shared.now();
            if let Err(error) = shared.memory.change(|noted| noted.kernel = follower.position()) {
                shared.say(&format!(
                    "how far the kernel's log was read cannot be noted: {error}"
                ));
            }
        }
        wait(follower.source(), reader.wait(shared.wall()));
    }
}

fn idle(shared: &Shared) {
    while !shared.is_stopping() {
        shared.pulses.kernel.beat(shared.now());
        thread::park_timeout(LONGEST_WAIT);
    }
}

fn wait(file: &File, most: Duration) {
    let timeout = Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(0),
        tv_nsec: most.subsec_nanos().into(),
    };
    // An interruption is a turn like any other.
    let _ = poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&timeout));
}

/// When this machine started, by the wall's clock: records carry the time since then.
fn began(now: Timestamp) -> Timestamp {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: Option<f64> = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let up = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
    let up = i64::try_from(up.as_millis()).unwrap_or(0);
    Timestamp::from_millis(now.millis().saturating_sub(up))
}

/// The GPUs whose counters stand at 0 from the beginning.
fn gpus() -> Vec<PciAddress> {
    let commands = aami_inventory::SystemCommands::default();
    let host = aami_inventory::Host::this(&commands);
    let devices = host.list("/sys/bus/pci/devices");
    devices
        .into_iter()
        .filter(|device| {
            let read = |file: &str| host.read(&format!("/sys/bus/pci/devices/{device}/{file}"));
            read("vendor").as_deref() == Some("0x10de")
                && read("class").is_some_and(|class| class.starts_with("0x03"))
        })
        .filter_map(|device| device.parse().ok())
        .collect()
}

/// What was read and is not told yet.
#[derive(Default)]
struct Reader {
    folder: Folder,
    waiting: VecDeque<(Timestamp, Told)>,
}

impl Reader {
    fn take(&mut self, shared: &Shared, record: &Record, began: Timestamp) {
        let Some(event) = Event::of_record(record) else {
            return;
        };
        let at = began.plus(record.since_boot);
        let mut counters = shared.xids.lock().unwrap_or_else(PoisonError::into_inner);
        counters.count(&event, at);
        drop(counters);
        let told = self.folder.add(event, at);
        self.put(told);
    }

    fn due(&mut self, now: Timestamp) {
        let told = self.folder.due(now);
        self.put(told);
    }

    fn put(&mut self, folded: Vec<Folded>) {
        for folded in folded {
            if self.waiting.len() < MOST_WAITING {
                self.waiting.push_back((folded.last, told(&folded)));
            }
        }
    }

    /// Keeps what waits; whether there was any. What the disk refuses waits on.
    fn tell(&mut self, shared: &Shared) -> bool {
        let mut any = false;
        while let Some((at, what)) = self.waiting.front() {
            if shared.report(*at, what.clone()).is_err() {
                break;
            }
            self.waiting.pop_front();
            any = true;
        }
        any
    }

    /// Whether everything that was read is told.
    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.folder.next_due().is_none()
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let due = self.folder.next_due().map(|due| {
            if due > now {
                due.since(now)
            } else {
                Duration::from_millis(100)
            }
        });
        due.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
    }
}

fn told(folded: &Folded) -> Told {
    let event = &folded.event;
    let line = event.line.chars().map(|c| if c.is_control() { ' ' } else { c });
    Told::Xid(XidTold {
        is_sxid: event.is_sxid(),
        code: event.code(),
        pci: event.pci.in_sysfs(),
        pid: event.process.as_ref().map(|process| process.pid),
        name: event.name().to_owned(),
        action: event.action().to_owned(),
        severity: event.severity(),
        line: line.take(LONGEST_LINE).collect(),
        count: folded.count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Event {
        Event::of_line(line).unwrap()
    }

    #[test]
    fn an_xid_is_told_with_what_it_means_and_what_to_do() {
        let mut reader = Reader::default();
        let line = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, GPU has fallen off the bus.";
        let folded = reader.folder.add(event(line), Timestamp::EPOCH);
        reader.put(folded);
        let (_, Told::Xid(xid)) = reader.waiting.pop_front().unwrap() else {
            panic!("an Xid is told");
        };
        assert_eq!((xid.code, xid.pid, xid.count), (79, Some(1234), 1));
        assert_eq!(xid.severity, aami_model::finding::Severity::Critical);
        assert!(xid.pci.starts_with("0000:3b:00"), "{}", xid.pci);
        assert!(!xid.name.is_empty() && !xid.action.is_empty() && !xid.line.is_empty());
    }

    #[test]
    fn a_storm_waits_folded_and_is_told_at_the_end_of_its_window() {
        let mut reader = Reader::default();
        let line = "NVRM: Xid (PCI:0000:3b:00): 31, pid=1, name=x, MMU Fault";
        for _ in 0..100_000 {
            let folded = reader.folder.add(event(line), Timestamp::EPOCH);
            reader.put(folded);
        }
        assert_eq!(reader.waiting.len(), 1);
        assert!(!reader.is_done());
        reader.waiting.clear();
        reader.due(Timestamp::EPOCH.plus(aami_xid::fold::WINDOW));
        let (_, Told::Xid(xid)) = reader.waiting.pop_front().unwrap() else {
            panic!("an Xid is told");
        };
        assert_eq!(xid.count, 99_999);
    }
}
