//! The programs AAMI talks to, as Debian builds them: unpacked into the cache, never installed.
//!
//! Each starts on a [`Place`](crate::Place) with a data folder of its own and is ready when its `start` returns.

mod alertmanager;
mod etcd;
mod nginx;
mod node_exporter;
mod prometheus;
mod wildcard_dns;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

pub use alertmanager::{Alertmanager, amtool};
pub use etcd::Etcd;
pub use nginx::{Nginx, Site};
pub use node_exporter::NodeExporter;
pub use prometheus::{Prometheus, promtool};
pub use wildcard_dns::WildcardDns;

use crate::{Release, cache};

/// Fetches all of them, so that a test that starts one does not have to.
pub fn fetch() -> Result<()> {
    for package in [
        "etcd-server",
        "libfaketime",
        "nginx",
        "prometheus",
        "prometheus-alertmanager",
        "prometheus-node-exporter",
    ] {
        cache::packages(None, &[package])?;
    }
    Ok(())
}

/// The library that gives a program another clock when it is preloaded (libfaketime, `FAKETIME`).
pub fn faketime() -> Result<PathBuf> {
    let root = cache::packages(None, &["libfaketime"])?;
    let libraries = std::fs::read_dir(root.join("usr/lib")).context("libfaketime was unpacked")?;
    libraries
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .context("no library in libfaketime")
}

/// A program of a Debian package of this machine's release.
fn program(package: &str, path: &str) -> Result<PathBuf> {
    Ok(cache::packages(None, &[package])?.join(path))
}

/// The oldest node_exporter there is, with its version: Go links the C library of the release it was built on,
/// so a newer one does not run on Debian 11, while this one runs on all.
pub(crate) fn oldest_node_exporter() -> Result<(PathBuf, String)> {
    let package = "prometheus-node-exporter";
    let root = cache::packages(Some(Release::Bullseye), &[package])?;
    let version = version_of(&root, package)?;
    Ok((root.join("usr/bin/prometheus-node-exporter"), version))
}

/// The publisher's version in a Debian package's: `2.42.0` of `2.42.0+ds-5`.
fn version_of(root: &std::path::Path, package: &str) -> Result<String> {
    let list = std::fs::read_to_string(root.join(".packages")).context("cannot read what was unpacked")?;
    let line = list
        .lines()
        .find_map(|line| line.strip_prefix(package)?.strip_prefix(' '));
    let version = line.with_context(|| format!("{package} was not unpacked"))?;
    Ok(version
        .split(['-', '+', '~'])
        .next()
        .unwrap_or(version)
        .to_owned())
}
