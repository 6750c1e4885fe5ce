//! `aami nodes verify`.

use aami_api::node::Verified;
use aami_model::{Exit, code};
use clap::Args;

use crate::cli::dry::Dry;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Let the control plane fetch each exporter of a node now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes verify gpu-01
  aami nodes verify gpu-01 --dry-run

A node whose exporters answer is online from then on; a dry run fetches them as well, and notes nothing. Exit code 3 where
one does not answer.")]
pub(crate) struct Verify {
    /// Hostname or id
    node: String,
    #[command(flatten)]
    dry: Dry,
}

impl Verify {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let node = find::node(session, &self.node)?;
        let verified = match self.dry.dry_run {
            true => session.client.look(&node.id)?,
            false => session.client.verify(&node.id)?,
        };
        session.screen.show(&verified, |_| table(&verified))?;
        if verified.verified {
            return Ok(Exit::Ok);
        }
        let failed: Vec<&str> = verified
            .exporters
            .iter()
            .filter(|probe| !probe.ok)
            .map(|probe| probe.detail.as_str())
            .collect();
        Err(Failure::found(
            code::NOT_VERIFIED,
            format!("{}: {}", node.hostname, failed.join("; ")),
        ))
    }
}

pub(crate) fn table(verified: &Verified) -> Table {
    let mut table = Table::new(
        &["JOB", "URL", "OK", "WHAT HAPPENED"],
        "the node has no exporter to verify",
    );
    for probe in &verified.exporters {
        table.row([
            probe.kind.job().to_owned(),
            probe.url.clone(),
            if probe.ok { "yes" } else { "no" }.to_owned(),
            probe.detail.clone(),
        ]);
    }
    table
}
