//! The parts of a server: the control plane and the three programs beside it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// `aami server`.
    ControlPlane,
    /// Prometheus.
    Prometheus,
    /// Alertmanager.
    Alertmanager,
    /// Grafana.
    Grafana,
}

/// A name that is no part's that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is none of prometheus, alertmanager, grafana")]
pub struct NotAPart {
    /// What was given.
    pub name: String,
}

impl Part {
    /// All of them, in the order they are started.
    pub const ALL: [Self; 4] = [
        Self::ControlPlane,
        Self::Prometheus,
        Self::Alertmanager,
        Self::Grafana,
    ];

    /// Those that can be left out: foreign programs, known to the catalogue by their name.
    pub const FOREIGN: [Self; 3] = [Self::Prometheus, Self::Alertmanager, Self::Grafana];

    /// Its name on the command line, in the catalogue and of its data folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "server",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Grafana => "grafana",
        }
    }

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ControlPlane => "Control plane",
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "Alertmanager",
            Self::Grafana => "Grafana",
        }
    }

    /// Its systemd unit. The names of the distributions are left to them.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::ControlPlane => "aami-server.service",
            Self::Prometheus => "aami-prometheus.service",
            Self::Alertmanager => "aami-alertmanager.service",
            Self::Grafana => "aami-grafana.service",
        }
    }

    /// Its container, in the runtime that has them.
    pub const fn container(self) -> &'static str {
        match self {
            Self::ControlPlane => "aami-server",
            Self::Prometheus => "aami-prometheus",
            Self::Alertmanager => "aami-alertmanager",
            Self::Grafana => "aami-grafana",
        }
    }

    /// The user it runs as, and its group.
    pub const fn user(self) -> &'static str {
        match self {
            Self::ControlPlane => "aami",
            Self::Prometheus => "aami-prometheus",
            Self::Alertmanager => "aami-alertmanager",
            Self::Grafana => "aami-grafana",
        }
    }

    /// The programs of its component that are placed, the one that runs first. The others are tools its
    /// operator needs: they are placed where the component has them.
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::ControlPlane => &["aami"],
            Self::Prometheus => &["prometheus", "promtool"],
            Self::Alertmanager => &["alertmanager", "amtool"],
            Self::Grafana => &["grafana"],
        }
    }

    /// Whether its program needs the folder it comes in: Grafana's pages, defaults and plugins.
    pub const fn needs_its_tree(self) -> bool {
        matches!(self, Self::Grafana)
    }

    /// The port it listens on unless told otherwise.
    pub const fn usual_port(self) -> u16 {
        match self {
            Self::ControlPlane => 8080,
            Self::Prometheus => 9090,
            Self::Alertmanager => 9093,
            Self::Grafana => 3000,
        }
    }

    /// Where it says that it is well: `/-/ready` of Prometheus' and Alertmanager's management API, and
    /// `/api/health` of Grafana's HTTP API.
    pub const fn health_path(self) -> &'static str {
        match self {
            Self::ControlPlane => "/health/ready",
            Self::Prometheus | Self::Alertmanager => "/-/ready",
            Self::Grafana => "/api/health",
        }
    }

    /// What stands in its answer when it is this program's and no other's.
    pub const fn health_word(self) -> &'static str {
        match self {
            Self::ControlPlane => "\"aami\"",
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "OK",
            Self::Grafana => "database",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

impl FromStr for Part {
    type Err = NotAPart;

    fn from_str(text: &str) -> Result<Self, NotAPart> {
        Self::FOREIGN
            .into_iter()
            .find(|part| part.name() == text)
            .ok_or_else(|| NotAPart {
                name: text.chars().take(80).collect(),
            })
    }
}
