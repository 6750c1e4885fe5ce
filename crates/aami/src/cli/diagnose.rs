//! `aami diagnose`: why a node is not monitored.

use std::time::Duration;

use aami_model::Exit;
use clap::Args;

use super::duration::Seconds;
use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;
use super::table::Table;
use crate::fleet::diagnose::{self, Asked, Diagnosis, Limits, Link, Standing};
use crate::fleet::ways::Ways;

/// A connection that is not answered sooner is dropped on the way.
const CONNECT: Duration = Duration::from_secs(3);

/// Say why a node is not monitored: the first hop that is broken, what was measured, and the command to type next
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami diagnose gpu-07
  aami diagnose gpu-07 --ssh
  aami diagnose gpu-07 -o json

Looked at in turn: declared, installed, name, route, firewall, port, exporter, clock, node (with --ssh), prometheus, target,
labels, samples, rules. What depends on a broken hop is skipped. -o wide shows what was measured at every hop, and where.
Nothing is changed. Ends with 0 where the node is watched, 3 where a hop is broken or nobody can see whether it is
watched (prometheus, target, samples or rules is unknown), 8 where Prometheus will see it soon.")]
pub(crate) struct Diagnose {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    /// Look at the node itself as well, by SSH: units, who holds the ports, firewalls
    #[arg(long)]
    ssh: bool,
    /// How long one answer may take; Prometheus waits 10s
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    timeout: Seconds,
    /// The Prometheus to ask [the fleet's own]
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
}

impl Diagnose {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let Seconds(seconds) = self.timeout;
        let answer = Duration::from_secs(seconds.min(600));
        let asked = Asked {
            prometheus: self.prometheus.map(url).transpose()?,
            limits: Limits {
                connect: answer.min(CONNECT),
                answer,
            },
        };
        let mut fleet = self.common.fleet(surroundings)?;
        let subject = fleet.subject(self.node.trim(), &asked)?;
        let ways = match subject.member.as_ref().filter(|_| self.ssh) {
            Some(member) => {
                let settings = fleet.settings()?;
                Some(Ways::to(std::slice::from_ref(member), &settings, fleet.place())?)
            }
            None => None,
        };
        if let Some(ways) = &ways {
            ways.remind(fleet.screen());
        }
        let diagnosis = diagnose::examine(subject, asked.limits, ways.as_ref())?;
        fleet.screen().show(&diagnosis, |wide| table(&diagnosis, wide))?;
        Ok(diagnosis.exit())
    }
}

/// An address that can be asked.
fn url(text: String) -> Result<String, Failure> {
    let parsed = text.parse::<http::Uri>().ok();
    let fits = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
            && !text.contains('@')
    });
    if fits {
        Ok(text)
    } else {
        Err(Failure::invalid(
            "--prometheus: an address is http:// or https://, a host and a port, without a password or a query",
        ))
    }
}

fn table(diagnosis: &Diagnosis, wide: bool) -> Table {
    let mut table = Table::new(&["HOP", "STANDS", "WHAT"], "nothing was looked at");
    for link in &diagnosis.hops {
        table.row([
            link.hop.name().to_owned(),
            link.standing.mark().to_owned(),
            link.sentence.clone(),
        ]);
        if wide || is_worth_showing(link) {
            for evidence in &link.evidence {
                let told = format!("  {} [{}]", evidence.measured, evidence.read);
                table.row([String::new(), String::new(), told]);
            }
            if let Some(next) = link.next.as_ref().filter(|_| wide) {
                table.row([String::new(), String::new(), format!("  next: {next}")]);
            }
        }
    }
    table.row(std::iter::empty());
    let (head, hop) = match diagnosis.broken {
        Some(hop) => ("Broken:", hop.name()),
        None => ("Result:", ""),
    };
    let code = diagnosis
        .code
        .map(|code| format!(" ({code})"))
        .unwrap_or_default();
    table.row([
        head.to_owned(),
        hop.to_owned(),
        format!("{}{code}", diagnosis.sentence),
    ]);
    if let Some(next) = &diagnosis.next {
        table.row(["Next:".to_owned(), String::new(), next.clone()]);
    }
    table
}

const fn is_worth_showing(link: &Link) -> bool {
    matches!(
        link.standing,
        Standing::Broken | Standing::Warning | Standing::Pending
    )
}
