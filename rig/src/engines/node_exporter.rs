//! One node_exporter.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::program;
use crate::{Place, Process, wait_until};

/// A running node_exporter.
#[derive(Debug)]
pub struct NodeExporter<'net> {
    place: Place<'net>,
    port: u16,
    process: Process,
    _folder: TempDir,
}

impl<'net> NodeExporter<'net> {
    /// Starts one.
    pub fn start(place: impl Into<Place<'net>>) -> Result<Self> {
        let place = place.into();
        let port = place.port(9100)?;
        Self::start_at(place, port)
    }

    /// The same on a port that is known before.
    pub fn start_at(place: impl Into<Place<'net>>, port: u16) -> Result<Self> {
        let place = place.into();
        let folder = tempfile::Builder::new()
            .prefix("aami-rig-node-exporter-")
            .tempdir()?;
        let binary = program("prometheus-node-exporter", "usr/bin/prometheus-node-exporter")?;
        let mut command = place.command(&binary.to_string_lossy());
        command.arg(format!("--web.listen-address={}:{port}", place.address()));
        let process = Process::start("node_exporter", command, &folder.path().join("log"))?;
        let mut exporter = Self {
            place,
            port,
            process,
            _folder: folder,
        };
        wait_until(Duration::from_secs(10), "node_exporter answers", || {
            exporter.process.check()?;
            exporter.metrics()
        })
        .with_context(|| crate::process::tail(&exporter.process.log()))?;
        Ok(exporter)
    }

    /// `HOST:PORT` for Prometheus.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", self.place.address(), self.port)
    }

    /// What it exports now.
    pub fn metrics(&self) -> Result<String> {
        self.place
            .get(&format!("http://{}/metrics", self.endpoint()), &[])
    }

    /// Stops it.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop().map(drop)
    }
}
