//! `aami up`: everything on this machine, in the foreground, in one folder.
//!
//! Control plane in this process; the real agent and Prometheus as child processes that end with it.
//! Nothing outside the data folder and the download cache is touched, and no root is needed. What is
//! told on the way goes to standard error; standard output gets one page once the first node is
//! scraped.

mod beginning;
mod discovery_key;
mod dist;
mod node;
mod page;
mod ports;
mod programs;
mod prometheus;
mod remembered;
mod stop;

use std::path::PathBuf;
use std::time::Duration;

use aami_model::{Exit, code};
use clap::Args;

use super::failure::Failure;
use super::screen::{Format, Screen};
use super::secret::{make_folder, written};
use super::signals::Signals;
use super::surroundings::Surroundings;
use super::{log, reach};
use beginning::Plane;
use remembered::Remembered;
use stop::Stop;

/// How long the first scrape may take from the moment everything runs.
const FIRST_SCRAPE: Duration = Duration::from_secs(120);

/// Run everything here in the foreground: control plane, Prometheus, this machine as the first node
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami up
  aami up --data-dir /srv/aami-up --port 9443

Everything lies in the data folder and the component cache; deleting the two leaves nothing behind.
Ctrl-C stops all of it; the next start finds its data again.")]
pub(crate) struct Up {
    /// Folder for everything that is kept [~/.local/share/aami-up]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder with Prometheus and node_exporter; what it lacks is fetched from its publisher
    /// [~/.cache/aami/components]
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    /// Port of the control plane; when it is taken another is chosen
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// Port of Prometheus; when it is taken another is chosen
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    prometheus_port: u16,
    /// Port of node_exporter; when it is taken another is chosen
    #[arg(long, value_name = "PORT", default_value_t = 9100)]
    exporter_port: u16,
}

/// Where things are.
pub(super) struct Places {
    /// Everything that is kept.
    pub(super) data: PathBuf,
    /// What was downloaded.
    pub(super) components: PathBuf,
    /// The agent's program.
    pub(super) agent: PathBuf,
    /// This program.
    pub(super) itself: PathBuf,
    /// Whether commands look in the data folder by themselves.
    pub(super) usual: bool,
}

impl Up {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut screen = Screen::new(Format::Table);
        let places = self.places(surroundings)?;
        make_folder(&places.data).map_err(written(&places.data))?;
        log::start_in_file(&places.data.join("server.log"), surroundings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::Runtime)?;
        let signals = runtime.block_on(async { Signals::new() })?;
        let stop = Stop::on(&runtime, signals);

        let mut ports = Remembered::read(&places.data);
        // Known before anybody listens there: the control plane asks it, and keeps its rules.
        let prometheus = prometheus::Seat::find(&places, self.prometheus_port, &mut ports, &mut screen)?;
        let plane = Plane::start(&runtime, &places, self.port, &prometheus, &mut ports, &mut screen)?;
        let ended = self.beside(
            (&plane, &prometheus),
            &places,
            surroundings,
            &mut ports,
            &stop,
            &mut screen,
        );
        screen.note("aami: stopping");
        let drained = runtime.block_on(plane.stop(&stop));
        runtime.shutdown_background();
        match ended? {
            Exit::Ok => Ok(drained),
            other => Ok(other),
        }
    }

    /// What runs beside the control plane, until told to stop. Leaving this ends the children.
    fn beside(
        &self,
        (plane, seat): (&Plane, &prometheus::Seat),
        places: &Places,
        surroundings: &Surroundings,
        ports: &mut Remembered,
        stop: &Stop,
        screen: &mut Screen,
    ) -> Result<Exit, Failure> {
        dist::fill(places)?;
        let program = programs::prometheus(places, surroundings, screen)?;
        let prometheus = prometheus::Prometheus::start(plane, places, &program, seat)?;
        let mut node = node::Node::start(plane, places, surroundings, self.exporter_port, ports, screen)?;
        ports.write(&places.data)?;
        if !prometheus.until_ready(stop)? {
            return Ok(Exit::Interrupted);
        }
        let Some(id) = node.until_enrolled(plane, stop)? else {
            return Ok(Exit::Interrupted);
        };
        let scraped = prometheus.until_scraped(&id, FIRST_SCRAPE, stop)?;
        if stop.told() {
            return Ok(Exit::Interrupted);
        }
        node.forget_token(plane, places)?;
        if !scraped {
            let unscraped = Failure::found(
                code::NODE_NOT_SCRAPED,
                format!(
                    "Prometheus has not scraped this node within {} s; its targets are at {}/targets",
                    FIRST_SCRAPE.as_secs(),
                    prometheus.url()
                ),
            );
            super::screen::complain(&unscraped, Format::Table);
        }
        page::show(plane, places, &prometheus, &node, scraped, screen)?;
        node.watch(stop, screen);
        Ok(Exit::Ok)
    }

    fn places(&self, surroundings: &Surroundings) -> Result<Places, Failure> {
        let homeless = |flag: &str| {
            Failure::found_with(
                code::INVALID,
                "there is no home folder to keep things in",
                format!("Name a folder with {flag}."),
            )
        };
        let data = self.data_dir.clone().or_else(|| surroundings.up_data());
        let cache = surroundings
            .cache
            .as_ref()
            .map(|cache| cache.join("aami/components"));
        let itself = std::env::current_exe().map_err(Failure::Runtime)?;
        let agent = itself.with_file_name("aami-agent");
        if !agent.is_file() {
            return Err(Failure::found_with(
                code::TOOL_MISSING,
                format!("the agent's program is not at {}", agent.display()),
                "Build it beside this one: `cargo build --package aami-agent`.",
            ));
        }
        let absolute = |path: PathBuf| std::path::absolute(&path).map_err(written(&path));
        Ok(Places {
            usual: data == surroundings.up_data(),
            data: absolute(data.ok_or_else(|| homeless("--data-dir"))?)?,
            components: absolute(
                self.components
                    .clone()
                    .or(cache)
                    .ok_or_else(|| homeless("--components"))?,
            )?,
            agent,
            itself,
        })
    }
}

impl Places {
    /// What a command needs to find this control plane.
    pub(super) fn flag(&self) -> String {
        if self.usual {
            String::new()
        } else {
            format!(" --data-dir {}", self.data.display())
        }
    }

    /// The first admin key.
    pub(super) fn admin_key(&self) -> PathBuf {
        self.data.join(reach::ADMIN_KEY)
    }
}
