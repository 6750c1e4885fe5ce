//! The node plan: a machine becomes a monitored node, in eight steps, and its agent stays connected.
//!
//! [`Node::new`] makes the plan from [`NodeOptions`]; whoever has it runs it with
//! `aami_install::Installer`. The steps are those of [`step`], one file each; what they find out is
//! shared in a [`Session`], which the caller can ask afterwards for what there is to tell.
//!
//! There are two forms ([`Form`]). On a host, exporters are systemd units with few rights. In the
//! foreground, everything lies below one folder and exporters are [child processes](foreground) that
//! end with this one; nothing outside that folder is touched and no root is needed.
//!
//! Either form works without a control plane ([`NodeOptions::api`] is `None`): the node stands on its own. The steps
//! that ask a control plane do not apply then, everything else is the same, so that such a node can be enrolled later
//! by the same plan.
//!
//! The plan does not choose where its input comes from: inventory, listeners, downloads and the API
//! are values in the options.

mod agent_unit;
pub mod check;
mod check_units;
mod doors;
mod exporter;
mod extra;
pub mod foreground;
mod identity;
mod installed;
mod layout;
mod local;
mod older;
mod plane;
pub mod proxy_file;
mod register;
mod report;
mod resident;
mod session;
mod step;
mod summary;
mod unit;
mod unregister;
mod update_unit;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aami_api::client::{ClientError, Settings};
use aami_install::{Effect, HostPath, NotAHostPath, Plan, PlanError, StepError};
use aami_inventory::listener::Listener;
use aami_inventory::{Inventory, InventoryError};
use aami_model::label::Labels;
use aami_model::secret::Secret;

use extra::Extra;
pub use extra::{Change, Listed};
pub use foreground::Foreground;
pub use layout::{Form, Layout, PUSHED, RUNS};
pub use older::take_back_older_agents;
pub use report::{BegunRun, Reporter};
pub use resident::{
    AGENT_UNIT, ASKED, CHECKS_UNIT, FETCHED, OUTCOME, RELEASE_KEY, REQUEST, STANDING, TRIAL, TRIAL_DROP_IN,
    UPDATE_FOLDER, UPDATE_JOURNAL, UPDATE_UNIT, asked_at, daemon_command, exporter_unit, forget_trial,
    metrics_address, program_of,
};
pub use session::Session;
pub use summary::Summary;
pub use unregister::{Enrolment, NOWHERE, Unregisterer, trust_of};

use crate::download::{Downloader, Proxies};
use crate::obtain::Source;

/// The plan's name: its folder, and the name in its events.
pub const NAME: &str = "node";

/// Looks at the host.
pub type Look = dyn Fn() -> Result<Inventory, InventoryError> + Send + Sync;
/// Says who listens on a port.
pub type Listeners = dyn Fn(u16) -> Vec<Listener> + Send + Sync;

/// What the plan is made for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// To be run, or shown before it is.
    Install,
    /// To see how an installed node stands, or to take it back: steps that only prepare an install have
    /// no meaning then, and the last one asks the control plane when it is probed. What was installed is
    /// taken from the enrolment, whatever would be installed today.
    Look(Option<Box<Enrolment>>),
    /// To change which exporters an enrolled node has; everything else stays as it was installed.
    Exporters {
        /// The node.
        enrolment: Box<Enrolment>,
        /// What changes.
        change: Change,
    },
    /// To make the program that runs this the node's agent, after it was tried; everything else stays as it was
    /// installed, and nobody but this host is asked.
    Update(Box<Enrolment>),
}

impl Purpose {
    fn told(&self) -> Option<&register::Told> {
        match self {
            Self::Look(Some(enrolment)) | Self::Exporters { enrolment, .. } | Self::Update(enrolment) => {
                Some(&enrolment.told)
            }
            Self::Install | Self::Look(None) => None,
        }
    }

    /// Whether an exporter is to come.
    const fn adds(&self) -> bool {
        matches!(
            self,
            Self::Exporters {
                change: Change::Add(_),
                ..
            }
        )
    }
}

