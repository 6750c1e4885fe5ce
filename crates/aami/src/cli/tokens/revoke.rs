//! `aami tokens revoke`.

use aami_model::Exit;
use clap::Args;

use crate::cli::dry::{Change, Dry};
use crate::cli::each;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Take tokens back; nodes enrolled with them keep their own credentials
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami tokens revoke rack-a1
  aami tokens revoke rack-a1 rack-a2 --dry-run")]
pub(crate) struct Revoke {
    /// Names or ids
    #[arg(required = true, value_name = "TOKEN")]
    tokens: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Revoke {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each::each(session, &self.tokens, |session, name| {
            let token = find::token(session, name)?;
            let (id, name) = (&token.id, &token.name);
            let change = Change::delete(format!("/api/v1/bootstrap-tokens/{id}"));
            if self.dry.dry_run {
                return change.would(id, format!("{name} ({id}) would be revoked"));
            }
            let _: serde_json::Value = change.send(session)?;
            Ok(each::Done::new(id, format!("{name} ({id}) is revoked")))
        })
    }
}
