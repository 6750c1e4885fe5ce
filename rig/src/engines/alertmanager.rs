//! One Alertmanager.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use super::program;
use crate::{Place, Process, cache, tool, wait_until};

const CONFIGURATION: &str = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n";

/// A running Alertmanager with a data folder of its own.
#[derive(Debug)]
pub struct Alertmanager<'net> {
    place: Place<'net>,
    root: PathBuf,
    port: u16,
    folder: TempDir,
    process: Process,
}

impl<'net> Alertmanager<'net> {
    /// Starts one that tells nobody.
    pub fn start(place: impl Into<Place<'net>>) -> Result<Self> {
        let place = place.into();
        let port = place.port(9093)?;
        Self::start_at(place, port)
    }

    /// The same on a port that is known before.
    pub fn start_at(place: impl Into<Place<'net>>, port: u16) -> Result<Self> {
        Self::run(place.into(), port, CONFIGURATION)
    }

    /// Starts one with a configuration, after amtool has found it good.
    pub fn start_with(place: impl Into<Place<'net>>, configuration: &str) -> Result<Self> {
        let place = place.into();
        let port = place.port(9093)?;
        Self::run(place, port, configuration)
    }

    fn run(place: Place<'net>, port: u16, configuration: &str) -> Result<Self> {
        let root = cache::packages(None, &["prometheus-alertmanager"])?;
        let folder = tempfile::Builder::new()
            .prefix("aami-rig-alertmanager-")
            .tempdir()?;
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, configuration)?;
        amtool(&["check-config", &file.to_string_lossy()])?;
        let process = launch(place, &root, port, &folder)?;
        let mut alertmanager = Self {
            place,
            root,
            port,
            folder,
            process,
        };
        alertmanager.wait()?;
        Ok(alertmanager)
    }

    /// Where it answers, `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.place.address(), self.port)
    }

    /// The silences it holds in a state: `active`, `pending` or `expired`.
    pub fn silences(&self, state: &str) -> Result<Vec<Value>> {
        let answer = self.place.get(&format!("{}/api/v2/silences", self.url()), &[])?;
        let Value::Array(mut silences) = serde_json::from_str(&answer).context("no JSON")? else {
            bail!("no list of silences: {answer}");
        };
        silences.retain(|silence| silence["status"]["state"] == state);
        Ok(silences)
    }

    /// The names of the alerts it holds and whether each is silenced.
    pub fn alerts(&self) -> Result<Vec<(String, bool)>> {
        let answer = self.place.get(&format!("{}/api/v2/alerts", self.url()), &[])?;
        let Value::Array(alerts) = serde_json::from_str(&answer).context("no JSON")? else {
            bail!("no list of alerts: {answer}");
        };
        Ok(alerts
            .iter()
            .map(|alert| {
                let name = alert["labels"]["alertname"].as_str().unwrap_or_default();
                (name.to_owned(), alert["status"]["state"] == "suppressed")
            })
            .collect())
    }

    /// Raises alerts, as Prometheus does.
    pub fn raise(&self, alerts: &Value) -> Result<()> {
        self.post("alerts", alerts)
    }

    /// Makes a silence, as an operator does.
    pub fn silence(&self, silence: &Value) -> Result<()> {
        self.post("silences", silence)
    }

    fn post(&self, what: &str, body: &Value) -> Result<()> {
        let url = format!("{}/api/v2/{what}", self.url());
        let body = body.to_string();
        let options = ["--header", "Content-Type: application/json", "--data", &body];
        self.place.get(&url, &options).map(drop)
    }

    /// Gives it another configuration, which it reads at once. What it holds stays.
    pub fn reconfigure(&self, configuration: &str) -> Result<()> {
        let file = self.folder.path().join("alertmanager.yml");
        std::fs::write(&file, configuration)?;
        amtool(&["check-config", &file.to_string_lossy()])?;
        let reload = format!("{}/-/reload", self.url());
        self.place.get(&reload, &["--request", "POST"]).map(drop)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Freezes it: its connections stay open and say nothing.
    pub fn freeze(&self) -> Result<()> {
        self.process.freeze()
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.process.thaw()
    }

    /// Kills it, and starts it again on the same port with nothing of what it held.
    pub fn start_empty(&mut self) -> Result<()> {
        self.process.kill()?;
        let data = self.folder.path().join("data");
        std::fs::remove_dir_all(&data).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        self.process = launch(self.place, &self.root, self.port, &self.folder)?;
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let ready = format!("{}/-/ready", self.url());
        wait_until(Duration::from_secs(30), "Alertmanager is ready", || {
            self.process.check()?;
            self.place.get(&ready, &[])
        })
        .map(drop)
        .with_context(|| crate::process::tail(&self.process.log()))
    }
}

/// Runs amtool and gives what it said; fails when it does.
pub fn amtool(arguments: &[&str]) -> Result<String> {
    let amtool = program("prometheus-alertmanager", "usr/bin/amtool")?;
    tool::run(std::process::Command::new(amtool).args(arguments))
}

/// Debian's build reads its templates from `/usr/share` and nowhere else, so it runs where the package's own is laid
/// over this machine's, in a mount namespace of its own.
const LAID_OVER: &str =
    "mount -t overlay overlay -o \"lowerdir=$1/usr/share:/usr/share\" /usr/share && shift && exec \"$@\"";

fn launch(place: Place<'_>, root: &std::path::Path, port: u16, folder: &TempDir) -> Result<Process> {
    let mut command = place.command("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "sh", "-c", LAID_OVER, "sh"])
        .arg(root)
        .arg(root.join("usr/bin/prometheus-alertmanager"))
        .arg(format!(
            "--config.file={}",
            folder.path().join("alertmanager.yml").display()
        ))
        .arg(format!("--storage.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={}:{port}", place.address()))
        // One alone: no gossip.
        .arg("--cluster.listen-address=");
    Process::start("alertmanager", command, &folder.path().join("log"))
}
