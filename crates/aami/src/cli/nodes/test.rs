//! `aami nodes test`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aami_model::{Exit, code};
use aami_ssh::fanout::{Fault, Keep, Outcome, Report};
use aami_ssh::{Command, Connection, ErrorClass, Known};
use clap::Args;
use serde::Serialize;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::chosen::Chosen;
use super::together::{self, Together, Undertaking};
use crate::cli::failure::Failure;
use crate::cli::table::Table;
use crate::fleet::ways::Ways;
use crate::fleet::{Fleet, Member};

/// How long a name may take to be looked up; it decides nothing.
const LOOK_UP: Duration = Duration::from_secs(3);
/// How much of an answer is kept.
const ENOUGH: usize = 4096;

/// What is asked of a node, a line each: its own name, its processor, its system.
const FACTS: &str = "hostname 2>/dev/null || uname -n\nuname -m\n\
                     (. /etc/os-release 2>/dev/null && echo \"$PRETTY_NAME\") || uname -sr\nid -un\n";

/// Try the way to nodes: port, host key, login, sudo; and see what runs there
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes test --all
  aami nodes test 'gpu[001-032]'
  aami nodes test --all -o json | jq -r '.[] | select(.ok | not) | .node'

Nothing is changed on the nodes. A host key that was never seen is written down, unless `ssh.host_key_policy` says
otherwise.")]
pub(crate) struct Test {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    together: Together,
}

/// What was found on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    node: String,
    address: String,
    ok: bool,
    /// Whether its name means its address here; it decides nothing.
    dns: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

impl Test {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let members = fleet.members(&self.chosen.which()?)?;
        if members.is_empty() {
            return Err(Failure::found(code::NOT_FOUND, "no node fits"));
        }
        let names: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
        let settings = fleet.settings()?;
        let ways = Arc::new(Ways::to(&members, &settings, fleet.place())?);
        ways.remind(fleet.screen());
        let members = Arc::new(members);
        let undertaking = Undertaking {
            names: &names,
            limits: self.together.limits(&settings.config().ssh),
            lines: false,
            keep: Keep::default(),
            logs: None,
            journal: None,
            client: &ways.client,
        };
        let surroundings = fleet.place().surroundings.clone();
        let report = undertaking.run(fleet.screen(), &surroundings, |turn, _| {
            let (ways, members) = (Arc::clone(&ways), Arc::clone(&members));
            async move { look(&ways, turn.host, &members[turn.host]).await }
        })?;
        let rows = rows(&report, &members);
        fleet.screen().show(&rows, |wide| table(&rows, wide))?;
        together::sum_up(fleet.screen(), &report);
        Ok(together::exit(&report))
    }
}

/// Looks at one node. Asking twice does no harm.
async fn look(ways: &Ways, at: usize, member: &Member) -> Result<Row, Fault> {
    let failed = |error: &aami_ssh::SshError| Fault::ssh(error, true);
    let connection = ways
        .client
        .connect(&ways.hosts[at])
        .await
        .map_err(|error| failed(&error))?;
    let facts = said(&connection, &Command::script(FACTS))
        .await
        .map_err(|error| failed(&error))?;
    let mut lines = facts.lines().map(|line| line.trim().to_owned());
    let (hostname, architecture, system, login) = (lines.next(), lines.next(), lines.next(), lines.next());
    let root = root(ways, &connection, login.as_deref()).await?;
    let row = Row {
        node: member.name.clone(),
        address: connection.host().endpoint(),
        ok: true,
        dns: dns(&member.name, member.address).await,
        host_key: Some(judged(connection.host_key())),
        login,
        root: Some(root),
        hostname,
        architecture,
        system,
        ..Row::default()
    };
    connection.close().await;
    Ok(row)
}

async fn said(connection: &Connection, command: &Command) -> Result<String, aami_ssh::SshError> {
    let output = connection.output(command, ENOUGH).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How root is reached there.
async fn root(ways: &Ways, connection: &Connection, login: Option<&str>) -> Result<String, Fault> {
    if login == Some("root") {
        return Ok("root".to_owned());
    }
    if !ways.uses_sudo() {
        return Ok("none".to_owned());
    }
    let command = ways.as_root(Command::script("id -u"));
    let id = said(connection, &command)
        .await
        .map_err(|error| Fault::ssh(&error, true))?;
    if id.trim() == "0" {
        return Ok("sudo".to_owned());
    }
    Err(Fault::new(
        ErrorClass::Remote,
        code::SUDO_REFUSED,
        "sudo ran a command, and not as root",
    ))
}

fn judged(known: &Known) -> String {
    match known {
        Known::Before => "known".to_owned(),
        Known::Learned { fingerprint, .. } => format!("learned {fingerprint}"),
        Known::Certified { id } => format!("certified {id}"),
        Known::Unchecked {
            fingerprint,
            differs: true,
        } => format!("not checked, and not the one that is known: {fingerprint}"),
        Known::Unchecked { fingerprint, .. } => format!("not checked {fingerprint}"),
    }
}

/// Whether a node's name means its address, as this machine looks names up.
async fn dns(name: &str, address: IpAddr) -> &'static str {
    match timeout(LOOK_UP, lookup_host((name, 0))).await {
        Ok(Ok(mut found)) => match found.any(|one| one.ip().to_canonical() == address.to_canonical()) {
            true => "ok",
            false => "another address",
        },
        Ok(Err(_)) => "unknown",
        Err(_) => "no answer",
    }
}

