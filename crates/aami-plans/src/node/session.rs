//! What the steps of one run of the node plan know together.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aami_api::client::{Client, ClientError, Settings};
use aami_api::node::Verified;
use aami_api::register::Registered;
use aami_api::token::{OpenedRun, Validated};
use aami_install::effect::Registration;
use aami_install::effect::firewall::Firewall;
use aami_install::{Effect, Host, StepError, Survey};
use aami_inventory::{Inventory, route};
use aami_model::exporter::ExporterKind;
use aami_model::{code, version};
use serde::Serialize;

use super::layout::Layout;
use super::register;
use super::{Form, NodeOptions, Purpose, installed};
use crate::components::{Build, Catalogue, Component};
use crate::download::Access;
use crate::obtain;
use crate::release::PublicKey;

/// How long reporting one batch of events may take: the run does not wait for it.
const REPORT: Duration = Duration::from_secs(5);
/// No public key is longer.
const LARGEST_KEY: u64 = 4096;
/// Where node_exporter listens unless told otherwise.
pub(crate) const PORT: u16 = 9100;

/// What the steps of one run know together. Everything here is looked up at most once, when the first
/// step asks.
pub struct Session {
    pub(crate) options: NodeOptions,
    pub(crate) layout: Layout,
    pub(crate) client: Client,
    pub(crate) reporting: Client,
    inventory: Once<Inventory>,
    catalogue: Once<Catalogue>,
    agent: Once<installed::Agent>,
    release_key: Once<Option<String>>,
    /// Why the control plane could not be asked for it.
    pub(crate) release_key_lost: std::sync::OnceLock<String>,
    port: Once<u16>,
    address: Once<IpAddr>,
    pub(crate) firewall: Once<Option<Firewall>>,
    pub(crate) validated: OnceLock<Validated>,
    pub(crate) registered: OnceLock<Registered>,
    pub(crate) verified: OnceLock<Verified>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("server", &self.client.server())
            .finish_non_exhaustive()
    }
}

/// What there is to tell after a run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The control plane.
    pub server: String,
    /// The node's name.
    pub hostname: String,
    /// The address it is reached at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Its status, as the control plane said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The group its token puts it into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Each exporter with its address.
    pub exporters: Vec<String>,
}

/// A value that is found once; a failure to find it is no value.
pub(crate) struct Once<T>(Mutex<Option<Arc<T>>>);

impl<T> Once<T> {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn get(&self, find: impl FnOnce() -> Result<T, StepError>) -> Result<Arc<T>, StepError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*held {
            return Ok(found.clone());
        }
        let found = Arc::new(find()?);
        *held = Some(found.clone());
        Ok(found)
    }
}

impl Session {
    pub(super) fn new(options: NodeOptions, layout: Layout) -> Result<Self, ClientError> {
        let client = Client::new(&options.api)?;
        let reporting = Client::new(&Settings {
            timeout: REPORT,
            ..options.api.clone()
        })?;
        Ok(Self {
            options,
            layout,
            client,
            reporting,
            inventory: Once::new(),
            catalogue: Once::new(),
            agent: Once::new(),
            release_key: Once::new(),
            release_key_lost: std::sync::OnceLock::new(),
            port: Once::new(),
            address: Once::new(),
            firewall: Once::new(),
            validated: OnceLock::new(),
            registered: OnceLock::new(),
            verified: OnceLock::new(),
        })
    }

    /// What the token turned out to be good for, once the control plane was asked.
    pub fn validated(&self) -> Option<&Validated> {
        self.validated.get()
    }

    /// The run the control plane opened for this one, or for the script that started it.
    pub fn run(&self) -> Option<&OpenedRun> {
        match &self.options.run {
            Some(begun) => Some(&begun.run),
            None => self.validated.get()?.run.as_ref(),
        }
    }

    /// The control plane's answer to the registration, where this run registered.
    pub fn registered(&self) -> Option<&Registered> {
        self.registered.get()
    }

    /// What the control plane found when it reached for the exporters.
    pub fn verified(&self) -> Option<&Verified> {
        self.verified.get()
    }

    /// Keeps the exporters of the foreground form.
    pub fn foreground(&self) -> Option<&super::Foreground> {
        self.options.foreground.as_deref()
    }