/// What to enrol, where, and how.
pub struct NodeOptions {
    /// What for.
    pub purpose: Purpose,
    /// Which form.
    pub form: Form,
    /// The cluster's name, as for the installer.
    pub cluster: String,
    /// How to reach the control plane; `None` for a node that stands on its own, which asks and tells nobody.
    pub api: Option<Settings>,
    /// The bootstrap token; a node that is enrolled and has no news needs none.
    pub token: Option<Secret>,
    /// The run to report to, where a script opened it already.
    pub run: Option<BegunRun>,
    /// Where node_exporter shall listen; 9100 where absent.
    pub port: Option<u16>,
    /// The operator's labels.
    pub labels: Labels,
    /// The address to register; that of the route to the control plane where absent.
    pub address: Option<IpAddr>,
    /// Take a node_exporter that is here already for this node's, as it is.
    pub adopt: bool,
    /// Skip step 1.
    pub skip_preflight: bool,
    /// Do not look for firewalls.
    pub skip_firewall: bool,
    /// The addresses and networks that exporters are scraped from: a firewall is opened for them alone. Those of
    /// the control plane where there are none.
    pub scrape_from: Vec<String>,
    /// Skip step 5.
    pub skip_gpu: bool,
    /// The container image that dcgm-exporter runs in, by its digest; the catalogue's where absent.
    pub dcgm_image: Option<String>,
    /// Leave checks out of step 6.
    pub skip_checks: bool,
    /// Leave out the daemon that stays connected.
    pub skip_agent: bool,
    /// Proxies that services shall use as well.
    pub proxies: Proxies,
    /// Where components come from, in this order.
    pub sources: Vec<Source>,
    /// Fetches them.
    pub downloader: Downloader,
    /// The program that stays on a host: whoever runs this.
    pub agent: Option<PathBuf>,
    /// Who signs releases, as minisign writes it; where absent, whom the control plane names at the first install.
    pub release_key: Option<String>,
    /// Looks at the host.
    pub look: Box<Look>,
    /// Says who listens on a port.
    pub listeners: Box<Listeners>,
    /// Keeps the exporters of the foreground form; `None` in the host form.
    pub foreground: Option<Arc<Foreground>>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum NodePlanError {
    /// The control plane cannot be addressed like that.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The cluster's name cannot be a folder's.
    #[error(transparent)]
    Path(#[from] NotAHostPath),
    /// The steps make no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl NodePlanError {
    /// The registry's entry for it.
    pub fn code(&self) -> aami_model::Code {
        match self {
            Self::Client(error) => error.code(),
            Self::Path(_) | Self::Plan(_) => aami_model::code::INVALID,
        }
    }
}

/// The node plan with what its steps know.
pub struct Node {
    plan: Plan,
    session: Arc<Session>,
}

impl Node {
    /// Makes the plan. Nothing is looked at or sent yet.
    pub fn new(options: NodeOptions) -> Result<Self, NodePlanError> {
        let layout = Layout::of(options.form, &options.cluster)?;
        let session = Arc::new(Session::new(options, layout)?);
        let plan = Plan::new(NAME, "AAMI Node Bootstrap", step::all(&session))?;
        Ok(Self { plan, session })
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The exporter that is to come or go, by the name it has in the catalogue or here; nothing where none is.
    pub fn exporter(&self, host: &aami_install::Host) -> Result<Option<String>, StepError> {
        match &self.session.options.purpose {
            Purpose::Exporters { change, .. } => change.settled(&self.session, host).map(Some),
            Purpose::Install | Purpose::Look(_) | Purpose::Update(_) => Ok(None),
        }
    }

    /// Everything that an exporter which is installed here stands on, also what it shares with others; nothing where
    /// it was only asked for.
    pub fn exporter_effects(&self, host: &aami_install::Host, name: &str) -> Result<Vec<Effect>, StepError> {
        let extra = Extra::named(name);
        if !Extra::installed(&self.session, host).contains(&extra) {
            if extra::Wish::kept(&self.session, host).also.contains(name) {
                return Ok(Vec::new());
            }
            let message = format!("{name} was not installed by AAMI on this host");
            return Err(StepError::new(aami_model::code::NOT_FOUND, message)
                .with_hint("`aami-agent exporters list` shows what was."));
        }
        extra.setup(&self.session, host)?.effects(&self.session, host)
    }

    /// The exporters there are, and those there could be.
    pub fn exporters(&self, host: &aami_install::Host) -> Result<Vec<Listed>, StepError> {
        extra::listed(&self.session, host)
    }

    /// What its steps know.
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The folder from which its node_exporter serves what is told there, the numbers of its runs among it.
    pub fn textfile(&self) -> &HostPath {
        &self.session.layout.textfile
    }
}
