//! The others. Debian's packages and PyPI's ansible, fetched into the cache and installed nowhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The version of ansible that is measured: the last for Python 3.11.
const ANSIBLE: &str = "ansible-core==2.19.3";

/// Another program that runs a command on many hosts over SSH.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    Clush,
    Pssh,
    Ansible,
}

impl Peer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Clush => "clush",
            Self::Pssh => "pssh",
            Self::Ansible => "ansible",
        }
    }

    /// `true` on each of the hosts that `folder` names. Fails where it cannot be had.
    pub(crate) fn command(self, folder: &Path, hosts: usize, parallel: usize) -> Result<Command> {
        let config = folder.join("config");
        let list = folder.join("hosts");
        let parallel = parallel.to_string();
        let mut command = match self {
            Self::Clush => {
                let package = rig::cache::packages(None, &["clustershell", "python3-clustershell"])?;
                let mut command = python(&package, "usr/bin/clush")?;
                command
                    .args(["-q", "-S", "-f", &parallel, "-o"])
                    .arg(format!("-F {}", config.display()));
                let addresses: Vec<String> =
                    (0..hosts).map(|host| crate::address(host).to_string()).collect();
                command.arg("-w").arg(addresses.join(",")).arg("true");
                command.env("CLUSTERSHELL_CFGDIR", package.join("etc/clustershell"));
                command
            }
            Self::Pssh => {
                let package = rig::cache::packages(None, &["pssh", "python3-psshlib"])?;
                let mut command = python(&package, "usr/bin/parallel-ssh")?;
                command
                    .args(["-p", &parallel, "-t", "0", "-x"])
                    .arg(format!("-F {}", config.display()));
                command.arg("-h").arg(&list).arg("true");
                command
            }
            Self::Ansible => {
                let package = ansible()?;
                let inventory = folder.join("inventory");
                fs::copy(&list, &inventory)?;
                let mut command = Command::new("python3");
                command.args([
                    "-m", "ansible", "adhoc", "all", "-m", "raw", "-a", "true", "-f", &parallel, "-i",
                ]);
                command.arg(inventory);
                command
                    .env("PYTHONPATH", package)
                    .env("ANSIBLE_HOME", folder.join("ansible"));
                command.env("ANSIBLE_SSH_ARGS", format!("-F {}", config.display()));
                command
            }
        };
        // Nothing of whoever measures: no agent, no configuration.
        command.env("HOME", folder).env_remove("SSH_AUTH_SOCK");
        Ok(command)
    }
}

/// A Python program out of an unpacked package.
fn python(package: &Path, program: &str) -> Result<Command> {
    let program = package.join(program);
    if !program.exists() {
        bail!("the package has no {}", program.display());
    }
    // Debian's own Python: its packages are made for it.
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(program)
        .env("PYTHONPATH", package.join("usr/lib/python3/dist-packages"));
    Ok(command)
}

fn ansible() -> Result<PathBuf> {
    rig::cache::entry("ansible", ANSIBLE, |path| {
        let output = Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--target",
            ])
            .arg(path)
            .arg(ANSIBLE)
            .output()
            .context("python3 cannot be started")?;
        if !output.status.success() {
            bail!("pip: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    })
}
