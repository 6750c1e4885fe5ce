//! The loop that looks: at the hardware, at the results that rounds of checks leave, at how busy the machine is.
//!
//! Without a control plane it only counts the GPUs that can be used: that is what the metrics tell.
//!
//! Looks are cheap: without a change a turn reads a few names and times. A vendor's tool runs no more often than
//! resources are told, and never longer than its deadline.

mod checks;
mod findings;
mod inventory;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aami_inventory::{Host, SystemCommands};

use super::discover;
use super::resources::Looker;
use super::state::Shared;

pub(super) use checks::{Results, results};
pub(super) use inventory::Document;

/// How often a turn begins.
const TURN: Duration = Duration::from_secs(5);
/// How often resources are looked at, in seconds, unless the control plane wants otherwise.
const RESOURCES: u32 = 60;
/// How long a vendor's tool may take.
const TOOL: Duration = Duration::from_secs(10);

/// Runs until the daemon stops.
pub(super) fn run(shared: &Shared) {
    let commands = SystemCommands {
        limit: TOOL,
        ..SystemCommands::default()
    };
    // What the machine is does not depend on where the node's own files lie.
    let host = Host {
        root: Path::new("/"),
        ..Host::this(&commands)
    };
    let mut inventory = inventory::Watch::default();
    let mut checks = checks::Watch::new(&shared.root);
    let mut findings = findings::Watch::default();
    let mut looker = Looker::default();
    let mut discover = discover::Watch::default();
    let mut looked: Option<Duration> = None;
    let mut most = Duration::ZERO;
    loop {
        let wishes = shared.wait_for_wish(most);
        if shared.is_stopping() {
            return;
        }
        shared.pulses.watch.beat(shared.now());
        if shared.has_uplink {
            inventory.turn(shared, &host, wishes);
            checks.turn(shared);
            discover.turn(shared);
        }
        let every = shared.memory.noted().config.resources_seconds;
        let every = Duration::from_secs(every.unwrap_or(RESOURCES).clamp(10, 3600).into());
        if looked.is_none_or(|looked| shared.now() >= looked + every) {
            looked = Some(shared.now());
            let (resources, visible) = looker.look(&host);
            let count = visible.count(shared.gpu_vendor.as_deref());
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            shared.vitals.gpus_visible.store(count, Ordering::Relaxed);
            let is_known = visible.unknown.is_none();
            shared.vitals.is_gpus_known.store(is_known, Ordering::Relaxed);
            if shared.has_uplink {
                findings.turn(shared, &visible);
                shared.set_resources(resources);
            }
        }
        most = TURN;
    }
}
