//! `aami nodes show`.

use aami_api::node::{ConfigStanding, NodeView};
use aami_model::Exit;
use clap::Args;

use super::list::gpus;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::labels;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show one node
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes show gpu-01
  aami nodes show gpu-01 -o json | jq .exporters")]
pub(crate) struct Show {
    /// Hostname or id
    node: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        // What is found by its name comes from a list, and lists leave findings out.
        let id = find::node(session, &self.node)?.id;
        let node = session.client.node(&id)?.body;
        session.screen.show(&node, |_| table(&node))?;
        Ok(Exit::Ok)
    }
}

/// Whether it runs by the configuration it is given, in a few words.
fn configured(config: &ConfigStanding) -> String {
    let wanted = config.wanted.as_deref().unwrap_or("none");
    let applied = config.applied.as_deref().unwrap_or("none");
    match &config.refused {
        Some(why) => format!("{wanted} refused: {why}"),
        None if wanted == applied => format!("{wanted} applied"),
        None => format!("{wanted} wanted, {applied} applied"),
    }
}

pub(crate) fn table(node: &NodeView) -> Table {
    let mut table = Table::of_one();
    table.line("Hostname", &node.hostname);
    table.line("Id", &node.id);
    if node.org != aami_model::OrgId::default() {
        table.line("Org", &node.org);
    }
    if let Some(user) = &node.user {
        table.line("User", user);
    }
    table.line(
        "Status",
        format!("{} since {}", node.status.name(), node.status_since),
    );
    table.line("Reason", node.status_reason.as_deref().unwrap_or_default());
    if let Some(silence) = &node.silence {
        let until = silence
            .until
            .map(|until| format!(" until {until}"))
            .unwrap_or_default();
        let why = silence
            .reason
            .as_ref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        table.line("Silence", format!("{}{until}{why}", silence.state.name()));
    }
    if let Some(until) = node.expected_until {
        let late = if node.stuck { ", stuck: look at it" } else { "" };
        table.line("Expected", format!("until {until}{late}"));
    }
    if let Some(seen) = node.last_seen {
        let how = if node.connected {
            "connected"
        } else {
            "not connected"
        };
        table.line("Last seen", format!("{seen}, {how}"));
    }
    if let Some(since) = node.connected_since {
        table.line("Connected", format!("since {since}"));
    }
    table.line("Agent", node.agent_version.as_deref().unwrap_or_default());
    if let Some(config) = &node.config {
        table.line("Configuration", configured(config));
    }
    for finding in &node.findings {
        table.line(
            "Finding",
            format!("{} {}: {}", finding.code, finding.subject, finding.summary),
        );
    }
    table.line("Address", &node.ip_address);
    let groups: Vec<String> = node.groups.iter().map(ToString::to_string).collect();
    table.line("Groups", groups.join(", "));
    table.line("Labels", labels::shown(&node.labels));
    if let Some(system) = &node.system_info {
        table.line(
            "System",
            format!("{} {}, {}", system.os, system.os_version, system.architecture),
        );
        table.line("Kernel", system.kernel.as_deref().unwrap_or_default());
        table.line(
            "CPU",
            format!("{} cores, {} GiB memory", system.cpu_cores, system.memory_gb),
        );
        table.line("GPUs", gpus(system));
    }
    for view in &node.exporters {
        let exporter = &view.exporter;
        let mut what = format!(
            "{} on port {}{}",
            exporter.kind.job(),
            exporter.port,
            exporter.metrics_path
        );
        if let Some(interval) = &exporter.scrape_interval {
            what.push_str(&format!(", every {interval}"));
        }
        if !exporter.enabled {
            what.push_str(", disabled");
        }
        table.line("Exporter", what);
    }
    table.line("Machine-id", node.machine_id.as_deref().unwrap_or_default());
    table.line("Known since", node.created_at);
    if let Some(enrolled) = node.enrolled_at {
        table.line("Enrolled", enrolled);
    }
    if let Some(token) = &node.token {
        table.line("Token", token);
    }
    table
}
