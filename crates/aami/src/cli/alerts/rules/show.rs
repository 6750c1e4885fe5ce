//! `aami alerts rules show`.

use aami_model::Exit;
use aami_model::rules::GLOBAL;
use clap::Args;

use super::list::table;
use crate::cli::failure::Failure;
use crate::cli::query::encoded;
use crate::cli::session::Session;

/// Show one rule set; `-o yaml` shows all of it, as `set --file` takes it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami alerts rules show
  aami alerts rules show h100 -o yaml > h100.yaml")]
pub(crate) struct Show {
    /// A group, or an id; `global` is the set for every node
    #[arg(default_value = GLOBAL)]
    scope: String,
}

/// Where a rule set is, by group or id.
pub(super) fn path(scope: &str) -> String {
    format!("/api/v1/alerts/rules/{}", encoded(scope))
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let view = session.client.rule_set(&self.scope)?.body;
        session
            .screen
            .show(&view, |wide| table(std::slice::from_ref(&view), wide))?;
        Ok(Exit::Ok)
    }
}
