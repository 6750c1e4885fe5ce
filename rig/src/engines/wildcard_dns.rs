//! A name server that answers everything with one address, as those of captive portals do.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};

use crate::{Host, Process, cache};

/// A running dnsmasq.
#[derive(Debug)]
pub struct WildcardDns {
    process: Process,
}

impl WildcardDns {
    /// Starts one on `host` that says `answer` to every question.
    pub fn start(host: &Host, answer: Ipv4Addr) -> Result<Self> {
        // Two libraries a machine that is no router lacks; the others are in every Debian.
        let root = cache::packages(
            None,
            &["dnsmasq-base", "libnetfilter-conntrack3", "libnfnetlink0"],
        )?;
        let libraries = std::fs::read_dir(root.join("usr/lib"))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.join("libnetfilter_conntrack.so.3").exists())
            .context("dnsmasq's libraries were not unpacked")?;
        let mut command = host.command("env");
        command
            .arg(format!("LD_LIBRARY_PATH={}", libraries.display()))
            .arg(root.join("usr/sbin/dnsmasq"))
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--user=root",
            ])
            .args(["--pid-file=", "--bind-interfaces", "--local=/#/"])
            .arg(format!("--listen-address={}", host.address()))
            .arg(format!("--address=/#/{answer}"));
        let process = host.start("dnsmasq", command)?;
        Ok(Self { process })
    }

    /// Fails, with its last words, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }
}
