//! What a machine goes without, since each process of a boot takes a second where processors are emulated, and each
//! megabyte of a picture half a second. Kernel, ext4, systemd, udev and the journal are Debian's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Never unpacked.
const WITHOUT: &[&str] = &[
    "/lib/modules/*/kernel/*",
    "/lib/udev/hwdb.d/*",
    "/usr/lib/udev/hwdb.d/*",
    "/usr/lib/x86_64-linux-gnu/gconv/*",
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/zoneinfo/*",
];
/// Of that, what a machine of the rig does need.
const WITH: &[&str] = &[
    "/lib/modules/*/kernel/drivers/block/virtio_blk.ko",
    "/lib/modules/*/kernel/drivers/char/virtio_console.ko",
    "/lib/modules/*/kernel/drivers/net/net_failover.ko",
    "/lib/modules/*/kernel/drivers/net/virtio_net.ko",
    "/lib/modules/*/kernel/drivers/virtio/*",
    "/lib/modules/*/kernel/fs/autofs/*",
    "/lib/modules/*/kernel/net/core/failover.ko",
];
/// Folders, and all that stays in them: making the initramfs needs more.
const STAYS: &[(&str, &[&str])] = &[
    ("usr/lib/systemd/system-generators", &["systemd-fstab-generator"]),
    (
        "usr/lib/udev/rules.d",
        &[
            "50-udev-default.rules",
            "60-persistent-storage.rules",
            "99-systemd.rules",
        ],
    ),
];
/// Needed to make the image, and not after.
const REMOVED: &[&str] = &[
    "boot",
    "usr/lib/udev/hwdb.bin",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/share/perl",
    "var/cache/debconf",
];
/// Units nobody in a test waits for.
const MASKED: &[&str] = &[
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@.service",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    "serial-getty@.service",
    "ssh.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-logind.service",
    "systemd-pstore.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
];

/// Its part of an image's recipe.
pub(super) fn recipe() -> String {
    format!("{WITHOUT:?} {WITH:?} {STAYS:?} {REMOVED:?} {MASKED:?}")
}

/// Its options of mmdebstrap. What is named later wins.
pub(super) fn options() -> Vec<String> {
    let excluded = WITHOUT.iter().map(|path| format!("path-exclude={path}"));
    let included = WITH.iter().map(|path| format!("path-include={path}"));
    excluded
        .chain(included)
        .map(|option| format!("--dpkgopt={option}"))
        .collect()
}

/// Takes away what only making it needed, and masks units.
pub(super) fn slim(root: &Path) -> Result<()> {
    for path in REMOVED {
        let path = root.join(path);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => continue,
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    for (folder, stays) in STAYS {
        let folder = root.join(folder);
        let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if !stays.iter().any(|name| entry.file_name() == *name) {
                fs::remove_file(entry.path()).with_context(|| format!("cannot remove {entry:?}"))?;
            }
        }
    }
    for unit in MASKED {
        symlink("/dev/null", root.join("etc/systemd/system").join(unit))
            .with_context(|| format!("cannot mask {unit}"))?;
    }
    Ok(())
}
