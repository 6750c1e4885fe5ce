//! Stand-ins for the parts of a system that a test cannot have: systemd, shadow's programs, package
//! managers, firewalls, a container engine, the clock, a process that is killed, a disk that is full.
//!
//! They are state machines with their state in files, so that it outlives a "killed" installer as
//! the real ones' does. For tests only, behind the feature `doubles`; real systems are driven by the
//! project's rig.

mod accounts;
mod containers;
mod cut;
mod firewall;
mod moments;
mod packages;
mod system;
mod systemd;
mod time;

pub use cut::{CutOff, FullDisk};
pub use moments::{at_each_moment, copy};
pub use packages::Repository;
pub use system::System;
pub use systemd::UnitPicture;
pub use time::{Sequence, StillClock};

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::Watch;
use crate::host::{Clock, Commands, Host, Systemctl, Units};
use crate::root::Root;

/// A host below `root` with doubles of everything else, whose memory lies in `memory`.
pub fn host(root: &Path, memory: &Path, watch: Option<Arc<dyn Watch>>) -> io::Result<Host> {
    let system: Arc<dyn Commands> = Arc::new(System::new(root, memory));
    let clock: Arc<dyn Clock> = Arc::new(StillClock::default());
    let units: Arc<dyn Units> = Arc::new(Systemctl::new(system.clone(), clock.clone()));
    let mut root = Root::open(root)?;
    if let Some(watch) = watch {
        root = root.watched(watch);
    }
    Ok(Host {
        root: Arc::new(root),
        clock,
        random: Arc::new(Sequence::default()),
        commands: Some(system),
        units: Some(units),
    })
}
