//! The kernel's log: Xids and SXids as they happen, folded where they storm, each line counted.
//!
//! What is noted is how far everything was told, so that a restart loses none and, at worst, tells what came since the
//! beginning of a window twice. While more waits than is allowed, nothing is read: the kernel keeps the rest, and says
//! how much of it was overwritten meanwhile.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aami_api::link::{Told, XidTold};
use aami_inventory::Host;
use aami_model::Timestamp;
use aami_xid::Event;
use aami_xid::fold::{Folded, Folder};
use aami_xid::kmsg::{Follower, Next, Position, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::state::{Shared, boot_id};

/// Where the kernel gives its log, a record a read (kernel, Documentation/ABI/testing/dev-kmsg).
const LOG: &str = "/dev/kmsg";
/// On the PCI bus: NVIDIA, its GPUs, and its NVSwitches, which are bridges of no other kind (pci.ids).
const NVIDIA: &str = "0x10de";
const GPU: &str = "0x03";
const SWITCH: &str = "0x0680";
/// How long one turn waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often it is noted how far the log was read while nothing happens.
const NOTE: Duration = Duration::from_secs(600);
/// How long what the disk refused waits for its next try, where nothing is read meanwhile.
const RETRY: Duration = Duration::from_secs(5);
/// Once so much waits to be kept, nothing more is read. What the folder gives at once may come on top.
const MOST_WAITING: usize = 256;
/// Records of one turn: the loop shows that it moves.
const MOST_READ: usize = 4096;
/// A line of a report is no longer.
const LONGEST_LINE: usize = 500;

/// Runs until the daemon stops.
pub(super) fn run(shared: &Shared) {
    let commands = aami_inventory::SystemCommands::default();
    know(shared, &Host::this(&commands));
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or(0);
    match OpenOptions::new().read(true).custom_flags(flags).open(LOG) {
        Ok(file) => follow(shared, file),
        Err(error) => {
            shared.say(&format!("Xids cannot be seen: {LOG}: {error}"));
            idle(shared);
        }
    }
}

fn follow(shared: &Shared, file: File) {
    let from = shared.memory.noted().kernel.clone();
    let mut follower = Follower::new(file, &boot_id(), from.as_ref());
    let mut reader = Reader::default();
    let mut keep = |at, what| shared.report(at, what).is_ok();
    let mut noted = shared.now();
    while !shared.is_stopping() {
        shared.pulses.kernel.beat(shared.now());
        let turn = reader.turn(shared, &mut follower, &mut keep);
        if let Err(error) = &turn {
            shared.say(&format!("{LOG} cannot be read any more: {error}"));
            break;
        }
        if turn.is_ok_and(|has_told| has_told) || shared.now().saturating_sub(noted) >= NOTE {
            noted = shared.now();
            note(shared, reader.told_to(&follower));
        }
        let source = (!reader.is_full()).then_some(follower.source());
        wait(shared, source, reader.wait(shared.wall()));
    }
    reader.finish();
    reader.tell(&mut keep);
    note(shared, reader.told_to(&follower));
    idle(shared);
}

fn note(shared: &Shared, position: Option<Position>) {
    if let Err(error) = shared.memory.change(|noted| noted.kernel = position) {
        shared.say(&format!(
            "how far the kernel's log was told cannot be noted: {error}"
        ));
    }
}

fn idle(shared: &Shared) {
    while !shared.is_stopping() {
        shared.pulses.kernel.beat(shared.now());
        wait(shared, None, LONGEST_WAIT);
    }
}

/// Waits until there is more to read, where that is wanted; until the end; or as long as `most`.
fn wait(shared: &Shared, source: Option<&File>, most: Duration) {
    let timeout = Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(0),
        tv_nsec: most.subsec_nanos().into(),
    };
    let mut waits = vec![PollFd::new(shared.ending(), PollFlags::IN)];
    waits.extend(source.map(|file| PollFd::new(file, PollFlags::IN)));
    // An interruption is a turn like any other.
    let _ = poll(&mut waits, Some(&timeout));
}

