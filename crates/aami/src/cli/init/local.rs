//! node_exporter on this machine, by the same plan as on every node.

use std::path::{Path, PathBuf};

use aami_install::{Host, Installer, Mode, Options};
use aami_inventory::{Inventory, SystemCommands, listener};
use aami_model::code;
use aami_model::label::Labels;
use aami_plans::download::{Access, Downloader, Settings};
use aami_plans::node::{Form, Node, NodeOptions, Purpose};
use aami_plans::obtain::{self, Mirror};

use crate::cli::failure::Failure;
use crate::cli::offline::{OfflineFlags, Unpacked};
use crate::cli::random::random;
use crate::cli::surroundings::Surroundings;
use crate::fleet::FileFleet;

/// Where it comes from.
pub(super) struct Source {
    from: obtain::Source,
    /// Lies there as long as it is installed from.
    _unpacked: Option<Unpacked>,
}

impl Source {
    /// What is named, else its publisher.
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
        let from = match (folder, mirror) {
            (Some(folder), _) => obtain::Source::Folder(PathBuf::from(folder)),
            (None, Some(url)) => obtain::Source::Mirror(Mirror {
                url: url.to_owned(),
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

/// Installs it, and lists it for Prometheus.
pub(super) fn install(
    source: &Source,
    fleet: &FileFleet,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let proxies = surroundings.proxies.clone();
    let options = NodeOptions {
        purpose: Purpose::Install,
        form: Form::Host,
        cluster: "default".to_owned(),
        api: None,
        token: None,
        run: None,
        port: None,
        labels: Labels::default(),
        address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        adopt: true,
        skip_preflight: true,
        skip_firewall: true,
        scrape_from: Vec::new(),
        skip_gpu: true,
        dcgm_image: None,
        skip_checks: true,
        skip_agent: true,
        sources: vec![source.from.clone()],
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
    };
    let node = Node::new(options).map_err(|error| Failure::found(error.code(), error.to_string()))?;
    let host = Host::system().map_err(Failure::Runtime)?;
    let installer = Installer::new(&host, node.plan(), Options::default())?;
    let report = installer.run(Mode::Fresh)?;
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
    fleet.list_here(hostname, exporters)
}
