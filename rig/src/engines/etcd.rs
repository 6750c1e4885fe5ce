//! One etcd, of one member.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::program;
use crate::{Place, Process, wait_until};

/// A running etcd with a data folder of its own.
#[derive(Debug)]
pub struct Etcd<'net> {
    place: Place<'net>,
    binary: PathBuf,
    client: u16,
    peer: u16,
    folder: TempDir,
    process: Process,
}

impl<'net> Etcd<'net> {
    /// Starts an empty one.
    pub fn start(place: impl Into<Place<'net>>) -> Result<Self> {
        let place = place.into();
        let binary = program("etcd-server", "usr/bin/etcd")?;
        let folder = tempfile::Builder::new().prefix("aami-rig-etcd-").tempdir()?;
        let (client, peer) = (place.port(2379)?, place.port(2380)?);
        let process = launch(place, &binary, client, peer, &folder)?;
        let mut etcd = Self {
            place,
            binary,
            client,
            peer,
            folder,
            process,
        };
        etcd.wait()?;
        Ok(etcd)
    }

    /// `HOST:PORT` for clients.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", self.place.address(), self.client)
    }

    /// Kills it as a power cut would; its data stays.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Starts it again on the same port with the data it has, and waits until it serves.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.stop()?;
        self.process = launch(self.place, &self.binary, self.client, self.peer, &self.folder)?;
        self.wait()
    }

    /// Freezes it: its connections stay open and say nothing.
    pub fn freeze(&self) -> Result<()> {
        self.process.freeze()
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.process.thaw()
    }

    fn wait(&mut self) -> Result<()> {
        let url = format!("http://{}/health", self.endpoint());
        wait_until(Duration::from_secs(30), "etcd is healthy", || {
            self.process.check()?;
            let health = self.place.get(&url, &[])?;
            if !health.contains("true") {
                bail!("{health}");
            }
            Ok(())
        })
        .with_context(|| crate::process::tail(&self.process.log()))
    }
}

fn launch(
    place: Place<'_>,
    binary: &std::path::Path,
    client: u16,
    peer: u16,
    folder: &TempDir,
) -> Result<Process> {
    let address = place.address();
    let (client, peer) = (
        format!("http://{address}:{client}"),
        format!("http://{address}:{peer}"),
    );
    let mut command = place.command(&binary.to_string_lossy());
    command
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args([
            "--name",
            "rig",
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", &format!("rig={peer}"), "--logger", "zap"]);
    Process::start("etcd", command, &folder.path().join("log"))
}