    /// What there is to tell after a run.
    pub fn summary(&self) -> Summary {
        let registered = self.registered();
        let verified = self.verified();
        let mut exporters: Vec<String> = Vec::new();
        if let Some(verified) = verified {
            exporters.extend(
                verified
                    .exporters
                    .iter()
                    .map(|probe| format!("{} {}", probe.kind.name(), probe.url)),
            );
        }
        Summary {
            server: self.client.server().to_owned(),
            hostname: self
                .inventory()
                .map(|inventory| inventory.hostname.to_string())
                .unwrap_or_default(),
            address: self.address().ok().map(|address| address.to_string()),
            node_id: registered
                .map(|registered| registered.node.id.to_string())
                .or_else(|| verified.map(|verified| verified.node_id.to_string())),
            status: verified.map(|verified| verified.status.name().to_owned()),
            group: self.validated().and_then(|validated| validated.group.clone()),
            exporters,
        }
    }

    /// What the host is.
    pub fn inventory(&self) -> Result<Arc<Inventory>, StepError> {
        self.inventory.get(|| {
            (self.options.look)().map_err(|error| {
                let (code, text) = (error.code(), error.to_string());
                StepError::new(code, text)
            })
        })
    }

    pub(crate) fn catalogue(&self) -> Result<Arc<Catalogue>, StepError> {
        self.catalogue.get(|| {
            obtain::catalogue(&self.options.sources, &self.options.downloader)
                .map_err(|error| StepError::new(error.code(), error.to_string()))
        })
    }

    /// What was installed of a component, where that is what is looked at.
    pub(crate) fn installed(&self, host: &Host, name: &str) -> Option<installed::Exporter> {
        match self.options.purpose {
            Purpose::Install => None,
            Purpose::Look(_) | Purpose::Exporters { .. } | Purpose::Update(_) => {
                installed::read(host, &self.layout, name)
            }
        }
    }

    /// A component and its build for this host: as installed, or as the catalogue has it.
    pub(crate) fn component(&self, host: &Host, name: &str) -> Result<(Component, Build), StepError> {
        let catalogue = match self.installed(host, name) {
            Some(installed) => Arc::new(Catalogue::of([installed.component])),
            None => self.catalogue()?,
        };
        let arch = self.inventory()?.arch;
        let missing = match catalogue.build(name, arch) {
            Ok((component, build)) => return Ok((component.clone(), build.clone())),
            Err(error) => StepError::new(error.code(), error.to_string()),
        };
        // What came out of a folder or mirror that this run does not name stays as it is.
        let kept = installed::read::<installed::Exporter>(host, &self.layout, name);
        let kept = kept.map(|kept| Catalogue::of([kept.component]));
        match kept.as_ref().map(|kept| kept.build(name, arch)) {
            Some(Ok((component, build))) => Ok((component.clone(), build.clone())),
            _ => Err(missing),
        }
    }

    /// The program that stays on a host: this one, or, when an installed node is looked at, the one that
    /// was left there.
    pub(crate) fn agent(&self, host: &Host) -> Result<Option<installed::Agent>, StepError> {
        let before = || installed::read::<installed::Agent>(host, &self.layout, "aami-agent");
        let checks = match self.options.purpose {
            Purpose::Install => !self.options.skip_checks,
            Purpose::Look(_) | Purpose::Exporters { .. } => return Ok(before()),
            Purpose::Update(_) => before().is_none_or(|agent| agent.checks),
        };
        let Some(path) = self
            .options
            .agent
            .as_ref()
            .filter(|_| self.options.form == Form::Host)
        else {
            return Ok(None);
        };
        let found = self.agent.get(|| {
            let sum = crate::download::sum_of(path).map_err(|error| {
                StepError::new(
                    code::STEP_FAILED,
                    format!("{} cannot be read: {error}", path.display()),
                )
            })?;
            Ok(installed::Agent {
                version: version::own().to_owned(),
                sha256: sum.to_string(),
                checks,
            })
        })?;
        Ok(Some(found.as_ref().clone()))
    }

    /// Who signs releases: as it was given, else as the control plane says. It is asked at the first install, over
    /// the channel that the agent itself came through; what a node has once believed stays, whoever it asks later.
    pub(crate) fn release_key(&self) -> Result<Option<String>, StepError> {
        let found = self.release_key.get(|| {
            if let Some(given) = &self.options.release_key {
                return Ok(Some(given.clone()));
            }
            let url = format!("{}/dist/minisign.pub", self.client.server());
            let access = Access {
                trust: self.options.api.trust.clone(),
                credential: None,
            };
            let asked = self.options.downloader.text_at_once(&url, &access, LARGEST_KEY);
            // Without one the agent is not updated from afar, and that is all.
            let asked = asked.unwrap_or_else(|error| {
                let _ = self.release_key_lost.set(error.to_string());
                None
            });
            Ok(asked.filter(|text| PublicKey::read(text).is_ok()))
        })?;
        Ok(found.as_ref().clone())
    }