/// A row for each node, also for those that were not reached.
fn rows(report: &Report<Row>, members: &[Member]) -> Vec<Row> {
    let row = |(host, member): (&aami_ssh::fanout::HostReport<Row>, &Member)| {
        if let Some(row) = &host.answer {
            return row.clone();
        }
        let plain = Row {
            node: member.name.clone(),
            address: std::net::SocketAddr::new(member.address, member.port).to_string(),
            dns: "",
            ..Row::default()
        };
        match &host.outcome {
            Outcome::Failed(fault) => Row {
                code: Some(fault.code.symbol),
                error: Some(fault.sentence.clone()),
                hint: Some(fault.code.hint),
                ..plain
            },
            Outcome::NotStarted(why) => Row {
                error: Some(format!("not tried: {why}")),
                ..plain
            },
            Outcome::Ok | Outcome::Interrupted => Row {
                error: Some("cut off in the middle".to_owned()),
                ..plain
            },
        }
    };
    report.hosts.iter().zip(members).map(row).collect()
}

fn table(rows: &[Row], wide: bool) -> Table {
    let mut headings = vec![
        "NODE", "ADDRESS", "HOST KEY", "LOGIN", "ROOT", "SYSTEM", "PROBLEM",
    ];
    if wide {
        headings.extend(["DNS", "HOSTNAME", "HINT"]);
    }
    let mut table = Table::new(&headings, "no nodes");
    let dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    let known = |text: &Option<String>| dash(text.as_deref().unwrap_or_default());
    for row in rows {
        let system = match (&row.system, &row.architecture) {
            (Some(system), Some(architecture)) => format!("{system}, {architecture}"),
            _ => String::new(),
        };
        let problem = match (row.code, &row.error) {
            (Some(code), Some(error)) => format!("{code}: {error}"),
            (None, Some(error)) => error.clone(),
            _ => String::new(),
        };
        // A fingerprint is for those who ask for more.
        let key = row.host_key.as_deref().unwrap_or_default();
        let key = if wide {
            key
        } else {
            key.split(' ').next().unwrap_or_default()
        };
        let mut cells = vec![
            row.node.clone(),
            row.address.clone(),
            dash(key),
            known(&row.login),
            known(&row.root),
            dash(&system),
            dash(&problem),
        ];
        if wide {
            cells.extend([
                dash(row.dns),
                known(&row.hostname),
                dash(row.hint.unwrap_or_default()),
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
    fn a_row_for_each_node_whether_it_was_reached_or_not() {
        let rows = [
            Row {
                node: "gpu-01".into(),
                address: "10.0.0.1:22".into(),
                ok: true,
                dns: "ok",
                host_key: Some("learned SHA256:abc".into()),
                login: Some("ops".into()),
                root: Some("sudo".into()),
                hostname: Some("gpu-01".into()),
                architecture: Some("x86_64".into()),
                system: Some("Debian GNU/Linux 12 (bookworm)".into()),
                ..Row::default()
            },
            Row {
                node: "gpu-02".into(),
                address: "10.0.0.2:22".into(),
                code: Some("SSH_REFUSED"),
                error: Some("10.0.0.2:22 refuses connections: nothing listens there".into()),
                hint: Some(code::SSH_REFUSED.hint),
                ..Row::default()
            },
        ];
        insta::assert_snapshot!(table(&rows, false), @"
        NODE    ADDRESS      HOST KEY  LOGIN  ROOT  SYSTEM                                  PROBLEM
        gpu-01  10.0.0.1:22  learned   ops    sudo  Debian GNU/Linux 12 (bookworm), x86_64  -
        gpu-02  10.0.0.2:22  -         -      -     -                                       SSH_REFUSED: 10.0.0.2:22 refuses connections: nothing listens there
        ");
        let wide = table(&rows, true).to_string();
        assert!(
            wide.contains("SHA256:abc") && wide.contains(code::SSH_REFUSED.hint),
            "{wide}"
        );
    }
}
