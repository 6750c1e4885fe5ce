//! node_exporter on this machine, by the same plan as on every node.
//!
//! A machine that is a node itself, by an agent of its own, is left to that.

use std::path::{Path, PathBuf};

use aami_install::{Cancel, Held, Host, Installer, Mode, Options, UninstallReport};
use aami_inventory::{Inventory, SystemCommands, listener};
use aami_model::code;
use aami_model::label::Labels;
use aami_plans::download::{Access, Downloader, Proxies, Settings};
use aami_plans::node::{self, Enrolment, Form, Layout, Node, NodeOptions, Purpose};
use aami_plans::obtain::{self, Mirror};
use aami_plans::stack::Note;
use aami_plans::stack::uninstall::is_recorded;

use crate::cli::failure::Failure;
use crate::cli::offline::{OfflineFlags, Unpacked};
use crate::cli::random::random;
use crate::cli::server::hostname;
use crate::cli::surroundings::Surroundings;
use crate::fleet::FileFleet;

/// Whose memory it is in: the one every node has.
const CLUSTER: &str = "default";
/// What an agent leaves of itself beside what it installed.
const AGENT: &str = "aami-agent.json";
/// What is left of an exporter that was installed.
const EXPORTER: &str = "node_exporter.json";

/// Where it comes from.
pub(super) struct Source {
    from: obtain::Source,
    /// Lies there as long as it is installed from.
    _unpacked: Option<Unpacked>,
}

impl Source {
    /// What is named, else what the programs beside it were taken from, else its publisher.
    pub(super) fn of(
        mirror: Option<&str>,
        folder: Option<&Path>,
        offline: &OfflineFlags,
    ) -> Result<Self, Failure> {
        if let Some(bundle) = offline.open()? {
            let unpacked = Unpacked::of(bundle, false)?;
            return Ok(Self {
                from: obtain::Source::Folder(unpacked.placed().components()),
                _unpacked: Some(unpacked),
            });
        }
        let host = Host::system().map_err(Failure::Runtime)?;
        // One that is installed stays as it is where no place is named.
        let known = Note::read(&host)
            .filter(|_| mirror.is_none() && folder.is_none() && !is_left(EXPORTER))
            .map(|note| (note.wishes.components_dir, note.wishes.mirror));
        let (known_folder, known_mirror) = known.unwrap_or_default();
        let folder = folder.map(PathBuf::from).or(known_folder);
        let from = match (folder, mirror.map(str::to_owned).or(known_mirror)) {
            (Some(folder), _) => obtain::Source::Folder(folder),
            (None, Some(url)) => obtain::Source::Mirror(Mirror {
                url,
                access: Access::default(),
            }),
            (None, None) => obtain::Source::Publisher,
        };
        Ok(Self {
            from,
            _unpacked: None,
        })
    }
}

/// Installs it, and lists it for Prometheus. Says what there is now.
pub(super) fn install(
    source: &Source,
    fleet: &FileFleet,
    surroundings: &Surroundings,
) -> Result<&'static str, Failure> {
    if is_node()? {
        return Ok("this machine is a node itself, and its exporters stay as its agent installed them");
    }
    let options = NodeOptions {
        purpose: Purpose::Install,
        address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        adopt: true,
        sources: vec![source.from.clone()],
        ..bare(surroundings.proxies.clone())
    };
    let node = made(options)?;
    let host = Host::system().map_err(Failure::Runtime)?;
    let report = installer(&host, &node)?.run(Mode::Fresh)?;
    if let Some((code, sentence)) = report.failure() {
        return Err(Failure::found(code, sentence));
    }
    let summary = node.session().summary();
    let hostname = (summary.hostname.parse())
        .map_err(|_| Failure::found(code::HOSTNAME_INVALID, "this machine's name is no host name"))?;
    let exporters = summary
        .endpoints
        .into_iter()
        .map(|info| info.into_exporter())
        .collect();
    fleet.list_here(hostname, exporters)?;
    Ok("node_exporter tells of this machine itself")
}

/// Takes it back, where it was installed here and by nobody else, while `held` keeps others out. Nothing where there is
/// none.
pub(crate) fn take_back(
    host: &Host,
    cancel: &Cancel,
    held: &Held<'_>,
) -> Result<Option<UninstallReport>, Failure> {
    let Some(node) = installed(host)? else {
        return Ok(None);
    };
    let installer = installer(host, &node)?.cancelled_by(cancel.clone());
    Ok(Some(installer.within(held).uninstall(None)?))
}

/// What would be taken back.
pub(crate) fn recorded(host: &Host) -> Result<Vec<String>, Failure> {
    let Some(node) = installed(host)? else {
        return Ok(Vec::new());
    };
    Ok(Installer::new(host, node.plan(), memory())?.recorded()?)
}

/// The plan as it was installed here; none where it was not, or where this machine is a node itself.
fn installed(host: &Host) -> Result<Option<Node>, Failure> {
    if is_node()? || !is_recorded(host, &memory(), node::NAME)? {
        return Ok(None);
    }
    let options = NodeOptions {
        purpose: Purpose::Look(enrolment()?.map(Box::new)),
        ..bare(Proxies::default())
    };
    made(options).map(Some)
}

/// Whether an agent made this machine a node, or it is one of a control plane.
fn is_node() -> Result<bool, Failure> {
    let is_enrolled = enrolment()?.is_some_and(|enrolment| enrolment.server.is_some());
    Ok(is_enrolled || is_left(AGENT))
}

fn enrolment() -> Result<Option<Enrolment>, Failure> {
    Enrolment::read(Path::new("/"), Form::Host, CLUSTER).map_err(|error| Failure::invalid(error.to_string()))
}

/// Whether a file is in the folder of what a node keeps to itself.
fn is_left(file: &str) -> bool {
    Layout::of(Form::Host, CLUSTER).is_ok_and(|layout| Path::new(layout.agent.as_str()).join(file).exists())
}

fn installer<'a>(host: &'a Host, node: &'a Node) -> Result<Installer<'a>, Failure> {
    let installer = Installer::new(host, node.plan(), memory())?;
    Ok(installer.textfile(node.textfile().clone(), hostname()))
}

fn memory() -> Options {
    Options {
        cluster: CLUSTER.to_owned(),
        ..Options::default()
    }
}

fn made(options: NodeOptions) -> Result<Node, Failure> {
    Node::new(options).map_err(|error| Failure::found(error.code(), error.to_string()))
}

/// Options of a node that is an exporter and nothing else.
fn bare(proxies: Proxies) -> NodeOptions {
    NodeOptions {
        purpose: Purpose::Look(None),
        form: Form::Host,
        cluster: CLUSTER.to_owned(),
        api: None,
        token: None,
        run: None,
        port: None,
        labels: Labels::default(),
        address: None,
        adopt: false,
        skip_preflight: true,
        skip_firewall: true,
        scrape_from: Vec::new(),
        skip_gpu: true,
        dcgm_image: None,
        skip_checks: true,
        skip_agent: true,
        sources: Vec::new(),
        downloader: Downloader::new(Settings::new(proxies.clone(), random)),
        proxies,
        agent: None,
        release_key: None,
        look: Box::new(|| {
            let commands = SystemCommands::default();
            Inventory::collect(&aami_inventory::Host::this(&commands))
        }),
        listeners: Box::new(|port| {
            let commands = SystemCommands::default();
            listener::listeners(&aami_inventory::Host::this(&commands), port)
        }),
        foreground: None,
    }
}
