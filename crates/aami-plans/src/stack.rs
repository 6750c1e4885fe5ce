//! The stack plan: a machine becomes a server, in seven steps.
//!
//! [`Stack::new`] makes the plan from [`StackOptions`]; whoever has it runs it with
//! `aami_install::Installer`. What is chosen ([`Wishes`]) is noted on the host ([`Note`]), so that the
//! next run, a look and an uninstall need no flags.
//!
//! There are two runtimes behind the one plan: systemd units, or containers of a compose project. Users,
//! folders, configurations and ports are the same in both; only step 4 differs.
//!
//! A component that cannot be had stops nothing: it is named ([`Session::missing`]), and the same plan run
//! again finishes it. Every outside part (downloads, listeners, health, the control plane's API) is a value
//! in the options. What the services wrote themselves is data: [`uninstall`] leaves it and says so, or
//! removes it where that is asked for.

mod compose;
mod config;
mod dist;
mod fetch;
mod first_keys;
mod folders;
mod former;
pub mod health;
mod image;
mod keep;
mod kept;
mod layout;
mod part;
mod place;
mod publishers;
mod purge;
mod reload;
mod report;
mod room;
mod service;
mod session;
mod step;
pub mod uninstall;
mod unit;
mod wishes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aami_install::{NotAHostPath, Plan, PlanError};
use aami_inventory::Arch;
use aami_inventory::listener::Listener;
use aami_model::code::{self, Code};

pub use first_keys::{Api, ControlPlane, FirstToken, TokenWish};
pub use former::{take_back_credential, take_back_former};
pub use image::has_image;
pub use kept::{NotKept, kept_credential};
pub use layout::Layout;
pub use part::{NotAPart, Part};
pub use publishers::publishers;
pub use purge::PurgeError;
pub use report::Ran;
pub use room::room;
pub use session::Session;
pub use wishes::{Note, Runtime, Wishes};

use crate::components::{Component, Sha256Sum, is_pinned_image};
use crate::download::Downloader;
use crate::obtain::Source;

/// The plan's name: its folder, and the name in its events.
pub const NAME: &str = "stack";

/// Says who listens on a port.
pub type Listeners = dyn Fn(u16) -> Vec<Listener> + Send + Sync;
/// Makes what the parts are told where there is no control plane, for those of them that are to run.
pub type Render = dyn Fn(&[Part]) -> Result<Rendered, (Code, String)> + Send + Sync;
/// Looks at the machine before anything is changed.
pub type LookFirst = dyn Fn() -> Looked + Send + Sync;
/// Asks a part whether it is well.
pub type Ask = dyn Fn(&health::Question) -> Result<(), String> + Send + Sync;

/// What a look at the machine found, beside ports, which this plan looks at itself.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// What is as it should be, worth showing.
    pub notes: Vec<String>,
    /// What somebody should know that stops nothing.
    pub warnings: Vec<(Code, String)>,
    /// What would keep an installation from working.
    pub errors: Vec<(Code, String)>,
}

/// What the plan is made for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// To be run, or shown before it is.
    Install,
    /// To see how an installed server stands, or to take it back: as it was installed, whatever would be
    /// installed today.
    Look(Box<Note>),
}

/// A secret somebody gave, shown to nobody.
#[derive(Clone)]
pub struct Given(String);

impl Given {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What the parts are configured with where there is no control plane: texts made from a declared fleet.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// `prometheus.yml`.
    pub prometheus: String,
    /// `alertmanager.yml`, and the secrets it reads from files of their own.
    pub alertmanager: aami_monitor::alertmanager::Rendered,
}

/// A certificate of the operator's own, PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain.
    pub chain: String,
    /// Its key.
    pub key: Given,
}

/// A file of a release that nodes update from.
#[derive(Debug, Clone)]
pub struct Released {
    /// Where it is; nothing where an earlier run placed it.
    pub from: Option<PathBuf>,
    /// What it must be.
    pub sum: Sha256Sum,
}

