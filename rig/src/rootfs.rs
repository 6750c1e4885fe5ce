//! Root file systems of Debian releases, made once each.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::{cache, tool};

/// What every node has: an init, a network, the tools that AAMI's one line may be typed into, and nothing that
/// AAMI would have to bring itself.
const PACKAGES: &[&str] = &[
    "busybox",
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "libnss-myhostname",
    "openssh-server",
    "procps",
    "sudo",
    "systemd-sysv",
    "udev",
    "wget",
];

/// A Debian release that nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// Debian 11, systemd 247.
    Bullseye,
    /// Debian 12, systemd 252.
    Bookworm,
    /// Debian 13, systemd 257.
    Trixie,
}

impl Release {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::Bullseye, Self::Bookworm, Self::Trixie];

    /// The name its archive uses.
    pub const fn codename(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// Its root file system, a folder that nodes only read. Made on first use, in about a minute; needs root.
    pub fn rootfs(self) -> Result<PathBuf> {
        cache::entry(&format!("rootfs-{}", self.codename()), &self.recipe(), |path| {
            self.make(path, &[], &[])
        })
    }

    /// The checksums of all its files, taken once.
    pub(crate) fn sums(self) -> Result<Sums> {
        let rootfs = self.rootfs()?;
        let folder = cache::entry(&format!("sums-{}", self.codename()), &self.recipe(), |path| {
            fs::create_dir(path)?;
            // Whatever a node writes is younger than this.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            fs::write(path.join("taken"), now.as_secs().to_string())?;
            let mut command = Command::new("sh");
            command
                .args(["-c", "find . -xdev -type f -print0 | xargs -0 sha256sum -z"])
                .current_dir(&rootfs);
            Ok(fs::write(path.join("sums"), tool::run(&mut command)?)?)
        })?;
        let taken = fs::read_to_string(folder.join("taken"))?.parse()?;
        let sums = fs::read_to_string(folder.join("sums"))?;
        let of = sums.split_terminator('\0').map(|record| {
            let (sum, path) = record.split_once("  .").context("no sum and path")?;
            Ok((path.to_owned(), sum.to_owned()))
        });
        Ok(Sums {
            taken,
            of: of.collect::<Result<_>>()?,
        })
    }

    /// What a root file system is made of and how: another recipe is another one.
    pub(crate) fn recipe(self) -> String {
        format!("mmdebstrap minbase 2 {self:?} {PACKAGES:?}")
    }

    /// Makes a root file system in a folder, with more packages and more options of mmdebstrap.
    pub(crate) fn make(self, path: &Path, packages: &[&str], options: &[&str]) -> Result<()> {
        tool::need_root("making a root file system")?;
        let mirror = tool::run(&mut Command::new(tool::script("debian-mirror.sh")))?;
        let mut command = Command::new("mmdebstrap");
        command
            .args(["--quiet", "--variant=minbase", "--format=directory"])
            .arg(format!("--include={}", [PACKAGES, packages].concat().join(",")))
            .args(options)
            // Package lists and documentation are of no use to a node that installs nothing.
            .arg("--customize-hook=rm -rf \"$1\"/var/lib/apt/lists/* \"$1\"/usr/share/doc/* \"$1\"/usr/share/man/*")
            // What mmdebstrap takes from this machine: each node has its own. An empty machine-id is filled at
            // boot, while without the file that boot would set presets anew.
            .arg("--customize-hook=cd \"$1\"/etc && rm -f hostname resolv.conf && : > machine-id")
            .arg(self.codename())
            .arg(path)
            .arg(format!("deb {} {} main", mirror.trim(), self.codename()));
        tool::run(&mut command).map(drop)
    }
}

/// The checksums of a root file system's files.
#[derive(Debug)]
pub(crate) struct Sums {
    /// When they were taken, in seconds since 1970: what changed on a node since then is not among them.
    pub(crate) taken: u64,
    /// SHA-256 by path.
    pub(crate) of: HashMap<String, String>,
}
