//! What a preflight is asked for, and what follows where it is not said.

use std::collections::BTreeSet;

use aami_api::client::Trust;
use aami_model::Code;

use super::facts::Facts;
use super::room::Room;
use crate::download::Proxies;

/// What shall be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A control plane with its companions.
    Server,
    /// A monitored node.
    Node,
}

impl Mode {
    /// `server` or `node`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Node => "node",
        }
    }
}

/// What services run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Units of systemd.
    Systemd,
    /// Containers, by Docker Compose.
    Compose,
}

impl Runtime {
    /// `systemd` or `compose`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Compose => "compose",
        }
    }
}

/// How much room there has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// What operating it well takes: the minima of the guide.
    Recommended,
    /// What the plan will write now; less than recommended is a warning.
    Written,
}

/// What to look at, and for what.
#[derive(Debug, Clone)]
pub struct Request {
    /// What shall be installed; chosen from the facts where not said.
    pub mode: Option<Mode>,
    /// What the facts leave open falls to this.
    pub usual: Mode,
    /// What services run as; chosen from the facts where not said.
    pub runtime: Option<Runtime>,
    /// The control plane a node enrols with.
    pub server: Option<String>,
    /// A web server that carries the components, in place of their publishers.
    pub mirror: Option<String>,
    /// The addresses of publishers and registries that something will be fetched from, where an installer knows them; else all
    /// that may be.
    pub publishers: Option<BTreeSet<String>>,
    /// Whose certificates are believed of the control plane.
    pub trust: Trust,
    /// Why the file with its CA cannot be used.
    pub ca_problem: Option<String>,
    /// Proxies of the environment.
    pub proxies: Proxies,
    /// Where data goes.
    pub data_dir: String,
    /// Where programs go.
    pub install_dir: String,
    /// Whether somebody chose one of the two, which only a server lets them.
    pub names_folders: bool,
    /// Where node_exporter shall listen.
    pub port: Option<u16>,
    /// Whether GPUs are of no interest.
    pub skip_gpu: bool,
    /// Whether firewalls are of no interest.
    pub skip_firewall: bool,
    /// How much room there has to be.
    pub sizes: Sizes,
    /// What a server's programs take, where an installer knows which there will be; else what all of them usually do.
    pub room: Option<Room>,
    /// Whether the images of its containers are there already.
    pub has_images: bool,
    /// Where its Prometheus keeps its data, where that is not below the data folder.
    pub prometheus_data: Option<String>,
    /// Whether a folder that is to be written is tried by writing a file into it, which is removed at once. A plan that
    /// was carried out already and looks only whether all still holds writes nothing.
    pub try_folders: bool,
    /// Whether an installer asks, which then holds the lock itself.
    pub installing: bool,
    /// What to let pass.
    pub ignored: Vec<Code>,
    /// Who will use the machine, where root was reached through sudo.
    pub user: Option<String>,
}

impl Request {
    /// A request for what the program that asks usually installs, with every default.
    pub fn new(usual: Mode) -> Self {
        Self {
            mode: None,
            usual,
            runtime: None,
            server: None,
            mirror: None,
            publishers: None,
            trust: Trust::System,
            ca_problem: None,
            proxies: Proxies::default(),
            data_dir: "/var/lib/aami".to_owned(),
            install_dir: "/opt/aami".to_owned(),
            names_folders: false,
            port: None,
            skip_gpu: false,
            skip_firewall: false,
            sizes: Sizes::Recommended,
            room: None,
            has_images: false,
            prometheus_data: None,
            try_folders: true,
            installing: false,
            ignored: Vec::new(),
            user: None,
        }
    }
}

/// What was looked at, and why that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What shall be installed.
    pub mode: Mode,
    /// Why, where it was not said.
    pub mode_because: Option<String>,
    /// What services run as.
    pub runtime: Runtime,
    /// Why, where it was not said.
    pub runtime_because: Option<String>,
}

/// Facts that decide what was not said; they are looked at before all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// A GPU is on the PCI bus.
    pub has_gpu: bool,
    /// A control plane keeps its data here.
    pub is_server: bool,
    /// This machine is enrolled as a node.
    pub is_node: bool,
    /// systemd is the running init.
    pub has_systemd: bool,
}

