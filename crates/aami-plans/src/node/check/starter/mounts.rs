//! What `/etc/fstab` promises is mounted, can be written, and has room.

use std::collections::BTreeMap;
use std::path::Path;

use aami_inventory::Host;
use rustix::fs::StatVfs;
use rustix::io::Errno;

use super::{Report, Status, worst};

/// Less free space or inodes than this share is worth a look, or broken.
const LOW: (f64, f64) = (0.10, 0.03);
/// File systems that hold something and fill up; the room on all others is the kernel's, or memory's.
const REAL: [&str; 23] = [
    "9p", "bcachefs", "beegfs", "btrfs", "ceph", "cifs", "exfat", "ext2", "ext3", "ext4", "f2fs", "gpfs",
    "jfs", "lustre", "nfs", "nfs4", "overlay", "reiserfs", "vfat", "virtiofs", "wekafs", "xfs", "zfs",
];
/// File systems that cannot be written, whatever `/etc/fstab` says of them.
const NEVER_WRITTEN: [&str; 6] = ["cramfs", "erofs", "iso9660", "romfs", "squashfs", "udf"];
/// At most this many are looked at.
const MOST: usize = 64;

struct Mounted {
    kind: String,
    read_only: bool,
}

struct Promised {
    place: String,
    read_only: bool,
    may_fail: bool,
}

pub(super) fn run(host: &Host<'_>) -> Report {
    judged(host, |place| rustix::fs::statvfs(place))
}

/// `room` tells how full the file system at a place is.
fn judged(host: &Host<'_>, room: impl Fn(&Path) -> Result<StatVfs, Errno>) -> Report {
    // This process may see mounts of its own; the first process sees the host's.
    let Some(text) = host
        .read("/proc/1/mounts")
        .or_else(|| host.read("/proc/self/mounts"))
    else {
        return Report::new(Status::Unknown, "the mounts cannot be read");
    };
    let mounted = mounted(&text);
    let promised = promised(&host.read("/etc/fstab").unwrap_or_default());
    let mut findings = Vec::new();
    // Places that somebody counts on, as the kernel calls them, and whether they are to be read only.
    let mut counted_on = BTreeMap::new();
    for promise in &promised {
        let place = &promise.place;
        // A link on the way to it is followed when it is mounted.
        let found = mounted
            .get_key_value(place)
            .or_else(|| mounted.get_key_value(&followed(host, place)?));
        let Some((seen_as, found)) = found else {
            let how_bad = if promise.may_fail {
                Status::Warning
            } else {
                Status::Critical
            };
            findings.push((how_bad, format!("{place} is not mounted")));
            continue;
        };
        counted_on.insert(seen_as.as_str(), promise.read_only);
        // A file system with errors is made read-only by the kernel.
        let may_be_written = !promise.read_only && !NEVER_WRITTEN.contains(&found.kind.as_str());
        if found.read_only && may_be_written {
            findings.push((Status::Critical, format!("{place} became read-only")));
        }
    }
    let mut values: Vec<(&String, &str, f64)> = Vec::new();
    let mut looked = 0;
    let watched = mounted
        .iter()
        .filter(|(place, found)| has_room(place, found, counted_on.contains_key(place.as_str())));
    for (place, found) in watched.take(MOST) {
        values.push((place, "read_only", f64::from(u8::from(found.read_only))));
        // What is read-only by design is full by design.
        let by_design = counted_on.get(place.as_str()).is_none_or(|read_only| *read_only);
        if found.read_only && by_design {
            continue;
        }
        let room = match room(&host.path(place)) {
            Ok(room) => room,
            // It lies below a folder that is closed to this check, which says nothing about it.
            Err(Errno::ACCESS | Errno::PERM) => continue,
            Err(_) => {
                findings.push((Status::Unknown, format!("{place} does not answer")));
                continue;
            }
        };
        looked += 1;
        for (name, free, all) in [
            ("free_ratio", room.f_bavail, room.f_blocks),
            ("free_inodes_ratio", room.f_favail, room.f_files),
        ] {
            // File systems without a fixed number of inodes say 0.
            if all == 0 || found.kind == "vfat" && name == "free_inodes_ratio" {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "a share for people")]
            let share = free as f64 / all as f64;
            values.push((place, name, share));
            let what = if name == "free_ratio" { "space" } else { "inodes" };
            let percent = share * 100.0;
            if share < LOW.1 {
                findings.push((
                    Status::Critical,
                    format!("{place} has {percent:.1} % of its {what} free"),
                ));
            } else if share < LOW.0 {
                findings.push((
                    Status::Warning,
                    format!("{place} has {percent:.1} % of its {what} free"),
                ));
            }
        }
    }
    let mut report = worst(findings, &format!("{looked} file systems are well"));
    for (place, name, value) in values {
        report = report.with(name, &[("mount", place)], value);
    }
    report
}

