//! How the server shall be: what is chosen once, noted on the host, and taken from there the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use aami_install::{Host, HostPath, NotAHostPath};
use serde::{Deserialize, Serialize};

use super::part::Part;
use crate::components::{Component, Sha256Sum};

/// The folder of everything AAMI is configured with.
pub(crate) const CONFIGURATION: &str = "/etc/aami";
/// Where what was chosen is noted.
const NOTE: &str = "/etc/aami/server-install.json";
/// A note is small; a longer file is something else.
const LONGEST: u64 = 256 * 1024;

/// What the parts run under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// Units of their own.
    Systemd,
    /// Containers of one compose project.
    Compose,
}

impl Runtime {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Compose => "compose",
        }
    }
}

/// Everything that is chosen about a server. Never a secret: it is noted for everybody to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// The version of AAMI.
    pub version: String,
    /// The cluster's name.
    pub cluster: String,
    /// What the parts run under.
    pub runtime: Runtime,
    /// Where programs go.
    pub install_dir: HostPath,
    /// Where data goes, a folder a part.
    pub data_dir: HostPath,
    /// Whether there is a control plane. Without one, what the other parts are told is made from a declared fleet.
    #[serde(default = "yes")]
    pub control_plane: bool,
    /// The name nodes and people reach the control plane by; its own address where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Which programs run beside the control plane.
    pub components: BTreeSet<Part>,
    /// Where Prometheus keeps its data, where that is not its folder below `data_dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_data: Option<HostPath>,
    /// How long Prometheus keeps what it scraped, as it writes durations; its own default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// The port of each part.
    pub ports: BTreeMap<Part, u16>,
    /// Whether Prometheus, Alertmanager and Grafana listen for other machines too.
    #[serde(default)]
    pub expose: bool,
    /// Whether an active firewall is left as it is.
    #[serde(default)]
    pub leave_firewall: bool,
    /// A web server that carries the components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Whether that web server wants to see something first, which a file of root's alone keeps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirror_credential: bool,
    /// A folder that carries the components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components_dir: Option<PathBuf>,
    /// The image containers are made from, in the runtime that has them.
    pub image: String,
    /// Whether the control plane shows a certificate of the operator's own.
    #[serde(default)]
    pub own_certificate: bool,
    /// Who signed the release it was installed from: the public key's line. Nodes that enrol take updates of their
    /// agent from nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_key: Option<String>,
}

const fn yes() -> bool {
    true
}

impl Wishes {
    /// What applies where nobody says otherwise, for this program's version.
    pub fn usual() -> Result<Self, NotAHostPath> {
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: "default".to_owned(),
            runtime: Runtime::Systemd,
            install_dir: HostPath::new("/opt/aami")?,
            data_dir: HostPath::new("/var/lib/aami")?,
            control_plane: true,
            domain: None,
            components: Part::FOREIGN.into(),
            prometheus_data: None,
            retention: None,
            ports: BTreeMap::new(),
            expose: false,
            leave_firewall: false,
            mirror: None,
            mirror_credential: false,
            components_dir: None,
            image: "docker.io/library/debian:12-slim".to_owned(),
            own_certificate: false,
            release_key: None,
        })
    }

    /// The port of a part.
    pub fn port(&self, part: Part) -> u16 {
        self.ports.get(&part).copied().unwrap_or(part.usual_port())
    }

    /// Whether a part was asked for.
    pub fn wants(&self, part: Part) -> bool {
        match part {
            Part::ControlPlane => self.control_plane,
            Part::Prometheus | Part::Alertmanager | Part::Grafana => self.components.contains(&part),
        }
    }

    /// Where a part listens. The three beside the control plane ask for no password or send theirs in
    /// clear, so they listen for this machine alone unless told otherwise.
    pub fn listen(&self, part: Part) -> SocketAddr {
        let everywhere = part == Part::ControlPlane || self.expose;
        let ip = if everywhere {
            Ipv4Addr::UNSPECIFIED
        } else {
            Ipv4Addr::LOCALHOST
        };
        SocketAddr::new(IpAddr::V4(ip), self.port(part))
    }

    /// Where this machine reaches a part. Over loopback the control plane's plain HTTP is whole.
    pub fn near(&self, part: Part) -> String {
        format!("http://127.0.0.1:{}", self.port(part))
    }

    /// How nodes and people reach the control plane, where a name was given.
    pub fn public_url(&self) -> Option<String> {
        let domain = self.domain.as_ref()?;
        Some(format!("https://{domain}:{}", self.port(Part::ControlPlane)))
    }
}

/// What was chosen, and the components as they were installed: what looking and taking back go by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What was chosen.
    #[serde(flatten)]
    pub wishes: Wishes,
    /// The components it was installed with, by name.
    #[serde(default)]
    pub installed: BTreeMap<String, Component>,
    /// The SHA-256 of what was copied from this machine: `aami`, the agents as `aami-agent/ARCH`, and what nodes update
    /// from as `release/VERSION/FILE`.
    #[serde(default)]
    pub copied: BTreeMap<String, Sha256Sum>,
}

impl Note {
    /// The note on this host, if there is one that can be read.
    pub fn read(host: &Host) -> Option<Self> {
        let bytes = host.root.read(&Self::path().ok()?, LONGEST).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Where it lies.
    pub fn path() -> Result<HostPath, NotAHostPath> {
        HostPath::new(NOTE)
    }

    /// Its text.
    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_control_plane_listens_for_others_unless_told_so() {
        let mut wishes = Wishes::usual().unwrap();
        assert_eq!(wishes.listen(Part::ControlPlane).to_string(), "0.0.0.0:8080");
        assert_eq!(wishes.listen(Part::Prometheus).to_string(), "127.0.0.1:9090");
        assert_eq!(wishes.listen(Part::Grafana).to_string(), "127.0.0.1:3000");
        wishes.expose = true;
        assert_eq!(wishes.listen(Part::Grafana).to_string(), "0.0.0.0:3000");
        assert_eq!(wishes.near(Part::Grafana), "http://127.0.0.1:3000");
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::folder(folder.path()).unwrap();
        assert_eq!(Note::read(&host), None);
        let mut wishes = Wishes::usual().unwrap();
        wishes.ports.insert(Part::Grafana, 3001);
        wishes.components.remove(&Part::Alertmanager);
        let note = Note {
            wishes,
            installed: BTreeMap::new(),
            copied: BTreeMap::from([("aami".to_owned(), Sha256Sum([7; 32]))]),
        };
        std::fs::create_dir_all(folder.path().join("etc/aami")).unwrap();
        std::fs::write(
            folder.path().join("etc/aami/server-install.json"),
            note.text().unwrap(),
        )
        .unwrap();
        assert_eq!(Note::read(&host), Some(note));
    }
}
