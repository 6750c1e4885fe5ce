//! Root file systems of Debian releases, made once each.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

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
