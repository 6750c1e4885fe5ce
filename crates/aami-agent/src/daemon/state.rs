//! What the loops share: the spool, the notes, what there is to say, and the bell that wakes them.

mod looks;
mod pulse;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aami_api::link::{Resources, Told, Up};
use aami_install::host::{Clock as _, SystemClock};
use aami_model::Timestamp;
use aami_xid::counters::Counters;
use data_encoding::HEXLOWER;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;

use super::identity::{Identity, Unusable};
use super::memory::Memory;
use super::spool::{Limits, Spool};
use super::{Options, watch};

pub(super) use looks::Looks;
pub(super) use pulse::Pulses;

/// More answers to commands do not wait.
const MOST_OUTGOING: usize = 64;

/// Everything the loops share.
pub(super) struct Shared {
    /// What stands for `/`.
    pub(super) root: PathBuf,
    pub(super) memory: Memory,
    /// Whether there is a control plane to tell.
    pub(super) has_uplink: bool,
    /// How many GPUs the node enrolled with.
    pub(super) gpus_expected: Option<u32>,
    /// Of which vendor those are.
    pub(super) gpu_vendor: Option<String>,
    /// Where the exporters are that this node told of itself.
    pub(super) own_ports: Vec<u16>,
    pub(super) pulses: Pulses,
    pub(super) vitals: Vitals,
    /// The kernel's messages, counted.
    pub(super) xids: Mutex<Counters>,
    /// What the inventory is, once it was looked at.
    pub(super) inventory: Mutex<Option<watch::Document>>,
    spool: Mutex<Spool>,
    outgoing: Mutex<VecDeque<Up>>,
    resources: Mutex<Option<Resources>>,
    wishes: Mutex<Wishes>,
    wished: Condvar,
    bell: OwnedFd,
    /// Can be read once all loops are to end, and ever after.
    ending: OwnedFd,
    is_stopping: AtomicBool,
    clock: SystemClock,
    began: Instant,
    folder: PathBuf,
    say: fn(&str),
    /// Held as long as this process serves the folder.
    _alone: File,
}

/// What the watching loop is asked for.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Wishes {
    /// The control plane lacks the inventory: send it.
    pub(super) inventory: bool,
    /// Look at the hardware again, whatever is known.
    pub(super) refresh: bool,
}

/// Numbers for the metrics.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    pub(super) is_connected: AtomicBool,
    /// The control plane said no, and is asked rarely.
    pub(super) is_refused: AtomicBool,
    pub(super) connections: AtomicU64,
    pub(super) spool_failures: AtomicU64,
    pub(super) records_lost: AtomicU64,
    pub(super) gpus_visible: AtomicU64,
    pub(super) is_gpus_known: AtomicBool,
    /// Looks at the hardware.
    pub(super) looks: Looks,
}

impl Shared {
    /// Opens the node's folder, alone.
    pub(super) fn open(options: &Options, identity: &Identity) -> Result<Self, Unusable> {
        let folder = identity.folder.join("spool");
        let failed = |error: io::Error| Unusable::Host(format!("{}: {error}", folder.display()));
        match fs::create_dir(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let alone = File::open(&folder).map_err(failed)?;
        alone.try_lock().map_err(|_| Unusable::Locked)?;
        let mut fresh = [0_u8; 8];
        getrandom::fill(&mut fresh).map_err(|error| Unusable::Host(error.to_string()))?;
        let reports = folder.join("reports.jsonl");
        let spool = Spool::open(&reports, Limits::default(), &HEXLOWER.encode(&fresh)).map_err(failed)?;
        let bell = || {
            eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| failed(error.into()))
        };
        Ok(Self {
            root: options.root.clone(),
            memory: Memory::open(&folder.join("memory.json")),
            has_uplink: identity.uplink.is_some(),
            gpus_expected: identity.gpus,
            gpu_vendor: identity.gpu_vendor.clone(),
            own_ports: identity.own_ports.clone(),
            pulses: Pulses::of(identity.uplink.is_some()),
            vitals: Vitals::default(),
            xids: Mutex::new(Counters::default()),
            inventory: Mutex::new(None),
            spool: Mutex::new(spool),
            outgoing: Mutex::new(VecDeque::new()),
            resources: Mutex::new(None),
            wishes: Mutex::new(Wishes::default()),
            wished: Condvar::new(),
            bell: bell()?,
            ending: bell()?,
            is_stopping: AtomicBool::new(false),
            clock: SystemClock::new(),
            began: Instant::now(),
            folder,
            say: options.say,
            _alone: alone,
        })
    }

