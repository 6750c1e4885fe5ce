//! A node as commands see it, whoever keeps it.

use std::net::IpAddr;
use std::path::PathBuf;

use aami_api::node::NodeView;
use aami_config::{Login, ProxyJump};
use aami_model::NodeId;
use aami_model::label::Labels;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::labels;
use crate::cli::nodes;
use crate::cli::screen::Screen;
use crate::cli::table::Table;

/// A node that is to be added, and the groups it shall be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewNode {
    /// What is said of it.
    pub(crate) node: aami_config::NewNode,
    /// Its groups; a file keeps one, a control plane as many as there are.
    pub(crate) groups: Vec<String>,
}

/// A node, and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its host name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) address: IpAddr,
    /// The port of its SSH server.
    pub(crate) port: u16,
    /// Who to log in as.
    pub(crate) user: String,
    /// The key named for it.
    pub(crate) key: Option<PathBuf>,
    /// The hosts to go through, none of them where it is reached directly; nothing where nothing is said.
    pub(crate) jump: Option<ProxyJump>,
    /// Its labels.
    pub(crate) labels: Labels,
    /// What a control plane calls it.
    pub(crate) id: Option<NodeId>,
}

impl Member {
    /// Whether the configuration names a host to go through.
    pub(crate) fn has_jump(&self) -> bool {
        self.jump.as_ref().is_some_and(|jump| !jump.hops().is_empty())
    }

    /// A node of the configuration.
    pub(crate) fn of(login: &Login<'_>, labels: &Labels) -> Self {
        Self {
            name: login.name.to_owned(),
            address: login.address,
            port: login.port,
            user: login.user.to_owned(),
            key: login.key.map(ToOwned::to_owned),
            jump: login.proxy_jump.cloned(),
            labels: labels.clone(),
            id: None,
        }
    }
}

/// A node of the configuration as programs see it: what is written of it, and what holds where nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Declared {
    name: String,
    ip: IpAddr,
    user: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_jump: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    labels: Labels,
}

impl Declared {
    pub(crate) fn of(login: &Login<'_>, node: &aami_config::Node) -> Self {
        Self {
            name: login.name.to_owned(),
            ip: login.address,
            user: login.user.to_owned(),
            port: login.port,
            key: login.key.map(ToOwned::to_owned),
            proxy_jump: login.proxy_jump.map(ToString::to_string),
            group: node.group.clone(),
            labels: node.labels.clone(),
        }
    }
}

/// A list of nodes with everything that is known of them where they are kept.
#[derive(Debug)]
pub(crate) enum Listing {
    /// From the configuration.
    Declared(Vec<Declared>),
    /// From a control plane.
    Managed(Vec<NodeView>),
}

impl Listing {
    /// Shows it in the form that was asked for.
    pub(crate) fn show(&self, screen: &mut Screen) -> Result<(), Failure> {
        match self {
            Self::Declared(nodes) => screen.show(nodes, |wide| table(nodes, wide)),
            Self::Managed(nodes) => {
                let now = screen.now();
                screen.show(nodes, |wide| nodes::table(nodes, now, wide))
            }
        }
    }
}

fn table(nodes: &[Declared], wide: bool) -> Table {
    let mut headings = vec!["NAME", "IP", "USER", "LABELS"];
    if wide {
        headings.extend(["PORT", "KEY", "JUMP", "GROUP"]);
    }
    let mut table = Table::new(&headings, "no nodes");
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for node in nodes {
        let mut cells = vec![
            node.name.clone(),
            node.ip.to_string(),
            node.user.clone(),
            dash(labels::shown(&node.labels)),
        ];
        if wide {
            let key = node.key.as_ref().map(|key| key.display().to_string());
            cells.extend([
                node.port.to_string(),
                dash(key.unwrap_or_default()),
                dash(node.proxy_jump.clone().unwrap_or_default()),
                dash(node.group.clone().unwrap_or_default()),
            ]);
        }
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_nodes_as_people_see_them() {
        let nodes = [
            Declared {
                name: "gpu-01".into(),
                ip: "10.0.0.1".parse().unwrap(),
                user: "root".into(),
                port: 22,
                key: None,
                proxy_jump: None,
                group: None,
                labels: Labels::default(),
            },
            Declared {
                name: "gpu-02".into(),
                ip: "2001:db8::2".parse().unwrap(),
                user: "ops".into(),
                port: 2222,
                key: Some("/root/.ssh/fleet".into()),
                proxy_jump: Some("ops@bastion".into()),
                group: Some("racks".into()),
                labels: Labels::from_iter([("rack", "A1"), ("row", "3")]),
            },
        ];
        insta::assert_snapshot!(table(&nodes, false), @"
        NAME    IP           USER  LABELS
        gpu-01  10.0.0.1     root  -
        gpu-02  2001:db8::2  ops   rack=A1,row=3
        ");
        insta::assert_snapshot!(table(&nodes, true), @"
        NAME    IP           USER  LABELS         PORT  KEY               JUMP         GROUP
        gpu-01  10.0.0.1     root  -              22    -                 -            -
        gpu-02  2001:db8::2  ops   rack=A1,row=3  2222  /root/.ssh/fleet  ops@bastion  racks
        ");
        assert_eq!(table(&[], false).to_string(), "no nodes\n");
    }
}