/// The whole of `/proc/PID/mounts` (proc(5)); the last mount on a place is the one that is seen.
fn mounted(text: &str) -> BTreeMap<String, Mounted> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, place, kind, options, ..] = fields.as_slice() else {
            continue;
        };
        found.insert(
            unescaped(place),
            Mounted {
                kind: (*kind).to_owned(),
                read_only: options.split(',').any(|option| option == "ro"),
            },
        );
    }
    found
}

/// Whether its room is looked at: it can fill up, and it is this host's.
fn has_room(place: &str, found: &Mounted, is_promised: bool) -> bool {
    // Users mount what they like into their own folders, and nobody else may look at it.
    let is_kind = REAL.contains(&found.kind.as_str()) || found.kind.starts_with("fuse.") && is_promised;
    is_kind && (is_promised || !is_inside_a_container(place))
}

/// Where a place is without the links on the way to it.
fn followed(host: &Host<'_>, place: &str) -> Option<String> {
    let root = host.root.canonicalize().ok()?;
    let found = host.path(place).canonicalize().ok()?;
    let below = found.strip_prefix(root).ok()?;
    Some(format!("/{}", below.to_str()?))
}

/// Mounts that container engines make by the hundred; their host's are looked at.
fn is_inside_a_container(place: &str) -> bool {
    [
        "/var/lib/docker/",
        "/var/lib/containers/",
        "/var/lib/kubelet/",
        "/run/",
    ]
    .iter()
    .any(|folder| place.starts_with(folder))
}

/// `/etc/fstab` (fstab(5)), without swap and what is mounted only on demand.
fn promised(text: &str) -> Vec<Promised> {
    let mut found = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [device, place, kind, rest @ ..] = fields.as_slice() else {
            continue;
        };
        let options: Vec<&str> = rest
            .first()
            .map_or(Vec::new(), |options| options.split(',').collect());
        let has = |name: &str| options.contains(&name);
        let on_demand = has("noauto") || has("x-systemd.automount");
        if device.starts_with('#') || !place.starts_with('/') || *kind == "swap" || on_demand {
            continue;
        }
        found.push(Promised {
            place: match unescaped(place).trim_end_matches('/') {
                "" => "/".to_owned(),
                place => place.to_owned(),
            },
            read_only: has("ro"),
            may_fail: has("nofail"),
        });
    }
    found
}

