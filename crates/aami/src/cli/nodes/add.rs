//! `aami nodes add`.

use std::net::IpAddr;

use aami_api::node::{CreateNode, NodeView};
use aami_model::Exit;
use aami_model::hostname::Hostname;
use clap::Args;

use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::labels::{Pair, labels};
use crate::cli::session::Session;

/// Declare a node before anything is installed on it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes add gpu-01 --ip 10.0.0.11
  aami nodes add gpu-01 --ip 10.0.0.11 --group racks --labels rack=A1

Then `aami nodes token gpu-01` makes the script that installs its agent.")]
pub(crate) struct Add {
    /// What the machine calls itself
    hostname: Hostname,
    /// Where the control plane and Prometheus reach it
    #[arg(long, value_name = "ADDRESS")]
    ip: IpAddr,
    /// Group it joins, by name or id; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Labels it carries; may be repeated
    #[arg(long = "labels", value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<Pair>,
}

impl Add {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let wanted = CreateNode {
            hostname: self.hostname.to_string(),
            ip_address: self.ip.to_string(),
            groups: self.groups,
            labels: labels(self.labels),
            ..CreateNode::default()
        };
        let node: NodeView = session.client.post("/api/v1/nodes", Some(&wanted))?;
        let line = format!("{} is {} ({})", node.hostname, node.status.name(), node.id);
        session
            .screen
            .show_one(&Done::new(&node.id, line.clone()), &line)?;
        Ok(Exit::Ok)
    }
}
