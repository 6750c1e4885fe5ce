//! What `config.yaml` says, as values that were checked.
//!
//! One file per section. Each is declared once, by [`section!`](crate::section::section): its fields, what
//! they mean, what they may be and what they are when nothing is written. Reading, the schema, the guide's
//! table and `aami config show` all follow from that declaration.
//!
//! A [`Config`] cannot be put together by hand outside this crate's reading: whoever holds one holds a
//! configuration without problems.

mod alerts;
mod cluster;
mod grafana;
mod login;
mod node;
mod notifications;
mod prometheus;
mod server;
mod ssh;

pub use alerts::{Alertmanager, Alerts, CustomRule};
pub use cluster::Cluster;
pub use grafana::Grafana;
pub use login::Login;
pub use node::Node;
pub use notifications::{Email, Notifications, Slack, SmtpTls, Webhook};
pub use prometheus::{Prometheus, RemoteWrite};
pub use server::Server;
pub use ssh::{HostKeyPolicy, Retry, Ssh, Sudo, SudoMode};

use std::collections::HashMap;

use crate::section::section;

/// Where the configuration is unless somebody says otherwise.
pub const USUAL_PATH: &str = "/etc/aami/config.yaml";

section! {
    /// The operator's declared fleet.
    pub struct Config {
        /// What this fleet is called.
        cluster: Cluster, section;
        /// A control plane. Where it is named, commands act through it instead of over SSH.
        server: Option<Server>, optional, Server::kind();
        /// The nodes, in the order they are listed.
        nodes: Vec<Node>, default "[]", List::of(Section::<Node>::KIND).up_to(MOST_NODES);
        /// How nodes are reached over SSH.
        ssh: Ssh, section;
        /// Which alerts there are.
        alerts: Alerts, section;
        /// Who is told of alerts.
        notifications: Notifications, section;
        /// The Prometheus that watches the fleet.
        prometheus: Prometheus, section;
        /// The Alertmanager that routes its alerts.
        alertmanager: Alertmanager, section;
        /// The Grafana that shows it.
        grafana: Grafana, section;
    }
}

/// At most this many nodes one file may declare; a larger fleet wants a control plane.
pub const MOST_NODES: usize = 100_000;

/// The nodes of a configuration by their names, for whoever asks for many of them.
#[derive(Debug, Clone)]
pub struct NodesByName<'a>(HashMap<&'a str, &'a Node>);

impl<'a> NodesByName<'a> {
    /// The node of this name, in either case.
    pub fn node(&self, name: &str) -> Option<&'a Node> {
        let found = self.0.get(name);
        // Names are kept in lower case.
        let found = found.or_else(|| self.0.get(name.to_ascii_lowercase().as_str()));
        found.copied()
    }
}

impl Config {
    /// The nodes by their names: made once, it finds each of a hundred thousand at once.
    pub fn by_name(&self) -> NodesByName<'_> {
        let named = self.nodes.iter().map(|node| (node.name.as_str(), node));
        NodesByName(named.collect())
    }

    /// The node of this name, in either case. Whoever asks for many of them asks [`by_name`](Self::by_name).
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes
            .iter()
            .find(|node| node.name.as_str().eq_ignore_ascii_case(name))
    }
}