    /// The address the node is scraped at.
    pub fn address(&self) -> Result<IpAddr, StepError> {
        let found = self.address.get(|| {
            if let Some(told) = self.options.purpose.told()
                && let Ok(address) = told.request.ip_address.parse()
            {
                return Ok(address);
            }
            match self.options.address {
                Some(address) => Ok(address),
                None => {
                    let server = server_address(self.client.server())?;
                    route::source_address(server)
                        .map_err(|error| StepError::new(error.code(), error.to_string()))
                }
            }
        })?;
        Ok(*found)
    }

    /// The port node_exporter listens on: as asked for, else as it was last time. In the foreground form
    /// a port that somebody else holds is left to them and another is chosen.
    pub(crate) fn port(&self, host: &Host) -> Result<u16, StepError> {
        let found = self.port.get(|| {
            if let Some(port) = self.options.port {
                return Ok(port);
            }
            let last = register::last_told(host, &self.layout)
                .and_then(|told| told.port(ExporterKind::NodeExporter));
            if self.options.form == Form::Host || self.options.purpose != Purpose::Install {
                return Ok(last.unwrap_or(PORT));
            }
            let bind = self.bind_address()?;
            let is_free = |port: &u16| TcpListener::bind((bind, *port)).is_ok();
            if let Some(port) = last.into_iter().chain([PORT]).find(is_free) {
                return Ok(port);
            }
            let any = TcpListener::bind((bind, 0)).and_then(|socket| socket.local_addr());
            any.map(|address| address.port()).map_err(|error| {
                StepError::new(code::PORT_IN_USE, format!("no free port on {bind}: {error}"))
            })
        })?;
        Ok(*found)
    }

    /// Whether the port differs from the one people expect.
    pub(crate) fn port_is_another(&self, port: u16) -> bool {
        self.options.port.is_none() && port != PORT
    }

    /// Where exporters listen: everywhere, so that the control plane reaches them at whatever address
    /// the node has then; on loopback alone where the control plane is on this machine.
    pub(crate) fn bind_address(&self) -> Result<IpAddr, StepError> {
        let address = self.address()?;
        Ok(match address {
            loopback if loopback.is_loopback() => loopback,
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        })
    }

    /// An exporter's own word for where it listens. Without an address it listens on both families.
    pub(crate) fn listen(&self, port: u16) -> Result<String, StepError> {
        let bind = self.bind_address()?;
        Ok(if bind.is_unspecified() {
            format!(":{port}")
        } else {
            SocketAddr::new(bind, port).to_string()
        })
    }

    /// Where this process reaches an exporter of its own host.
    pub(crate) fn near(&self, port: u16) -> Result<SocketAddr, StepError> {
        let bind = self.bind_address()?;
        Ok(match bind {
            IpAddr::V4(v4) if v4.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], port)),
            IpAddr::V6(v6) if v6.is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
            bound => SocketAddr::new(bound, port),
        })
    }

    /// Whether this host has registered with this control plane before, by the plan's own record.
    pub(crate) fn is_enrolled(&self, survey: &Survey<'_>) -> bool {
        self.registration_is(survey, |is_done| is_done)
    }

    /// Whether a registration was begun, so that the control plane may know this host although no answer
    /// came back.
    pub(crate) fn may_be_enrolled(&self, survey: &Survey<'_>) -> bool {
        self.registration_is(survey, |_| true)
    }

    fn registration_is(&self, survey: &Survey<'_>, wanted: impl Fn(bool) -> bool) -> bool {
        let registration = Registration::new(self.client.server(), self.layout.credential.clone(), |_, _| {
            Ok(String::new())
        });
        survey
            .record(&Effect::Registration(registration).key())
            .is_some_and(|record| wanted(record.done))
    }
}

/// The first address of the server; where its name cannot be looked up here (a proxy does that), an
/// address that stands for "anywhere": the documentation network (RFC 5737), to which nothing is sent.
fn server_address(server: &str) -> Result<SocketAddr, StepError> {
    let found = resolved(server)?.unwrap_or_default();
    let anywhere = SocketAddr::from(([192, 0, 2, 1], 443));
    Ok(found.first().copied().unwrap_or(anywhere))
}

/// All addresses of a server, or why its name is not known here.
pub(crate) fn resolved(server: &str) -> Result<io::Result<Vec<SocketAddr>>, StepError> {
    let uri: ureq::http::Uri = server
        .parse()
        .map_err(|_| StepError::new(code::INVALID, format!("{server:?} is not a URL")))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    });
    Ok((host, port).to_socket_addrs().map(Iterator::collect))
}
