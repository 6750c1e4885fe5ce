//! `aami config import`.

use std::collections::{BTreeMap, BTreeSet};

use aami_api::group::CreateGroup;
use aami_api::node::{CreateNode, NodeView};
use aami_config::{Config, Node};
use aami_model::group::Group;
use aami_model::nodeset::fold;
use aami_model::{Exit, code};
use clap::Args;
use serde::Serialize;

use crate::cli::dry::Dry;
use crate::cli::failure::Failure;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::screen;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::fleet::FileFleet;

/// Declare the nodes of the configuration to a control plane, with their groups and labels
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config import --dry-run --server https://aami.example.com:8080 --key-file aami.key
  aami config import --server https://aami.example.com:8080 --key-file aami.key
  aami config set server.url https://aami.example.com:8080

The configuration stays as it is. A node that is there with the same address is left as it is, so the command can be given
again; one that is there with another is told and left, too. What a control plane does not keep is named at the end.")]
pub(crate) struct Import {
    #[command(flatten)]
    dry: Dry,
}

/// What becomes of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Moved {
    what: &'static str,
    name: String,
    #[serde(flatten)]
    how: How,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "detail")]
enum How {
    /// It was not there.
    Moved,
    /// It is there already.
    There,
    /// Something else is there in its place.
    Differs(String),
    /// The control plane would not.
    Refused(String),
}

impl How {
    fn sentence(&self, dry: bool) -> String {
        match (self, dry) {
            (Self::Moved, false) => "moved".to_owned(),
            (Self::Moved, true) => "would be moved".to_owned(),
            (Self::There, _) => "there already".to_owned(),
            (Self::Differs(why), _) => format!("not moved: {why}"),
            (Self::Refused(why), _) => format!("refused: {why}"),
        }
    }
}

impl Import {
    pub(super) fn run(self, fleet: &mut FileFleet, session: &mut Session) -> Result<Exit, Failure> {
        let settings = fleet.read()?;
        let config = settings.config();
        let mut all = self.groups(config, session)?;
        all.extend(self.nodes(config, session)?);
        session.screen.show(&all, |_| table(&all, self.dry.dry_run))?;
        for line in left(config) {
            session.screen.note(&format!("not moved: {line}"));
        }
        let bad: Vec<&str> = (all.iter())
            .filter(|one| matches!(one.how, How::Differs(_) | How::Refused(_)))
            .map(|one| one.name.as_str())
            .collect();
        if !bad.is_empty() {
            let failure = Failure::found_with(
                code::CONFLICT,
                format!("{} could not be moved", fold(bad.iter().copied())),
                "Look at each with `aami nodes show`; what is right there stays right.",
            );
            if bad.len() == all.len() {
                return Err(failure);
            }
            screen::complain(&failure, session.screen.format());
            return Ok(Exit::Partial);
        }
        if !self.dry.dry_run && config.server.is_none() {
            session.screen.note(&format!(
                "`aami config set server.url {}` makes commands here act through it from now on",
                session.client.server()
            ));
        }
        Ok(Exit::Ok)
    }

    fn groups(&self, config: &Config, session: &Session) -> Result<Vec<Moved>, Failure> {
        let wanted: BTreeSet<&String> = config
            .nodes
            .iter()
            .filter_map(|node| node.group.as_ref())
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let there: Vec<Group> = paging::all(session, "/api/v1/groups", &Query::default(), None)?;
        let judge = |name: &String| {
            let how = if there.iter().any(|group| group.name == *name) {
                How::There
            } else if self.dry.dry_run {
                How::Moved
            } else {
                let group = CreateGroup {
                    name: name.clone(),
                    ..CreateGroup::default()
                };
                let made: Result<Group, _> = session.client.post("/api/v1/groups", Some(&group));
                made.map_or_else(|error| How::Refused(error.to_string()), |_| How::Moved)
            };
            Moved {
                what: "group",
                name: name.clone(),
                how,
            }
        };
        Ok(wanted.into_iter().map(judge).collect())
    }