/// When this machine started, by the wall's clock: records carry the time since then.
fn began(now: Timestamp) -> Timestamp {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: Option<f64> = text.split_whitespace().next().and_then(|word| word.parse().ok());
    let up = Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default();
    let up = i64::try_from(up.as_millis()).unwrap_or(0);
    Timestamp::from_millis(now.millis().saturating_sub(up))
}

/// The counters of the GPUs and switches there are stand at 0 from the beginning.
fn know(shared: &Shared, host: &Host<'_>) {
    let mut counters = shared.xids.lock().unwrap_or_else(PoisonError::into_inner);
    for device in host.list("/sys/bus/pci/devices") {
        let read = |file: &str| host.read(&format!("/sys/bus/pci/devices/{device}/{file}"));
        let (Some(class), Ok(address)) = (read("class"), device.parse()) else {
            continue;
        };
        if read("vendor").as_deref() != Some(NVIDIA) {
            continue;
        }
        if class.starts_with(GPU) {
            counters.know(address);
        } else if class.starts_with(SWITCH) {
            counters.know_switch(address);
        }
    }
}

/// What was read and is not told yet.
#[derive(Default)]
struct Reader {
    folder: Folder,
    /// Each with the number of the first line it stands for.
    waiting: VecDeque<(u64, Timestamp, Told)>,
}

impl Reader {
    /// Reads what there is, as far as there is room, and tells what is to be told. Whether it told any.
    fn turn<R: Read>(
        &mut self,
        shared: &Shared,
        follower: &mut Follower<R>,
        keep: &mut impl FnMut(Timestamp, Told) -> bool,
    ) -> io::Result<bool> {
        let mut has_told = false;
        let began = began(shared.wall());
        for _ in 0..MOST_READ {
            if self.is_full() {
                has_told |= self.tell(keep);
            }
            if self.is_full() || shared.is_stopping() {
                break;
            }
            match follower.read()? {
                Next::Record(record) => self.take(shared, &record, began),
                Next::Lost(count) => {
                    shared.vitals.records_lost.fetch_add(count, Ordering::Relaxed);
                }
                Next::Later => break,
            }
        }
        if !self.is_full() {
            self.due(shared.wall());
        }
        Ok(self.tell(keep) || has_told)
    }

    fn take(&mut self, shared: &Shared, record: &Record, began: Timestamp) {
        let Some(event) = Event::of_record(record) else {
            return;
        };
        let at = began.plus(record.since_boot);
        let mut counters = shared.xids.lock().unwrap_or_else(PoisonError::into_inner);
        counters.count(&event, at);
        drop(counters);
        let told = self.folder.add(event, at, record.sequence);
        self.put(told);
    }

    fn due(&mut self, now: Timestamp) {
        let told = self.folder.due(now);
        self.put(told);
    }

    /// Nothing more will be read.
    fn finish(&mut self) {
        let told = self.folder.finish();
        self.put(told);
    }

    fn put(&mut self, folded: Vec<Folded>) {
        let folded = folded.iter();
        self.waiting
            .extend(folded.map(|folded| (folded.line, folded.last, told(folded))));
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    /// Has what waits kept; whether any was. What the disk refuses waits on.
    fn tell(&mut self, keep: &mut impl FnMut(Timestamp, Told) -> bool) -> bool {
        let mut any = false;
        while let Some((_, at, what)) = self.waiting.front() {
            if !keep(*at, what.clone()) {
                break;
            }
            self.waiting.pop_front();
            any = true;
        }
        any
    }

    /// Up to where every line is told.
    fn told_to<R: Read>(&self, follower: &Follower<R>) -> Option<Position> {
        let waiting = self.waiting.iter().map(|(line, ..)| *line);
        let position = follower.position()?;
        Some(match waiting.chain(self.folder.oldest()).min() {
            Some(next) => Position { next, ..position },
            None => position,
        })
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let due = self.folder.next_due().map(|due| {
            if due > now {
                due.since(now)
            } else {
                Duration::from_millis(100)
            }
        });
        let most = if self.is_full() { RETRY } else { LONGEST_WAIT };
        due.unwrap_or(most).min(most)
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
mod tests;
