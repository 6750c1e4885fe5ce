//! `aami prometheuses show`.

use aami_model::Exit;
use clap::Args;

use super::list::table;
use super::named;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::fleet::rule_sets;

/// Show one: what it should have, what it has, and why not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami prometheuses show mon-1
  aami prometheuses show local -o yaml")]
pub(crate) struct Show {
    /// Name or id
    name: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let (view, _) = named(session, &self.name)?;
        session
            .screen
            .show(&view, |wide| table(std::slice::from_ref(&view), wide))?;
        session
            .screen
            .note(&format!("aami: {}", rule_sets::standing(&view)));
        for why in view.last.iter().flat_map(|last| &last.failing) {
            session
                .screen
                .note(&format!("aami: loaded, and cannot be evaluated: {why}"));
        }
        Ok(Exit::Ok)
    }
}
