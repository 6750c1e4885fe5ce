//! The node plan as the commands of this program use it: which form, which host, which folders.

use std::path::{Path, PathBuf};

use aami_api::client::{Settings, Trust};
use aami_install::{Host, HostPath, Installer, Options, Tracking};
use aami_inventory::{Inventory, SystemCommands, listener};
use aami_model::code;
use aami_model::label::Labels;
use aami_plans::download::{self, Downloader, Proxies};
use aami_plans::node::{Enrolment, Form, Node, NodeOptions, Purpose, trust_of};
use clap::Args;

use super::failure::Failure;

/// Which installation is meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Which {
    /// The cluster's name, where a machine is a node of several
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) cluster: String,
    /// The folder that stands for the host in the foreground form
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

impl Which {
    /// A folder stands for the host, or the host does.
    pub(crate) const fn form(&self) -> Form {
        if self.root.is_some() {
            Form::Foreground
        } else {
            Form::Host
        }
    }

    /// What stands for `/`.
    pub(crate) fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// The host that is changed.
    pub(crate) fn host(&self) -> Result<Host, Failure> {
        let host = match &self.root {
            Some(root) => Host::folder(root),
            None => Host::system(),
        };
        host.map_err(|error| Failure::file(self.root(), &error))
    }

    /// Where the plan's memory lies.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let tracking = match self.form() {
            Form::Host => Tracking::host(),
            Form::Foreground => {
                let base = HostPath::new("/");
                Tracking::folder_in(base.map_err(|error| Failure::invalid(error.to_string()))?)
            }
        };
        Ok(Options {
            cluster: self.cluster.clone(),
            tracking,
            ..Options::default()
        })
    }

    /// Where it is enrolled, by its own files.
    pub(crate) fn enrolment(&self) -> Result<Option<Enrolment>, Failure> {
        Enrolment::read(self.root(), self.form(), &self.cluster)
            .map_err(|error| Failure::invalid(error.to_string()))
    }

    /// Whose certificates it believes, by its own files, also before it is enrolled.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        trust_of(self.root(), self.form(), &self.cluster).map_err(|error| Failure::invalid(error.to_string()))
    }

    /// Changing the host needs root.
    pub(crate) fn need_root(&self) -> Result<(), Failure> {
        if self.form() == Form::Host && !rustix::process::geteuid().is_root() {
            return Err(Failure::new(code::NOT_ROOT, code::NOT_ROOT.sentence));
        }
        Ok(())
    }

    /// The plan, for looking at what is installed or taking it back.
    pub(crate) fn look(
        &self,
        enrolment: Option<Enrolment>,
        api: Option<Settings>,
        proxies: Proxies,
    ) -> Result<Node, Failure> {
        Ok(Node::new(NodeOptions {
            purpose: Purpose::Look(enrolment.map(Box::new)),
            ..self.bare(api, proxies)
        })?)
    }

    /// Options that look, install nothing new, and ask for nothing.
    pub(crate) fn bare(&self, api: Option<Settings>, proxies: Proxies) -> NodeOptions {
        NodeOptions {
            purpose: Purpose::Look(None),
            form: self.form(),
            cluster: self.cluster.clone(),
            api,
            token: None,
            run: None,
            port: None,
            labels: Labels::default(),
            address: None,
            adopt: false,
            skip_preflight: true,
            skip_firewall: true,
            scrape_from: Vec::new(),
            skip_gpu: false,
            dcgm_image: None,
            skip_checks: false,
            skip_agent: false,
            sources: Vec::new(),
            downloader: downloader(proxies.clone()),
            proxies,
            agent: None,
            release_key: None,
            look: Box::new(look),
            listeners: Box::new(listeners),
            foreground: None,
        }
    }

    /// An installer for a plan; how its runs go is told beside what the node's exporter serves.
    pub(crate) fn installer<'a>(&self, host: &'a Host, node: &'a Node) -> Result<Installer<'a>, Failure> {
        Ok(self
            .silent(host, node)?
            .textfile(node.textfile().clone(), hostname()))
    }

    /// One whose runs are told to nobody.
    pub(crate) fn silent<'a>(&self, host: &'a Host, node: &'a Node) -> Result<Installer<'a>, Failure> {
        Ok(Installer::new(host, node.plan(), self.options()?)?)
    }
}

/// How to reach the control plane that a node is enrolled with; nothing for a node on its own.
pub(crate) fn api_of(enrolment: &Enrolment, proxies: &Proxies) -> Result<Option<Settings>, Failure> {
    let server = enrolment.server.as_deref();
    server
        .map(|server| settings(server, enrolment.trust.clone(), proxies))
        .transpose()
}

/// How to reach a control plane.
pub(crate) fn settings(server: &str, trust: Trust, proxies: &Proxies) -> Result<Settings, Failure> {
    let uri: ureq::http::Uri = server.parse().map_err(|_| {
        let shown: String = server.chars().take(60).collect();
        Failure::invalid(format!("the server address {shown:?} is not a URL"))
    })?;
    let proxy = proxies.for_address(&uri).map(str::to_owned);
    Ok(Settings {
        trust,
        proxy,
        ..Settings::new(server.trim_end_matches('/'))
    })
}

/// Fetches components.
pub(crate) fn downloader(proxies: Proxies) -> Downloader {
    Downloader::new(download::Settings::new(proxies, random))
}

/// Fetches from the control plane and from nobody it names.
pub(crate) fn strict_downloader(proxies: Proxies) -> Downloader {
    Downloader::new(download::Settings {
        redirects: 0,
        ..download::Settings::new(proxies, random)
    })
}

/// A number from 0 to 1 that differs from process to process: the standard library keys each of its
/// hash states with fresh random bytes.
fn random() -> f64 {
    use std::hash::{BuildHasher as _, Hasher as _};

    let bits = std::hash::RandomState::new().build_hasher().finish();
    #[expect(
        clippy::cast_precision_loss,
        reason = "spreads pauses; no digit of it matters"
    )]
    let fraction = bits as f64 / u64::MAX as f64;
    fraction
}

/// This machine, as it is.
pub(crate) fn look() -> Result<Inventory, aami_inventory::InventoryError> {
    let commands = SystemCommands::default();
    Inventory::collect(&aami_inventory::Host::this(&commands))
}

/// What this machine is called; nothing where it has no name.
pub(crate) fn hostname() -> String {
    let commands = SystemCommands::default();
    aami_inventory::name::hostname(&aami_inventory::Host::this(&commands))
        .map_or_else(|_| String::new(), |name| name.to_string())
}

/// Who listens on a port of this machine.
pub(crate) fn listeners(port: u16) -> Vec<listener::Listener> {
    let commands = SystemCommands::default();
    listener::listeners(&aami_inventory::Host::this(&commands), port)
}
