//! The checks that the agent brings along. Each runs as a process of its own, this program, so that one that hangs
//! on a dead disk or driver is killed like any other.

mod gpu_count;
mod infiniband;
mod mounts;
mod nvme;
mod smart;

use std::time::Duration;

use aami_inventory::Host;

pub use super::report::{Measured, Report, Status};

/// How the agent is told to run one of them, followed by its name.
pub const WORD: &str = "starter";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// What `/etc/fstab` promises is mounted, has room, and can be written.
    Mounts,
    /// What disks say about themselves (SMART). Needs root and smartmontools.
    DiskSmart,
    /// NVMe controllers live and are not too hot.
    Nvme,
    /// InfiniBand and RoCE links are up.
    Infiniband,
    /// As many GPUs are visible as this node enrolled with.
    GpuCount,
}

/// What a node should have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// How many GPUs, as it told the control plane.
    pub gpus: Option<u32>,
}

impl Starter {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Mounts,
        Self::DiskSmart,
        Self::Nvme,
        Self::Infiniband,
        Self::GpuCount,
    ];

    /// Its name in metrics and rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::DiskSmart => "disk_smart",
            Self::Nvme => "nvme",
            Self::Infiniband => "infiniband",
            Self::GpuCount => "gpu_count",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|starter| starter.name() == name)
    }

    /// Whether what it looks at only root can see.
    pub const fn needs_root(self) -> bool {
        matches!(self, Self::DiskSmart)
    }

    pub(super) const fn interval(self) -> u32 {
        match self {
            // It wakes disks up and changes slowly.
            Self::DiskSmart => 1800,
            _ => 60,
        }
    }

    pub(super) const fn timeout(self) -> Duration {
        match self {
            Self::DiskSmart | Self::GpuCount => Duration::from_secs(45),
            _ => Duration::from_secs(20),
        }
    }

    pub(super) fn arguments(self, expected: &Expected) -> Vec<String> {
        let mut arguments = vec!["checks".to_owned(), WORD.to_owned(), self.name().to_owned()];
        if let (Self::GpuCount, Some(count)) = (self, expected.gpus) {
            arguments.extend(["--expected".to_owned(), count.to_string()]);
        }
        arguments
    }

    /// Looks, and says what it found.
    pub fn run(self, host: &Host<'_>, expected: &Expected) -> Report {
        match self {
            Self::Mounts => mounts::run(host),
            Self::DiskSmart => smart::run(host),
            Self::Nvme => nvme::run(host),
            Self::Infiniband => infiniband::run(host),
            Self::GpuCount => gpu_count::run(host, expected),
        }
    }
}

/// The worst of several findings, with the first of the worst in front.
fn worst(mut findings: Vec<(Status, String)>, well: &str) -> Report {
    // Unknown is no worse than broken.
    let rank = |status: Status| match status {
        Status::Ok => 0,
        Status::Unknown => 1,
        Status::Warning => 2,
        Status::Critical => 3,
    };
    findings.sort_by_key(|(status, _)| std::cmp::Reverse(rank(*status)));
    match findings.first() {
        Some((status, _)) if *status != Status::Ok => {
            let texts: Vec<&str> = findings.iter().map(|(_, text)| text.as_str()).collect();
            Report::new(*status, texts.join("; "))
        }
        _ => Report::new(Status::Ok, well),
    }
}
