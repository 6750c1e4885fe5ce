//! What the steps of one run of the node plan know together.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aami_api::client::ClientError;
use aami_api::node::Verified;
use aami_api::register::Registered;
use aami_api::token::{OpenedRun, Validated};
use aami_install::effect::firewall::Firewall;
use aami_install::{Host, StepError, Survey};
use aami_inventory::Inventory;
use aami_model::exporter::ExporterKind;
use aami_model::{code, version};

use super::layout::Layout;
use super::plane::{self, Plane};
use super::register::{self, Told};
use super::summary::Summary;
use super::{Form, NodeOptions, Purpose, doors, installed, resident};
use crate::components::{Build, Catalogue, Component};
use crate::fetch::not_had;
use crate::obtain::{self, Source};
use crate::release::PublicKey;

/// Where node_exporter listens unless told otherwise.
pub(crate) const PORT: u16 = 9100;

/// What the steps of one run know together. Everything here is looked up at most once, when the first
/// step asks.
pub struct Session {
    pub(crate) options: NodeOptions,
    pub(crate) layout: Layout,
    plane: Option<Plane>,
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
    /// What a node on its own noted about itself.
    pub(crate) noted: OnceLock<Told>,
    /// The unit of the agent, once it was seen to run.
    pub(crate) stays: OnceLock<&'static str>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("server", &self.server())
            .finish_non_exhaustive()
    }
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
        let plane = options.api.as_ref().map(Plane::new).transpose()?;
        Ok(Self {
            options,
            layout,
            plane,
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
            noted: OnceLock::new(),
            stays: OnceLock::new(),
        })
    }

    /// The control plane; nothing where the node stands on its own.
    pub(crate) const fn plane(&self) -> Option<&Plane> {
        self.plane.as_ref()
    }

    /// The control plane, for what cannot be done without one.
    pub(crate) fn asked(&self) -> Result<&Plane, StepError> {
        self.plane.as_ref().ok_or_else(|| {
            let why = "this node has no control plane";
            StepError::new(code::NODE_NOT_ENROLLED, why)
        })
    }

    /// The control plane's address, where there is one.
    pub fn server(&self) -> Option<&str> {
        self.plane.as_ref().map(Plane::server)
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
        Summary::of(self)
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
                .map_err(|error| not_had(&error, self.server()))
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

    /// What came out of a folder or mirror, in a run of a node on its own that names neither: nobody offers it, so it
    /// stays as it is.
    pub(crate) fn kept(&self, host: &Host, name: &str) -> Option<installed::Exporter> {
        let names_one = |source: &Source| !matches!(source, Source::Publisher);
        if self.plane.is_some() || self.options.sources.iter().any(names_one) {
            return None;
        }
        let kept: installed::Exporter = installed::read(host, &self.layout, name)?;
        let is_a_sites = kept.component.builds.values().all(|build| build.url.is_none());
        is_a_sites.then_some(kept)
    }

    /// A component and its build for this host: as installed, or as the catalogue has it.
    pub(crate) fn component(&self, host: &Host, name: &str) -> Result<(Component, Build), StepError> {
        let catalogue = match self.installed(host, name).or_else(|| self.kept(host, name)) {
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
        let before = || installed::read::<installed::Agent>(host, &self.layout, installed::AGENT);
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
        let serves = || match (&self.options.purpose, &self.plane) {
            (Purpose::Install, _) if self.options.skip_agent => Ok(None),
            // Nobody else would hear what it finds.
            (Purpose::Install, None) => self.serves(host, before()).map(Some),
            _ => Ok(before().and_then(|agent| agent.serves)),
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
                serves: serves()?,
            })
        })?;
        Ok(Some(found.as_ref().clone()))
    }

    /// Where the agent of a node on its own serves what it finds.
    fn serves(&self, host: &Host, before: Option<installed::Agent>) -> Result<installed::Serves, StepError> {
        let before = before.and_then(|agent| agent.serves?.door);
        Ok(installed::Serves {
            address: SocketAddr::new(self.bind_address()?, resident::METRICS_PORT),
            door: doors::needed(self, host, resident::METRICS_PORT, before.as_ref())?,
        })
    }

    /// Who signs releases: as it was given, else as the control plane says. It is asked at the first install, over
    /// the channel that the agent itself came through; what a node has once believed stays, whoever it asks later.
    pub(crate) fn release_key(&self) -> Result<Option<String>, StepError> {
        let found = self.release_key.get(|| {
            if let Some(given) = &self.options.release_key {
                return Ok(Some(given.clone()));
            }
            let Some(plane) = &self.plane else { return Ok(None) };
            // Without one the agent is not updated from afar, and that is all.
            let asked = plane.release_key(&self.options.downloader).unwrap_or_else(|why| {
                let _ = self.release_key_lost.set(why);
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
            match (self.options.address, &self.plane) {
                (Some(address), _) => Ok(address),
                (None, Some(plane)) => plane.source_address(),
                (None, None) => plane::own_address(&self.options.scrape_from),
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
        let plane = self.plane.as_ref();
        plane.is_some_and(|plane| plane.registration_is(&self.layout, survey, |is_done| is_done))
    }

    /// Whether this host is a node already: enrolled there, or by its own note where it stands on its own.
    pub(crate) fn is_known(&self, survey: &Survey<'_>) -> bool {
        let stands_alone = || {
            let told = register::last_told(survey.host(), &self.layout);
            self.plane.is_none() && told.is_some_and(|told| told.server.is_none())
        };
        self.is_enrolled(survey) || stands_alone()
    }

    /// Whether a registration was begun, so that the control plane may know this host although no answer
    /// came back.
    pub(crate) fn may_be_enrolled(&self, survey: &Survey<'_>) -> bool {
        let plane = self.plane.as_ref();
        plane.is_some_and(|plane| plane.registration_is(&self.layout, survey, |_| true))
    }
}