    fn nodes(&self, config: &Config, session: &Session) -> Result<Vec<Moved>, Failure> {
        let there: Vec<NodeView> = paging::all(session, "/api/v1/nodes", &Query::default(), None)?;
        let by_name: BTreeMap<&str, &NodeView> =
            there.iter().map(|node| (node.hostname.as_str(), node)).collect();
        let judge = |node: &Node| Moved {
            what: "node",
            name: node.name.to_string(),
            how: match by_name.get(node.name.as_str()) {
                Some(there) => compare(node, there),
                None if self.dry.dry_run => How::Moved,
                None => declare(node, session),
            },
        };
        Ok(config.nodes.iter().map(judge).collect())
    }
}

fn compare(node: &Node, there: &NodeView) -> How {
    if there.ip_address.parse() != Ok(node.ip) {
        return How::Differs(format!(
            "it is there with the address {}, here with {}",
            there.ip_address, node.ip
        ));
    }
    let missing: Vec<String> = (node.labels.0.iter())
        .filter(|(name, value)| there.labels.0.get(*name) != Some(value))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if missing.is_empty() {
        return How::There;
    }
    How::Differs(format!("it is there without {}", missing.join(",")))
}

fn declare(node: &Node, session: &Session) -> How {
    let wanted = CreateNode {
        hostname: node.name.to_string(),
        ip_address: node.ip.to_string(),
        groups: node.group.iter().cloned().collect(),
        labels: node.labels.clone(),
        ..CreateNode::default()
    };
    let made: Result<NodeView, _> = session.client.post("/api/v1/nodes", Some(&wanted));
    made.map_or_else(|error| How::Refused(error.to_string()), |_| How::Moved)
}

/// What of the configuration a control plane does not keep, in sentences.
fn left(config: &Config) -> Vec<String> {
    let mut left = Vec::new();
    let own = |node: &&Node| {
        node.ssh_user.is_some()
            || node.ssh_key.is_some()
            || node.ssh_port.is_some()
            || node.proxy_jump.is_some()
    };
    let own = config.nodes.iter().filter(own).count();
    left.push(match own {
        0 => "`ssh:` stays here and holds for `aami nodes install` and the like".to_owned(),
        _ => format!(
            "`ssh:` and the logins of {own} nodes stay here and hold for `aami nodes install` and the like"
        ),
    });
    if !config.alerts.presets.is_empty() || !config.alerts.custom.is_empty() {
        left.push(format!(
            "{} presets and {} rules of `alerts:` stay with the Prometheus of this configuration",
            config.alerts.presets.len(),
            config.alerts.custom.len()
        ));
    }
    let told = &config.notifications;
    if told.slack.enabled || told.email.enabled || told.webhook.enabled {
        left.push("`notifications:` stay with the Alertmanager of this configuration".to_owned());
    }
    if !config.nodes.is_empty() {
        left.push(
            "agents that are installed stay as they are; `aami nodes install --all` enrols them with the control plane"
                .to_owned(),
        );
    }
    left
}

fn table(all: &[Moved], dry: bool) -> Table {
    let mut table = Table::new(
        &["WHAT", "NAME", "RESULT"],
        "nothing is declared that could be moved",
    );
    for one in all {
        table.row([one.what.to_owned(), one.name.clone(), one.how.sentence(dry)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_here_is_named() {
        let read = |text: &str| {
            aami_config::read(text.as_bytes(), &aami_config::Environment::bare())
                .unwrap()
                .config
        };
        let config = read(
            "cluster: {name: x}\nnodes: [{name: a, ip: 10.0.0.1, ssh_user: ops}]\nalerts: {presets: [gpu-basic]}\n",
        );
        let lines = left(&config).join("\n");
        for part in ["logins of 1 nodes", "1 presets", "nodes install --all"] {
            assert!(lines.contains(part), "{part}\n{lines}");
        }
        assert!(!lines.contains("notifications"));
    }
}
