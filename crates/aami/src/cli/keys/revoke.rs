//! `aami keys revoke`.

use aami_model::Exit;
use clap::Args;

use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Take keys back, at once
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Names or ids
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

impl Revoke {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.keys, |session, name| {
            let key = find::key(session, name)?;
            session.client.delete(&format!("/api/v1/keys/{}", key.id))?;
            Ok(Done::new(
                &key.id,
                format!("{} ({}) is revoked", key.name, key.id),
            ))
        })
    }
}
