//! `aami alerts rules delete`.

use aami_model::Exit;
use clap::Args;

use super::show::path;
use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Remove rule sets; for the nodes of a group what is for everybody holds from then on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts rules delete h100
  aami alerts rules delete global --dry-run")]
pub(crate) struct Delete {
    /// Groups, or ids; `global` is the set for every node
    #[arg(required = true, value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Delete {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.scopes, |session, scope| {
            let change = Change::delete(path(scope));
            if self.dry.dry_run {
                let id = session.client.rule_set(scope)?.body.set.id;
                return change.would(id, format!("the rules for {scope} would be removed"));
            }
            let _: serde_json::Value = change.send(session)?;
            Ok(Done::new(scope, format!("the rules for {scope} are removed")))
        })
    }
}
