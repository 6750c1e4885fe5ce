//! Debian on a disk, with a kernel: what a machine boots.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{disk, lean, shell};
use crate::{Release, cache, tool};

/// What a machine has beside what a node has.
const PACKAGES: &[&str] = &["linux-image-cloud-amd64", "initramfs-tools", "zstd"];
/// As large as the disk appears; it takes no more room than what is on it.
const MIB: u64 = 2048;

/// The device of the port starts its server.
const RULE: &str = "SUBSYSTEM==\"virtio-ports\", ATTR{name}==\"aami-rig\", TAG+=\"systemd\", \
                    ENV{SYSTEMD_WANTS}+=\"aami-rig-shell.service\"\n";
const UNIT: &str = "[Unit]\nDescription=Commands of the rig\nAfter=multi-user.target\n\n[Service]\n\
                    ExecStart=/usr/local/lib/aami-rig/shell\nRestart=always\nRestartSec=1\n";
/// Only what finds the disk, the port and the network, so that it unpacks fast and udev has nothing to load.
const INITRAMFS: &str = "mkdir -p \"$1\"/etc/initramfs-tools/conf.d \"$1\"/usr/share/initramfs-tools/modules.d && \
                         echo MODULES=list > \"$1\"/etc/initramfs-tools/conf.d/aami-rig && \
                         printf '%s\\n' virtio_pci virtio_blk virtio_console virtio_net \
                         > \"$1\"/usr/share/initramfs-tools/modules.d/aami-rig";

/// A folder with a disk, a kernel and an initramfs.
#[derive(Debug, Clone)]
pub struct Image {
    folder: PathBuf,
}

impl Image {
    /// A Debian release. Made on first use, in two minutes; needs root.
    pub fn of(release: Release) -> Result<Self> {
        let recipe = format!(
            "ext4 2 {} {PACKAGES:?} {} {RULE} {UNIT} {INITRAMFS} {} {MIB}",
            release.recipe(),
            lean::recipe(),
            shell::SERVER
        );
        let folder = cache::entry(&format!("machine-{}", release.codename()), &recipe, |path| {
            tool::need_root("making the disk of a machine")?;
            let root = path.join("root");
            fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
            let mut options = lean::options();
            options.push(format!("--essential-hook={INITRAMFS}"));
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            release.make(&root, PACKAGES, &options)?;
            for name in ["vmlinuz", "initrd"] {
                fs::copy(newest(&root.join("boot"), name)?, path.join(name))?;
            }
            lean::slim(&root)?;
            furnish(&root)?;
            disk::file_system(&root, &path.join("disk"), MIB)?;
            fs::remove_dir_all(&root).context("cannot tidy up")
        })?;
        Ok(Self { folder })
    }

    /// Its disk, one ext4 file system without partitions. To be read only.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Its kernel.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The initramfs of its kernel.
    pub fn initrd(&self) -> PathBuf {
        self.folder.join("initrd")
    }
}

/// What makes a root file system a machine of the rig.
fn furnish(root: &Path) -> Result<()> {
    let write = |path: &str, text: &str, mode: u32| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    write("usr/local/lib/aami-rig/shell", shell::SERVER, 0o755)?;
    write("etc/systemd/system/aami-rig-shell.service", UNIT, 0o644)?;
    write("etc/udev/rules.d/99-aami-rig.rules", RULE, 0o644)?;
    write("etc/hostname", "machine\n", 0o644)?;
    write("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 machine\n", 0o644)
}

/// The file in `/boot` that begins so, e.g. `vmlinuz-6.1.0-50-cloud-amd64`.
fn newest(boot: &Path, name: &str) -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(boot)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|file| file.to_string_lossy().starts_with(name))
        })
        .collect();
    found.sort();
    found
        .pop()
        .with_context(|| format!("no {name} in {}", boot.display()))
}
