//! `aami tokens show`.

use aami_api::token::TokenView;
use aami_model::Exit;
use clap::Args;

use super::list;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::labels;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show one token; never the secret itself
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami tokens show rack-a1
  aami tokens show rack-a1 -o json | jq .remaining")]
pub(crate) struct Show {
    /// Name or id
    token: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let token = find::token(session, &self.token)?;
        session.screen.show(&token, |_| table(&token))?;
        Ok(Exit::Ok)
    }
}

pub(crate) fn table(token: &TokenView) -> Table {
    let mut table = Table::of_one();
    table.line("Name", &token.name);
    table.line("Id", &token.id);
    table.line("State", list::state(token.state));
    table.line("Used", format!("{} of {}", token.used, token.max_uses));
    table.line("Made", token.created_at);
    table.line("Ends", token.expires_at);
    if let Some(revoked) = token.revoked_at {
        table.line("Revoked", revoked);
    }
    if let Some(group) = &token.group {
        table.line("Group", group);
    }
    table.line("Labels", labels::shown(&token.labels));
    if token.allow_reenrol {
        table.line("Re-enrolment", "allowed");
    }
    table
}