    /// A file of the daemon's own.
    pub(super) fn own(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Since the daemon began, by a clock that nobody sets.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The wall's clock.
    pub(super) fn wall(&self) -> Timestamp {
        self.clock.now()
    }

    /// Says a line to whoever reads the log.
    pub(super) fn say(&self, line: &str) {
        (self.say)(line);
    }

    pub(super) fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a report until the control plane has it. Where the disk refuses, that is counted and said; whoever
    /// reports tries again with its next look. Where nobody will ever hear it, it is done with at once.
    pub(super) fn report(&self, at: Timestamp, what: Told) -> io::Result<u64> {
        if !self.has_uplink {
            return Ok(0);
        }
        let pushed = self.spool().push(at, what);
        match &pushed {
            Ok(_) => self.ring(),
            Err(error) => {
                self.vitals.spool_failures.fetch_add(1, Ordering::Relaxed);
                self.say(&format!("a report cannot be kept: {error}"));
            }
        }
        pushed
    }

    /// Says something once, if the control plane is there to hear it.
    pub(super) fn tell(&self, up: Up) {
        let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        if outgoing.len() < MOST_OUTGOING {
            outgoing.push_back(up);
        }
        drop(outgoing);
        self.ring();
    }

    /// What was to be said, in its order.
    pub(super) fn next_outgoing(&self) -> Option<Up> {
        let mut outgoing = self.outgoing.lock().unwrap_or_else(PoisonError::into_inner);
        outgoing.pop_front()
    }

    /// What was to be said to a connection that is gone is not said to the next one.
    pub(super) fn forget_outgoing(&self) {
        self.outgoing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// A new look at how busy the node is, in place of one that was not sent.
    pub(super) fn set_resources(&self, resources: Resources) {
        *self.resources.lock().unwrap_or_else(PoisonError::into_inner) = Some(resources);
    }

    /// The newest look that was not sent.
    pub(super) fn take_resources(&self) -> Option<Resources> {
        self.resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Asks the watching loop for something.
    pub(super) fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        wish(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        self.wished.notify_all();
    }

    /// Waits for a wish, or as long as `most`.
    pub(super) fn wait_for_wish(&self, most: Duration) -> Wishes {
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |wishes: &mut Wishes| !wishes.inventory && !wishes.refresh && !self.is_stopping();
        let (mut wishes, _) = self
            .wished
            .wait_timeout_while(wishes, most, idle)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *wishes)
    }

    /// Wakes the link.
    pub(super) fn ring(&self) {
        // Full means that it rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// What the link waits on beside its socket.
    pub(super) const fn bell(&self) -> &OwnedFd {
        &self.bell
    }

    /// Hears the bell out.
    pub(super) fn hear(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }

    /// What every loop may wait on: unlike the bell, nobody hears it out.
    pub(super) const fn ending(&self) -> &OwnedFd {
        &self.ending
    }

    /// Ends all loops.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.ring();
        let _ = rustix::io::write(&self.ending, &1_u64.to_ne_bytes());
        self.wished.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }
}

/// A number from 0 up to 1, by the kernel.
pub(super) fn random() -> f64 {
    let mut bytes = [0_u8; 4];
    if getrandom::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// The kernel's boot id.
pub(super) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.unwrap_or_default().trim().chars().take(40).collect()
}

/// What no other start of a machine has: the kernel's boot id and, since containers on one kernel share that, when the
/// first process of this one began.
pub(super) fn start_id() -> String {
    let stat = fs::read_to_string("/proc/1/stat").unwrap_or_default();
    format!("{}.{}", boot_id(), began(&stat).unwrap_or_default())
}

/// Field 22 of proc_pid_stat(5), in clock ticks since the kernel started; the name before it may hold anything.
fn began(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// What the loops share on a node that is this folder.
#[cfg(test)]
pub(super) fn stage(folder: &std::path::Path) -> Shared {
    let options = Options {
        root: folder.to_owned(),
        form: aami_plans::node::Form::Foreground,
        cluster: "main".to_owned(),
        metrics: "127.0.0.1:0".parse().expect("an address"),
        proxies: aami_plans::download::Proxies::default(),
        notify: super::Notify::default(),
        say: |_| {},
    };
    let identity = Identity::on_stage(folder);
    Shared::open(&options, &identity).expect("the folder can be opened")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_the_first_process_is_read_whatever_its_name() {
        let rest = (3..=52)
            .map(|field| field.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(began(&format!("1 (systemd) {rest}")), Some(22));
        assert_eq!(began(&format!("1 (a) 7 (b) {rest}")), Some(22));
        assert_eq!(began(""), None);
        assert!(start_id().len() <= 64 && start_id().bytes().all(|b| b.is_ascii_graphic()));
    }
}
