//! `aami nodes add`: one node, a range of them, or a list. What a list holds is read by `listed`, what addresses a range has by
//! `addresses`, names that stand for addresses are looked up by `look_up`; whether nodes may be declared is the fleet's to judge, and nothing is written here.

mod addresses;
mod listed;
mod look_up;

use std::path::PathBuf;

use aami_config::list::Format;
use aami_config::{NewNode as Written, ProxyJump};
use aami_model::Exit;
use aami_model::hostname::Hostname;
use aami_model::nodeset::fold;
use clap::Args;

use super::chosen;
use crate::cli::dry::Dry;
use crate::cli::each::{Done, told};
use crate::cli::failure::Failure;
use crate::cli::labels::{Pair, labels};
use crate::fleet::{Fleet, NewNode};

/// More lines than this say no more than the names folded into one.
const LINES: usize = 10;

/// Declare nodes: one, a range of them, or a list
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes add gpu-01 --ip 10.0.0.11
  aami nodes add gpu-01 --ip 10.0.0.11 --user ops --key ~/.ssh/fleet --labels rack=A1,row=3
  aami nodes add 'gpu[001-128]' --ip '10.0.0.[1-128]'
  aami nodes add 'gpu[001-128]' --ip 10.0.0.1+
  aami nodes add --file nodes.csv --labels site=a
  ansible-inventory --list --yaml | aami nodes add --file -

A list is plain (NAME ADDRESS on a line), CSV with a heading, YAML, or an Ansible inventory. Every bad line is named,
and then nothing is added. What a line says of itself stands; the options hold for the lines that say nothing.

Then `aami nodes test` tries the way to each node, and `aami nodes install` makes them monitored. With a control plane
`aami nodes token NODE` makes a script that does so by hand.")]
pub(crate) struct Add {
    /// What the machine calls itself, or many: gpu[001-128]
    #[arg(
        required_unless_present = "file",
        conflicts_with = "file",
        value_name = "NAME"
    )]
    name: Option<String>,
    /// Where it is reached, by SSH and by Prometheus; for many as many: 10.0.0.[1-128], or the first of them: 10.0.0.1+
    #[arg(
        long,
        required_unless_present = "file",
        conflicts_with = "file",
        value_name = "ADDRESS"
    )]
    ip: Option<String>,
    /// A list of nodes; - reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Form of the list: plain, csv, yaml, ansible or ansible-yaml [found by what is written]
    #[arg(long, requires = "file", value_name = "FORM")]
    format: Option<Format>,
    /// Who logs in over SSH [`ssh.user` of the configuration, root]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The private key to log in with [`ssh.key` of the configuration, else the agent's and the usual ones]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The port of the SSH server [`ssh.port` of the configuration, 22]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Hosts to go through, [user@]host[:port],...; none for a direct connection
    #[arg(long, value_name = "HOSTS")]
    jump: Option<ProxyJump>,
    /// Group it joins, by name or id; may be repeated with a control plane
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Labels it carries; may be repeated
    #[arg(long = "labels", value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<Pair>,
    #[command(flatten)]
    dry: Dry,
}

impl Add {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let written = match &self.file {
            Some(file) => listed::read(file, self.format)?,
            None => self.named()?,
        };
        let key = self.key.as_ref().map(|key| key.display().to_string());
        let given = labels(self.labels);
        let nodes: Vec<NewNode> = written
            .into_iter()
            .map(|node| NewNode {
                groups: match (&node.group, self.groups.is_empty()) {
                    (Some(group), true) => vec![group.clone()],
                    _ => self.groups.clone(),
                },
                node: Written {
                    ssh_user: node.ssh_user.or_else(|| self.user.clone()),
                    ssh_key: node.ssh_key.or_else(|| key.clone()),
                    ssh_port: node.ssh_port.or(self.port),
                    proxy_jump: node.proxy_jump.or_else(|| self.jump.clone()),
                    labels: given.overlaid(&node.labels),
                    ..node
                },
            })
            .collect();
        let attempts = fleet.add(&nodes, self.dry.dry_run)?;
        let all_well = attempts.iter().all(Result::is_ok);
        if all_well && nodes.len() > LINES && !fleet.screen().format().is_for_programs() {
            let names = fold(nodes.iter().map(|one| one.node.name.as_str()));
            let count = nodes.len();
            let done = match self.dry.dry_run {
                true => Done::would(&names, format!("{count} nodes would be added: {names}")),
                false => Done::new(&names, format!("✅ {count} nodes added: {names}")),
            };
            return done.tell(fleet.screen());
        }
        told(fleet.screen(), attempts)
    }

    /// The nodes of the command line.
    fn named(&self) -> Result<Vec<Written>, Failure> {
        let (Some(name), Some(ip)) = (&self.name, &self.ip) else {
            return Err(Failure::invalid(
                "name a node and its --ip, or a list with --file",
            ));
        };
        let names = chosen::names(std::slice::from_ref(name))?.unwrap_or_default();
        let addresses = addresses::of(ip, names.len())?;
        names
            .iter()
            .zip(addresses)
            .map(|(name, ip)| {
                let name: Hostname = name
                    .parse()
                    .map_err(|error| Failure::invalid(format!("{name:?}: {error}")))?;
                Ok(Written::new(name, ip))
            })
            .collect()
    }
}