impl Choice {
    /// Chooses what was not said.
    pub fn of(request: &Request, hints: Hints) -> Self {
        let (mode, mode_because) = match request.mode {
            Some(mode) => (mode, None),
            None => {
                let (mode, because) = if request.names_folders {
                    (Mode::Server, "--data-dir and --install-dir are a server's")
                } else if request.server.is_some() {
                    (Mode::Node, "--server names the control plane of a node")
                } else if hints.is_server {
                    (Mode::Server, "a control plane keeps its data on this machine")
                } else if hints.is_node {
                    (Mode::Node, "this machine is enrolled as a node")
                } else if hints.has_gpu {
                    (Mode::Node, "there is a GPU on the PCI bus")
                } else {
                    (request.usual, "that is what this program installs")
                };
                (mode, Some(because.to_owned()))
            }
        };
        let (runtime, runtime_because) = match (mode, request.runtime) {
            (Mode::Node, _) => (Runtime::Systemd, None),
            (Mode::Server, Some(runtime)) => (runtime, None),
            (Mode::Server, None) if hints.has_systemd => {
                let because = "systemd is the running init, and needs no container engine";
                (Runtime::Systemd, Some(because.to_owned()))
            }
            (Mode::Server, None) => (
                Runtime::Compose,
                Some("systemd is not the running init".to_owned()),
            ),
        };
        Self {
            mode,
            mode_because,
            runtime,
            runtime_because,
        }
    }

    /// What is asked of the control plane's own host, or of a node, in numbers.
    pub const fn minima(&self) -> Minima {
        match self.mode {
            Mode::Server => Minima {
                cores: 2,
                memory_gb: 4,
                disk_gb: 20,
                open_files: 4096,
            },
            Mode::Node => Minima {
                cores: 1,
                memory_gb: 1,
                disk_gb: 5,
                open_files: 1024,
            },
        }
    }

    /// Whether GPUs matter, on a machine with these facts.
    pub(super) const fn wants_gpu(&self, request: &Request, facts: &Facts) -> bool {
        matches!(self.mode, Mode::Node) && !request.skip_gpu && facts.has_gpu
    }
}

/// The least a machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minima {
    /// Processors.
    pub cores: u32,
    /// Memory in GB, as it is sold.
    pub memory_gb: u64,
    /// Free disk in GB.
    pub disk_gb: u64,
    /// Open files of a service.
    pub open_files: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Hints = Hints {
        has_gpu: false,
        is_server: false,
        is_node: false,
        has_systemd: true,
    };

    #[test]
    fn what_is_not_said_follows_from_facts_and_is_given_its_reason() {
        let request = Request::new(Mode::Server);
        let plain = Choice::of(&request, NOTHING);
        assert_eq!((plain.mode, plain.runtime), (Mode::Server, Runtime::Systemd));
        assert!(plain.mode_because.is_some() && plain.runtime_because.is_some());

        let gpu = Hints {
            has_gpu: true,
            ..NOTHING
        };
        assert_eq!(Choice::of(&request, gpu).mode, Mode::Node);
        let enrolling = Request {
            server: Some("https://control:8080".into()),
            ..request.clone()
        };
        assert_eq!(Choice::of(&enrolling, NOTHING).mode, Mode::Node);
        let bare = Hints {
            has_systemd: false,
            ..NOTHING
        };
        assert_eq!(Choice::of(&request, bare).runtime, Runtime::Compose);
    }

    #[test]
    fn what_is_said_stands() {
        let request = Request {
            mode: Some(Mode::Server),
            runtime: Some(Runtime::Compose),
            ..Request::new(Mode::Node)
        };
        let gpu = Hints {
            has_gpu: true,
            is_node: true,
            ..NOTHING
        };
        let choice = Choice::of(&request, gpu);
        assert_eq!((choice.mode, choice.runtime), (Mode::Server, Runtime::Compose));
        assert_eq!((choice.mode_because, choice.runtime_because), (None, None));
    }
}
