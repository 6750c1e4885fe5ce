//! `aami tokens revoke`.

use aami_model::Exit;
use clap::Args;

use crate::cli::each;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Take tokens back; nodes enrolled with them keep their own credentials
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Names or ids
    #[arg(required = true, value_name = "TOKEN")]
    tokens: Vec<String>,
}

impl Revoke {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each::each(session, &self.tokens, |session, name| {
            let token = find::token(session, name)?;
            session
                .client
                .delete(&format!("/api/v1/bootstrap-tokens/{}", token.id))?;
            Ok(each::Done::new(
                &token.id,
                format!("{} ({}) is revoked", token.name, token.id),
            ))
        })
    }
}
