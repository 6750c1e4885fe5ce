//! `aami alerts rules show`.

use aami_model::Exit;
use aami_model::rules::GLOBAL;
use clap::Args;

use super::list::table;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Show one rule set; `-o yaml` shows all of it, as `set --file` takes it
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A group, or an id; `global` is the set for every node
    #[arg(default_value = GLOBAL)]
    scope: String,
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
