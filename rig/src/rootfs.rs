//! Root file systems of Debian releases, made once each.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

    /// What a root file system is made of and how: another recipe is another one.
    pub(crate) fn recipe(self) -> String {
        format!("mmdebstrap minbase 2 {self:?} {PACKAGES:?}")
    }

    /// Makes a root file system in a folder, with more packages and more options of mmdebstrap.
    pub(crate) fn make(self, path: &Path, packages: &[&str], options: &[&str]) -> Result<()> {
        self.make_of(path, &[PACKAGES, packages].concat(), options)
    }

    /// Makes one of these packages alone.
    fn make_of(self, path: &Path, packages: &[&str], options: &[&str]) -> Result<()> {
        tool::need_root("making a root file system")?;
        let mirror = tool::run(&mut Command::new(tool::script("debian-mirror.sh")))?;
        let mut command = Command::new("mmdebstrap");
        command
            .args(["--quiet", "--variant=minbase", "--format=directory"])
            .arg(format!("--include={}", packages.join(",")))
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

/// The root file system of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Root {
    /// What every node has, of a release.
    Of(Release),
    /// Debian 12 with what a site may have beside: firewalls, a keeper of the clock, a container engine. None of it is at
    /// work before somebody starts it.
    Furnished,
    /// Debian 12 that boots another init, with cron.
    WithoutSystemd,
}

impl From<Release> for Root {
    fn from(release: Release) -> Self {
        Self::Of(release)
    }
}

/// What a site may have on its machines.
const FURNITURE: &[&str] = &["chrony", "docker.io", "firewalld", "nftables", "ufw"];
/// Packages bring their services enabled; whoever wants one starts it.
const ASLEEP: &str = "for unit in chrony containerd docker.service docker.socket firewalld ufw; do \
                      chroot \"$1\" systemctl disable $unit; done";
/// Debian's own package of a program, in a repository on the machine itself, `/srv/packages`: an archive to install
/// from without a network.
const REPOSITORY: &str = "mkdir -p \"$1\"/srv/packages && cd \"$1\"/srv/packages && \
                          APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-get -qq download curl && \
                          for deb in *.deb; do dpkg-deb -f \"$deb\"; printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' \
                          \"$deb\" \"$(stat -c %s \"$deb\")\" \"$(sha256sum \"$deb\" | cut -d ' ' -f 1)\"; done > Packages";
/// A machine with System V's init.
const SYSTEM_V: &[&str] = &[
    "ca-certificates",
    "cron",
    "curl",
    "dbus",
    "iproute2",
    "procps",
    "sudo",
    "sysvinit-core",
];
/// It has no terminals to log in at.
const NO_TERMINALS: &str = "sed -i /getty/d \"$1\"/etc/inittab";

impl Root {
    /// Which Debian it is.
    pub const fn release(self) -> Release {
        match self {
            Self::Of(release) => release,
            Self::Furnished | Self::WithoutSystemd => Release::Bookworm,
        }
    }

    /// The program that a node of it boots, by the name of its file.
    pub(crate) const fn init(self) -> &'static str {
        match self {
            Self::WithoutSystemd => "init",
            Self::Of(_) | Self::Furnished => "systemd",
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Of(_) => "",
            Self::Furnished => "-furnished",
            Self::WithoutSystemd => "-system-v",
        }
    }

    fn recipe(self) -> String {
        let recipe = self.release().recipe();
        match self {
            Self::Of(_) => recipe,
            Self::Furnished => format!("{recipe} {FURNITURE:?} {ASLEEP} {REPOSITORY}"),
            Self::WithoutSystemd => format!("{recipe} {SYSTEM_V:?} {NO_TERMINALS}"),
        }
    }

    /// The folder it is in, which nodes only read. Made on first use, in about a minute; needs root.
    pub fn rootfs(self) -> Result<PathBuf> {
        let release = self.release();
        let name = format!("rootfs-{}{}", release.codename(), self.kind());
        cache::entry(&name, &self.recipe(), |path| match self {
            Self::Of(_) => release.make(path, &[], &[]),
            Self::Furnished => {
                let hooks = [ASLEEP, REPOSITORY].map(|hook| format!("--customize-hook={hook}"));
                release.make(path, FURNITURE, &hooks.each_ref().map(String::as_str))
            }
            Self::WithoutSystemd => {
                let hook = format!("--customize-hook={NO_TERMINALS}");
                release.make_of(path, SYSTEM_V, &[&hook])
            }
        })
    }

    /// The checksums of all its files, taken once.
    pub(crate) fn sums(self) -> Result<Sums> {
        let rootfs = self.rootfs()?;
        let name = format!("checksums-{}{}", self.release().codename(), self.kind());
        let folder = cache::entry(&name, &self.recipe(), |path| {
            fs::create_dir(path)?;
            fs::write(path.join("youngest"), youngest(&rootfs)?.to_string())?;
            let sums = in_folder(&rootfs, "find . -xdev -type f -print0 | xargs -0 sha256sum -z")?;
            Ok(fs::write(path.join("sums"), sums)?)
        })?;
        let youngest = fs::read_to_string(folder.join("youngest"))?.parse()?;
        let sums = fs::read_to_string(folder.join("sums"))?;
        let of = sums.split_terminator('\0').map(|record| {
            let (sum, path) = record.split_once("  .").context("no sum and path")?;
            Ok((path.to_owned(), sum.to_owned()))
        });
        Ok(Sums {
            youngest,
            of: of.collect::<Result<_>>()?,
        })
    }
}

/// The checksums of a root file system's files.
#[derive(Debug)]
pub(crate) struct Sums {
    /// When the youngest of the files was changed, in seconds since 1970: what a node wrote is younger, also where it was
    /// booted before anybody asked for the sums.
    pub(crate) youngest: u64,
    /// SHA-256 by path.
    pub(crate) of: HashMap<String, String>,
}

/// When the youngest file of a folder was last changed in any fact, in whole seconds since 1970.
fn youngest(folder: &Path) -> Result<u64> {
    let said = in_folder(folder, "find . -xdev -printf '%C@\\n' | sort -n | tail -n 1")?;
    let seconds = said.trim().split('.').next().unwrap_or_default();
    seconds.parse().with_context(|| format!("no time: {said:?}"))
}

fn in_folder(folder: &Path, script: &str) -> Result<String> {
    tool::run(Command::new("sh").args(["-c", script]).current_dir(folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::wait_until;

    #[test]
    fn what_a_node_writes_is_younger_than_the_files_it_shares_whenever_somebody_looks() -> Result<()> {
        // Given a root file system, and a node that wrote a file,
        let folder = tempfile::tempdir()?;
        let rootfs = folder.path().join("rootfs");
        fs::create_dir(&rootfs)?;
        fs::write(rootfs.join("passwd"), "root\n")?;
        let own = folder.path().join("own");
        fs::write(&own, "root\nnode_exporter\n")?;
        let written = fs::metadata(&own)?.ctime();
        // when that is looked at for the first time in another second than it was written in,
        wait_until(Duration::from_secs(5), "the next second begins", || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            anyhow::ensure!(now.as_secs() > u64::try_from(written)?, "still the same");
            Ok(())
        })?;
        // then it is no older than what all nodes share.
        anyhow::ensure!(youngest(&rootfs)? <= u64::try_from(written)?);
        Ok(())
    }
}