/// Blanks stand as `\040` in both files.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use aami_inventory::SystemCommands;

    use super::*;

    fn look(root: &Path, mounts: &str, fstab: &str) -> Report {
        look_with(root, mounts, fstab, |place| rustix::fs::statvfs(place))
    }

    fn look_with(
        root: &Path,
        mounts: &str,
        fstab: &str,
        room: impl Fn(&Path) -> Result<StatVfs, Errno>,
    ) -> Report {
        for (path, text) in [("proc/1/mounts", mounts), ("etc/fstab", fstab)] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::create_dir_all(root.join("data")).unwrap();
        let commands = SystemCommands::default();
        let host = Host {
            root,
            privileged: false,
            commands: &commands,
        };
        judged(&host, room)
    }

    #[test]
    fn a_mount_that_the_check_may_not_reach_or_a_user_made_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /closed/data xfs rw 0 0\n\
                      ann@x:/ /home/ann/x fuse.sshfs rw 0 0\nbucket /s3 fuse.s3fs rw 0 0\n";
        let room = |error: Errno| {
            move |place: &Path| {
                if place.ends_with("data") || place.ends_with("x") {
                    return Err(error);
                }
                rustix::fs::statvfs(place.ancestors().find(|path| path.exists()).unwrap())
            }
        };
        let fstab = "bucket /s3 fuse.s3fs _netdev 0 0\n";

        let report = look_with(folder.path(), mounts, fstab, room(Errno::ACCESS));
        assert_ne!(report.status, Status::Unknown, "{}", report.message);
        let seen = |place: &str| report.values.iter().any(|value| value.labels["mount"] == place);
        assert!(seen("/s3") && seen("/closed/data") && !seen("/home/ann/x"));

        // A file system that is broken is still said, but for a user's own.
        let report = look_with(folder.path(), mounts, fstab, room(Errno::NOTCONN));
        assert!(
            report.message.contains("/closed/data does not answer"),
            "{}",
            report.message
        );
        assert!(!report.message.contains("/home"), "{}", report.message);
    }

    #[test]
    fn a_mount_that_is_missing_or_became_read_only_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let fstab = "UUID=1 / ext4 errors=remount-ro 0 1\nUUID=2 /data xfs defaults 0 2\n\
                     UUID=3 none swap sw 0 0\nUUID=4 /usb vfat noauto 0 0\nUUID=5 /spare ext4 nofail 0 0\n# /x /y z\n";
        let well = "/dev/a / ext4 rw 0 0\n/dev/b /data xfs rw,relatime 0 0\nproc /proc proc rw 0 0\n\
                    /dev/c /spare ext4 rw 0 0\n";
        let report = look(folder.path(), well, fstab);
        assert!(!report.message.contains("mounted"), "{}", report.message);
        assert!(report.values.iter().any(|value| value.labels["mount"] == "/data"));

        let report = look(folder.path(), "/dev/a / ext4 ro 0 0\n", fstab);
        assert_eq!(report.status, Status::Critical);
        for said in [
            "/ became read-only",
            "/data is not mounted",
            "/spare is not mounted",
        ] {
            assert!(report.message.contains(said), "{said}: {}", report.message);
        }
        assert!(!report.message.contains("/usb"), "{}", report.message);
    }

    #[test]
    fn whatever_is_mounted_keeps_the_promise_also_what_has_no_room_of_its_own() {
        // Given a GPU node's /etc/fstab, with everything in it mounted,
        let folder = tempfile::tempdir().unwrap();
        let fstab = "tmpfs /dev/shm tmpfs size=64g 0 0\nnone /dev/hugepages hugetlbfs defaults 0 0\n\
                     proc /proc proc hidepid=2 0 0\nshare /srv/share virtiofs defaults 0 0\n\
                     host /srv/host 9p trans=virtio 0 0\nweka/fs /mnt/weka wekafs _netdev 0 0\n\
                     UUID=2 /data/ xfs defaults 0 2\nUUID=3 /var/lib/docker/volumes ext4 defaults 0 2\n\
                     tmpfs /run/scratch tmpfs defaults 0 0\n/dev/sr0 /media/tools iso9660 defaults 0 0\n\
                     UUID=4 /link ext4 defaults 0 2\n";
        std::os::unix::fs::symlink("data", folder.path().join("link")).unwrap();
        let mounts = "tmpfs /dev/shm tmpfs rw 0 0\nnone /dev/hugepages hugetlbfs rw 0 0\nproc /proc proc rw 0 0\n\
                      share /srv/share virtiofs rw 0 0\nhost /srv/host 9p rw 0 0\nfs /mnt/weka wekafs rw 0 0\n\
                      /dev/b /data xfs rw 0 0\n/dev/c /var/lib/docker/volumes ext4 rw 0 0\n\
                      tmpfs /run/scratch tmpfs rw 0 0\n/dev/sr0 /media/tools iso9660 ro 0 0\n\
                      overlay /var/lib/docker/overlay2/x/merged overlay rw 0 0\n";
        let half_full = |_: &Path| {
            let mut room = rustix::fs::statvfs("/")?;
            (room.f_blocks, room.f_bavail, room.f_files, room.f_favail) = (100, 50, 100, 50);
            Ok(room)
        };
        // then all is well, and the room is looked at where something is kept.
        let report = look_with(folder.path(), mounts, fstab, half_full);
        assert_eq!(report.status, Status::Ok, "{}", report.message);
        let seen: std::collections::BTreeSet<&str> = report
            .values
            .iter()
            .map(|value| value.labels["mount"].as_str())
            .collect();
        let kept = [
            "/data",
            "/mnt/weka",
            "/srv/host",
            "/srv/share",
            "/var/lib/docker/volumes",
        ];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), kept);
        // And what is missing is still said.
        let report = look_with(folder.path(), "/dev/a / ext4 rw 0 0\n", fstab, half_full);
        assert_eq!(report.status, Status::Critical);
        assert!(
            report.message.contains("/data is not mounted"),
            "{}",
            report.message
        );
    }

    #[test]
    fn a_file_system_that_fills_up_is_said_before_it_is_full() {
        let folder = tempfile::tempdir().unwrap();
        for (blocks, inodes, status, said) in [
            (100, 100, Status::Ok, "are well"),
            (99, 500, Status::Warning, "/data has 9.9 % of its space free"),
            (29, 500, Status::Critical, "/data has 2.9 % of its space free"),
            (500, 99, Status::Warning, "/data has 9.9 % of its inodes free"),
            (500, 0, Status::Critical, "/data has 0.0 % of its inodes free"),
        ] {
            let room = |_: &Path| {
                let mut room = rustix::fs::statvfs("/")?;
                (room.f_blocks, room.f_bavail) = (1000, blocks);
                (room.f_files, room.f_favail) = (1000, inodes);
                Ok(room)
            };
            let report = look_with(folder.path(), "/dev/a /data ext4 rw 0 0\n", "", room);
            assert_eq!(report.status, status, "{}", report.message);
            assert!(report.message.contains(said), "{said}: {}", report.message);
        }
    }

    #[test]
    fn what_is_read_only_by_promise_may_be_full() {
        let folder = tempfile::tempdir().unwrap();
        let full = |_: &Path| {
            let mut room = rustix::fs::statvfs("/")?;
            (room.f_blocks, room.f_bavail) = (100, 0);
            Ok(room)
        };
        let report = look_with(
            folder.path(),
            "/dev/a /data ext4 ro 0 0\n",
            "UUID=1 /data ext4 ro 0 0\n",
            full,
        );
        assert_eq!(report.status, Status::Ok, "{}", report.message);
    }

    #[test]
    fn names_with_blanks_are_read() {
        let found = mounted("/dev/a /my\\040disk ext4 ro,noatime 0 0\nnonsense\n");
        assert!(found["/my disk"].read_only);
    }
}
