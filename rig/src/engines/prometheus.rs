//! One Prometheus, and promtool.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use super::program;
use crate::{Place, Process, tool, wait_until};

/// One series: its labels, then time in milliseconds and value, in the order of time.
type Series = (Value, Vec<(i64, f64)>);

/// A running Prometheus with a data folder of its own.
#[derive(Debug)]
pub struct Prometheus<'net> {
    place: Place<'net>,
    port: u16,
    process: Process,
    _folder: TempDir,
}

impl<'net> Prometheus<'net> {
    /// Starts one with a configuration, after promtool has found it good.
    pub fn start(place: impl Into<Place<'net>>, configuration: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("aami-rig-prometheus-")
            .tempdir()?;
        std::fs::write(folder.path().join("prometheus.yml"), configuration)?;
        let configured = folder.path().to_owned();
        Self::run(place.into(), &configured, folder, None)
    }

    /// Starts one that also takes remote write, at `/api/v1/write` of this port.
    pub fn receiving(place: impl Into<Place<'net>>, configuration: &str, port: u16) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("aami-rig-prometheus-")
            .tempdir()?;
        std::fs::write(folder.path().join("prometheus.yml"), configuration)?;
        let configured = folder.path().to_owned();
        Self::run(place.into(), &configured, folder, Some(port))
    }

    /// Starts one with the `prometheus.yml` in a folder, and the files it names beside it.
    pub fn start_in(place: impl Into<Place<'net>>, configured: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("aami-rig-prometheus-")
            .tempdir()?;
        Self::run(place.into(), configured, folder, None)
    }

    /// The same, on this port.
    pub fn start_at(place: impl Into<Place<'net>>, configured: &Path, port: u16) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("aami-rig-prometheus-")
            .tempdir()?;
        Self::run(place.into(), configured, folder, Some(port))
    }

    fn run(place: Place<'net>, configured: &Path, folder: TempDir, receiving: Option<u16>) -> Result<Self> {
        let file = configured.join("prometheus.yml");
        promtool(&["check", "config", &file.to_string_lossy()])?;
        let port = match receiving {
            Some(port) => port,
            None => place.port(9090)?,
        };
        let mut command = place.command(&program("prometheus", "usr/bin/prometheus")?.to_string_lossy());
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={}:{port}", place.address()))
            .arg("--web.enable-lifecycle");
        if receiving.is_some() {
            command.arg("--web.enable-remote-write-receiver");
        }
        let process = Process::start("prometheus", command, &folder.path().join("log"))?;
        let mut prometheus = Self {
            place,
            port,
            process,
            _folder: folder,
        };
        let ready = format!("{}/-/ready", prometheus.url());
        wait_until(Duration::from_secs(30), "Prometheus is ready", || {
            prometheus.process.check()?;
            prometheus.place.get(&ready, &[])
        })
        .with_context(|| crate::process::tail(&prometheus.process.log()))?;
        Ok(prometheus)
    }

    /// Where it answers, `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.place.address(), self.port)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The samples an instant query gives, each with its labels and value.
    pub fn query(&self, expression: &str) -> Result<Vec<(Value, f64)>> {
        let answer = self.place.get(
            &format!("{}/api/v1/query", self.url()),
            &["--get", "--data-urlencode", &format!("query={expression}")],
        )?;
        let answer: Value = serde_json::from_str(&answer).context("Prometheus did not answer JSON")?;
        let Some(samples) = answer["data"]["result"].as_array() else {
            bail!("{expression}: {answer}");
        };
        let sample = |sample: &Value| {
            let value = sample["value"][1].as_str().and_then(|value| value.parse().ok());
            Ok((
                sample["metric"].clone(),
                value.with_context(|| format!("no number in {sample}"))?,
            ))
        };
        samples.iter().map(sample).collect()
    }

    /// Every sample that a range selector (`x[1h]`) or a subquery gives: labels, then time in milliseconds and
    /// value, in the order of time.
    pub fn samples(&self, selector: &str) -> Result<Vec<Series>> {
        let answer = self.place.get(
            &format!("{}/api/v1/query", self.url()),
            &["--get", "--data-urlencode", &format!("query={selector}")],
        )?;
        let answer: Value = serde_json::from_str(&answer).context("Prometheus did not answer JSON")?;
        let Some(series) = answer["data"]["result"].as_array() else {
            bail!("{selector}: {answer}");
        };
        let point = |point: &Value| {
            let at = point[0].as_f64().context("a sample has a time")?;
            let value = point[1].as_str().and_then(|value| value.parse().ok());
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds fit")]
            let millis = (at * 1_000.0).round() as i64;
            Ok((millis, value.with_context(|| format!("no number in {point}"))?))
        };
        series
            .iter()
            .map(|one| {
                let points = one["values"].as_array().map_or(&[][..], Vec::as_slice);
                Ok((
                    one["metric"].clone(),
                    points.iter().map(point).collect::<Result<_>>()?,
                ))
            })
            .collect()
    }

    /// The targets it scrapes now, as its API shows them.
    pub fn targets(&self) -> Result<Vec<Value>> {
        let answer = self
            .place
            .get(&format!("{}/api/v1/targets?state=active", self.url()), &[])?;
        let mut answer: Value = serde_json::from_str(&answer).context("Prometheus did not answer JSON")?;
        match answer["data"]["activeTargets"].take() {
            Value::Array(targets) => Ok(targets),
            other => bail!("no list of targets: {other}"),
        }
    }
}

/// Runs promtool and gives what it said; fails when it does.
pub fn promtool(arguments: &[&str]) -> Result<String> {
    let promtool = program("prometheus", "usr/bin/promtool")?;
    tool::run(std::process::Command::new(promtool).args(arguments))
}
