//! File systems and disks of nodes.
//!
//! A shared file system is full once, however many nodes mount it.

use aami_model::finding::Severity;

use super::checked;
use crate::rules::Rule;

/// File systems that lie on the node's own disks.
const OWN: &str = "fstype=~\"ext[234]|xfs|btrfs|zfs|vfat\"";
/// File systems that many nodes share. Most of FUSE is one user's own: images, portals, what they mounted over SSH.
const SHARED: &str = "fstype=~\"nfs4?|lustre|gpfs|beegfs|ceph|wekafs\
                      |fuse[.](glusterfs|juicefs|ceph|ceph-fuse|mfs|lizardfs|seaweedfs|quobyte|daos)\"";
/// Both.
const ANY: &str = "fstype=~\"ext[234]|xfs|btrfs|zfs|vfat|nfs4?|lustre|gpfs|beegfs|ceph|wekafs\"";

pub(super) fn full() -> Vec<Rule> {
    let share = |what: &str, of: &str| format!("node_filesystem_{what}{{{of}}}");
    let left = |of: &str| format!("{} / {}", share("avail_bytes", of), share("size_bytes", of));
    // A file system that takes nothing is full by design, or has an alert of its own.
    let written = "unless on (cluster, node, device, mountpoint) node_filesystem_readonly == 1";
    vec![
        Rule::new(
            "FilesystemAlmostFull",
            Severity::Warning,
            "15m",
            format!("{} < 0.08 >= 0.03 {written}", left(OWN)),
        )
        .saying(
            "{{ $labels.mountpoint }} of {{ $labels.node }} is almost full",
            "{{ $value | humanizePercentage }} of it is left. `du -xh --max-depth=2 {{ $labels.mountpoint }} | sort -h` on the \
             node says what takes it.",
        ),
        Rule::new(
            "FilesystemFull",
            Severity::Critical,
            "5m",
            format!("{} < 0.03 {written}", left(OWN)),
        )
        .saying(
            "{{ $labels.mountpoint }} of {{ $labels.node }} is full",
            "{{ $value | humanizePercentage }} of it is left: jobs and the node's own services fail when they write. `du -xh \
             --max-depth=2 {{ $labels.mountpoint }} | sort -h` on the node says what takes it.",
        ),
        Rule::new(
            "FilesystemOutOfInodes",
            Severity::Critical,
            "5m",
            format!(
                "{} / ({} > 0) < 0.03 {written}",
                share("files_free", OWN),
                share("files", OWN)
            ),
        )
        .saying(
            "{{ $labels.mountpoint }} of {{ $labels.node }} can hold hardly another file",
            "{{ $value | humanizePercentage }} of its inodes are left, whatever space there is. Many small files lie there: \
             `du --inodes -x {{ $labels.mountpoint }} | sort -n` on the node says where.",
        ),
        Rule::new(
            "SharedFilesystemAlmostFull",
            Severity::Critical,
            "15m",
            format!("min by (cluster, device) ({} {written}) < 0.05", left(SHARED)),
        )
        .saying(
            "{{ $labels.device }} is almost full",
            "{{ $value | humanizePercentage }} of the shared file system is left, and every job that writes to it will fail.",
        ),
    ]
}

/// One that was writable within a day: some are read-only by design.
pub(super) fn read_only() -> Vec<Rule> {
    vec![
        Rule::new(
            "FilesystemReadOnly",
            Severity::Critical,
            "1m",
            format!(
                "node_filesystem_readonly{{{OWN}}} == 1 \
                 unless min_over_time(node_filesystem_readonly{{{OWN}}}[1d]) == 1"
            ),
        )
        .saying(
            "{{ $labels.mountpoint }} of {{ $labels.node }} has become read-only",
            "The kernel gave it up after an error. `dmesg` on the node names the disk; drain the node before anything else.",
        ),
    ]
}

/// A file system that does not even say how full it is, e.g. a mount whose server is gone.
pub(super) fn error() -> Vec<Rule> {
    vec![
        Rule::new(
            "FilesystemError",
            Severity::Critical,
            "5m",
            format!("node_filesystem_device_error{{{ANY}}} == 1"),
        )
        .saying(
            "{{ $labels.mountpoint }} of {{ $labels.node }} does not answer",
            "Asking how full it is fails. Look at the server of the mount first; whoever reads from it on \
             {{ $labels.node }} may hang.",
        ),
    ]
}

pub(super) fn disks() -> Vec<Rule> {
    vec![
        checked(
            "StorageCheckFailed",
            Severity::Critical,
            "check=~\"mounts|disk_smart|nvme\"",
        ),
        // A disk that failed and was taken out is no longer counted as failed.
        Rule::new(
            "RAIDDegraded",
            Severity::Warning,
            "0m",
            "node_md_disks_required - ignoring (state) node_md_disks{state=\"active\"} > 0",
        )
        .saying(
            "The array {{ $labels.device }} of {{ $labels.node }} has lost {{ $value }} disks",
            "Replace it before the next one fails: `mdadm --detail /dev/{{ $labels.device }}` on the node names it.",
        ),
    ]
}
