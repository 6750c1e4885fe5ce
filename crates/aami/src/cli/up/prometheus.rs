//! Prometheus as a child process.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aami_api::client::{Client, Settings};
use aami_model::{NodeId, code};
use aami_monitor::prometheus::Configuration;
use aami_plans::node::Foreground;
use aami_plans::node::foreground::Task;
use serde_json::Value;

use super::beginning::Plane;
use super::programs::Program;
use super::remembered::Remembered;
use super::stop::Stop;
use super::{Places, discovery_key, ports};
use crate::cli::failure::Failure;
use crate::cli::query::encoded;
use crate::cli::screen::Screen;
use crate::cli::secret::{make_folder, written};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long it may take to read its data and answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running Prometheus; it ends with this value.
pub(super) struct Prometheus {
    _children: Foreground,
    client: Client,
    log: PathBuf,
    pub(super) version: String,
}

/// Where it will be: a port for this machine alone, and the folder its rules are brought to.
pub(super) struct Seat {
    port: u16,
    /// The folder of rules.
    pub(super) rules: PathBuf,
}

impl Seat {
    /// The first port that can be had.
    pub(super) fn find(
        places: &Places,
        usual: u16,
        remembered: &mut Remembered,
        screen: &mut Screen,
    ) -> Result<Self, Failure> {
        let port = ports::free(HERE, remembered.prometheus, usual).map_err(Failure::Runtime)?;
        ports::say(screen, "Prometheus", usual, port, HERE);
        remembered.prometheus = Some(port);
        Ok(Self {
            port,
            rules: places.data.join("prometheus/rules"),
        })
    }

    /// Where it will answer.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Prometheus {
    /// Writes its configuration and starts it.
    pub(super) fn start(
        plane: &Plane,
        places: &Places,
        program: &Program,
        seat: &Seat,
    ) -> Result<Self, Failure> {
        let folder = places.data.join("prometheus");
        make_folder(&folder).map_err(written(&folder))?;
        let key = folder.join("discovery.key");
        discovery_key::ensure(plane, &key)?;
        let port = seat.port;

        let configuration = Configuration {
            itself: Some(format!("127.0.0.1:{port}")),
            rule_files: vec![format!("{}/*.yaml", seat.rules.display())],
            // One node and somebody who watches: soon rather than sparingly.
            refresh: Duration::from_secs(1),
            scrape_interval: Duration::from_secs(5),
            ..Configuration::new(plane.cluster(), plane.url(), key.display().to_string(), 1)
        };
        let file = folder.join("prometheus.yml");
        fs::write(&file, configuration.render()?).map_err(written(&file))?;

        let log = folder.join("log");
        let children = Foreground::new(places.itself.clone(), Arc::new(|_, _| {}));
        let task = Task {
            name: "prometheus".to_owned(),
            program: program.path.clone(),
            arguments: vec![
                format!("--config.file={}", file.display()),
                format!("--storage.tsdb.path={}", folder.join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                // The control plane tells it of its rules.
                "--web.enable-lifecycle".to_owned(),
            ],
            log: log.clone(),
        };
        children.start(task).map_err(Failure::Runtime)?;
        Ok(Self {
            _children: children,
            client: Client::new(&Settings {
                timeout: Duration::from_secs(5),
                ..Settings::new(seat.url())
            })?,
            log,
            version: program.version.clone(),
        })
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        self.client.server()
    }

    /// Waits until it answers; false when told to stop meanwhile.
    pub(super) fn until_ready(&self, stop: &Stop) -> Result<bool, Failure> {
        let ready = stop.until(PATIENCE, || Ok::<_, Failure>(self.client.text("/-/ready").ok()))?;
        if ready.is_some() {
            return Ok(true);
        }
        if stop.told() {
            return Ok(false);
        }
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let last = said.lines().next_back().unwrap_or("nothing");
        Err(Failure::found_with(
            code::PROMETHEUS_UNREACHABLE,
            format!(
                "Prometheus does not answer at {}; the last it said: {last}",
                self.url()
            ),
            format!("Read {}.", self.log.display()),
        ))
    }

    /// Waits until it has scraped a node; false when the time is over or told to stop meanwhile.
    pub(super) fn until_scraped(
        &self,
        node: &NodeId,
        patience: Duration,
        stop: &Stop,
    ) -> Result<bool, Failure> {
        let question = encoded(&format!("min(up{{node_id=\"{node}\"}})"));
        let scraped = stop.until(patience, || {
            let answer: Value = match self.client.get(&format!("/api/v1/query?query={question}")) {
                Ok(answer) => answer,
                Err(_) => return Ok::<_, Failure>(None),
            };
            let value = answer.pointer("/data/result/0/value/1").and_then(Value::as_str);
            Ok((value == Some("1")).then_some(()))
        })?;
        Ok(scraped.is_some())
    }
}
