//! Where a path would be written: the mount below it, its room, and what it allows.

use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use serde::Serialize;

use crate::host::Host;

/// The mount a path lies on, or would lie on once it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The path asked about.
    pub path: String,
    /// The nearest folder that exists: the path itself, or one above it.
    pub existing: String,
    /// What stands on the way and is no folder: a file, or a link that leads nowhere.
    pub blocked_by: Option<String>,
    /// Where the mount begins, e.g. `/var`.
    pub mount_point: String,
    /// The kind of file system, e.g. `ext4`.
    pub file_system: String,
    /// Whether the mount takes no writes.
    pub read_only: bool,
    /// Whether programs on it may not be run.
    pub noexec: bool,
    /// Bytes in all.
    pub total: u64,
    /// Bytes that may still be written without being root.
    pub free: u64,
    /// Inodes in all; `None` where the file system counts none (btrfs, some network file systems).
    pub inodes: Option<u64>,
    /// Inodes left.
    pub inodes_free: u64,
}

/// Looks at where `path` would be written. `None` when not even `/` can be looked at.
pub fn volume(host: &Host<'_>, path: &str) -> Option<Volume> {
    let (existing, blocked_by) = nearest(host, path);
    let real = host.path(&existing);
    let room = rustix::fs::statvfs(&real).ok()?;
    let unit = room.f_frsize;
    let canonical = real.canonicalize().unwrap_or(real);
    let inside = canonical.strip_prefix(host.root).unwrap_or(&canonical);
    let mounts = host.read("/proc/self/mountinfo").unwrap_or_default();
    let (mount_point, file_system) = mounted(&mounts, &Path::new("/").join(inside));
    Some(Volume {
        path: path.to_owned(),
        existing,
        blocked_by,
        mount_point,
        file_system,
        read_only: room.f_flag.contains(StatVfsMountFlags::RDONLY),
        noexec: room.f_flag.contains(StatVfsMountFlags::NOEXEC),
        total: room.f_blocks.saturating_mul(unit),
        free: room.f_bavail.saturating_mul(unit),
        inodes: (room.f_files > 0).then_some(room.f_files),
        inodes_free: room.f_favail,
    })
}

/// The nearest folder that exists, and what is in the way where something other than a folder is.
fn nearest(host: &Host<'_>, path: &str) -> (String, Option<String>) {
    let mut at = PathBuf::from(path);
    let mut blocked = None;
    loop {
        let text = at.to_string_lossy().into_owned();
        let real = host.path(&text);
        if real.is_dir() {
            return (text, blocked);
        }
        // A link that leads nowhere is there, too.
        if std::fs::symlink_metadata(&real).is_ok() {
            blocked = Some(text);
        }
        if !at.pop() {
            return ("/".to_owned(), blocked);
        }
    }
}

/// Mount point and kind of the file system `path` is on, by proc_pid_mountinfo(5): the longest mount
/// point that begins it, and of two the later, which hides the earlier.
fn mounted(mounts: &str, path: &Path) -> (String, String) {
    let mut best = (String::from("/"), String::new());
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else {
            continue;
        };
        let point = unescaped(point);
        if path.starts_with(&point) && point.len() >= best.0.len() {
            best = (point, kind.to_owned());
        }
    }
    best
}

/// Blanks and such are written as three octal digits there.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        26 25 0:22 / /tmp rw,nosuid,noexec - tmpfs tmpfs rw\n\
        30 25 8:2 / /var rw - xfs /dev/sda2 rw\n\
        31 25 8:3 / /var/lib/my\\040data rw - ext4 /dev/sdb rw\n\
        32 26 8:4 / /tmp rw - btrfs /dev/sdc rw\n";

    #[test]
    fn a_path_is_on_the_mount_that_begins_it_furthest() {
        let of = |path: &str| mounted(MOUNTS, Path::new(path));
        assert_eq!(of("/etc/aami").0, "/");
        assert_eq!(of("/var/lib/aami"), ("/var".into(), "xfs".into()));
        assert_eq!(of("/variety").0, "/");
        assert_eq!(of("/var/lib/my data/x").0, "/var/lib/my data");
        assert_eq!(of("/tmp/x").1, "btrfs", "the later mount hides the earlier");
        assert_eq!(mounted("nonsense\n", Path::new("/x")).0, "/");
    }

    #[test]
    fn what_is_not_there_yet_is_looked_at_where_it_would_be() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("opt")).unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("link")).unwrap();
        let commands = crate::SystemCommands::default();
        let host = Host {
            root: folder.path(),
            privileged: false,
            commands: &commands,
        };
        let of = |path| volume(&host, path).unwrap();
        assert_eq!(of("/opt/aami/x").existing, "/opt");
        assert_eq!(of("/opt/aami/x").blocked_by, None);
        assert_eq!(of("/file/x").blocked_by.as_deref(), Some("/file"));
        assert_eq!(of("/link/x").blocked_by.as_deref(), Some("/link"));
        assert!(of("/opt").free <= of("/opt").total && of("/opt").total > 0);
    }
}
