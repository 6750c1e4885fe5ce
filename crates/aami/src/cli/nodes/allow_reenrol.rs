//! `aami nodes allow-reenrol`.

use aami_api::node::NodeView;
use aami_model::Exit;
use clap::Args;
use http::Method;

use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Let nodes enrol again with a new key, once, within the hour
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes allow-reenrol gpu-01
  aami nodes allow-reenrol gpu-01 gpu-02 --dry-run")]
pub(crate) struct AllowReenrol {
    /// Hostnames or ids
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl AllowReenrol {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.nodes, |session, name| {
            let found = find::node(session, name)?;
            let id = &found.id;
            let change = Change::bare(Method::POST, format!("/api/v1/nodes/{id}/allow-reenrol"));
            if self.dry.dry_run {
                let line = format!(
                    "{} would be let enrol again with a new key within the hour",
                    found.hostname
                );
                return change.would(id, line);
            }
            let node: NodeView = change.send(session)?;
            Ok(Done::new(
                id,
                format!("{} may enrol again with a new key within the hour", node.hostname),
            ))
        })
    }
}