/// What to install, where, and how.
pub struct StackOptions {
    /// What for.
    pub purpose: Purpose,
    /// What was chosen.
    pub wishes: Wishes,
    /// Why this runtime, for people.
    pub why_runtime: String,
    /// Grafana's first password; made here where absent.
    pub grafana_password: Option<Given>,
    /// Makes configurations where there is no control plane; such a plan that is made without it only looks, and
    /// takes the configurations as they are.
    pub render: Option<Box<Render>>,
    /// A certificate for the control plane.
    pub certificate: Option<Certificate>,
    /// What the first bootstrap token is good for.
    pub token: TokenWish,
    /// Skip step 1.
    pub skip_preflight: bool,
    /// Where components come from, in this order.
    pub sources: Vec<Source>,
    /// Components as they were installed, that stay what they are whatever the sources offer.
    pub known: Vec<Component>,
    /// Fetches them.
    pub downloader: Downloader,
    /// This program.
    pub program: PathBuf,
    /// Agents on this machine that nodes will download.
    pub agents: Vec<(Arch, PathBuf)>,
    /// What nodes update from, by its path below `dist/`: a signed list of a release, and its agents.
    pub released: BTreeMap<String, Released>,
    /// This machine's processor.
    pub arch: Arch,
    /// Looks at the machine.
    pub look_first: Box<LookFirst>,
    /// Says who listens on a port.
    pub listeners: Box<Listeners>,
    /// Asks a part whether it is well; [`health::ask`] does it over HTTP.
    pub ask: Box<Ask>,
    /// The control plane that is started; [`Api`] is the real one.
    pub control_plane: Box<dyn ControlPlane>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum StackPlanError {
    /// A folder that is none.
    #[error(transparent)]
    Path(#[from] NotAHostPath),
    /// A value that would have to be quoted in a unit, a configuration or a compose file.
    #[error("{what} {value:?} cannot be used: {rule}")]
    Value {
        /// Which.
        what: &'static str,
        /// As given.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// Two parts on one port.
    #[error("{one} and {other} cannot both listen on port {port}")]
    SamePort {
        /// The first.
        one: Part,
        /// The second.
        other: Part,
        /// The port.
        port: u16,
    },
    /// An image that whoever fetches it cannot tell from another.
    #[error(
        "containers are made from an image that is named by its content, and {0:?} is not; no such image is on public \
         record here: name one with --image NAME@sha256:DIGEST, or use --runtime systemd"
    )]
    Image(String),
    /// The steps make no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl StackPlanError {
    /// The registry's entry for it.
    pub const fn code(&self) -> Code {
        match self {
            Self::Image(_) => code::COMPONENT_MISSING,
            _ => code::INVALID,
        }
    }
}

/// The stack plan with what its steps know.
pub struct Stack {
    plan: Plan,
    session: Arc<Session>,
}

impl Stack {
    /// Makes the plan. Nothing is looked at or sent yet.
    pub fn new(options: StackOptions) -> Result<Self, StackPlanError> {
        check(&options.wishes)?;
        if options.purpose == Purpose::Install && !has_known_image(&options.wishes) {
            let image = options.wishes.image.chars().take(200).collect();
            return Err(StackPlanError::Image(image));
        }
        let layout = Layout::of(&options.wishes)?;
        let session = Arc::new(Session::new(options, layout));
        let plan = Plan::new(NAME, "AAMI Server Installation", step::all(&session))?;
        Ok(Self { plan, session })
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What its steps know.
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// Whether containers, where there are any, are made from an image that is known by its content: by a registry's
/// digest, or by the engine's own id of it.
fn has_known_image(wishes: &Wishes) -> bool {
    let is_id = |text: &str| {
        text.strip_prefix("sha256:")
            .is_some_and(|sum| sum.parse::<Sha256Sum>().is_ok())
    };
    wishes.runtime == Runtime::Systemd || is_pinned_image(&wishes.image) || is_id(&wishes.image)
}

/// Values that stand in units, YAML, INI and compose files as they are.
fn check(wishes: &Wishes) -> Result<(), StackPlanError> {
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let refuse = |what, value: &str, rule| {
        let value = value.chars().take(200).collect();
        Err(StackPlanError::Value { what, value, rule })
    };
    for (what, path) in [
        ("the installation folder", &wishes.install_dir),
        ("the data folder", &wishes.data_dir),
    ] {
        if !plain(path.as_str(), "/._-") || path.as_str().len() < 2 {
            return refuse(what, path.as_str(), "it is a path of A-Z a-z 0-9 / . _ -");
        }
    }
    if let Some(domain) = &wishes.domain
        && !(plain(domain, ".-") && domain.len() <= 253)
    {
        return refuse("the domain", domain, "it is a host name or an IPv4 address");
    }
    let parts: Vec<Part> = Part::ALL.into_iter().filter(|part| wishes.wants(*part)).collect();
    for (at, one) in parts.iter().enumerate() {
        let port = wishes.port(*one);
        if let Some(other) = parts[at + 1..].iter().find(|other| wishes.port(**other) == port) {
            let (one, other) = (*one, *other);
            return Err(StackPlanError::SamePort { one, other, port });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_made_from_an_image_known_by_its_content_alone() {
        let mut wishes = Wishes::usual().unwrap();
        assert!(has_known_image(&wishes), "no container under systemd");
        wishes.runtime = Runtime::Compose;
        assert!(!has_known_image(&wishes), "{} is a tag", wishes.image);
        let sum = "5b".repeat(32);
        for (image, known) in [
            (format!("docker.io/library/debian@sha256:{sum}"), true),
            (format!("docker.io/library/debian:12-slim@sha256:{sum}"), true),
            (format!("sha256:{sum}"), true),
            ("sha256:5b5b".to_owned(), false),
            ("debian:latest".to_owned(), false),
        ] {
            wishes.image.clone_from(&image);
            assert_eq!(has_known_image(&wishes), known, "{image}");
        }
        assert_eq!(
            StackPlanError::Image(String::new()).code(),
            code::COMPONENT_MISSING
        );
    }
}
