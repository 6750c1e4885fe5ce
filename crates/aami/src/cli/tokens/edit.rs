//! `aami tokens edit`.

use std::time::Duration;

use aami_api::token::{PatchToken, TokenView};
use aami_model::Exit;
use clap::Args;

use super::show;
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Change a token's name, uses or end
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct Edit {
    /// Name or id
    token: String,
    /// A new name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// More uses; the number only grows
    #[arg(long, value_name = "N", group = "change")]
    max_uses: Option<u32>,
    /// How long it lasts from now on
    #[arg(long, value_name = "DURATION", group = "change")]
    ttl: Option<Seconds>,
}

impl Edit {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let token = find::token(session, &self.token)?;
        let now = session.screen.now();
        let edited: TokenView = session.client.patch(
            &format!("/api/v1/bootstrap-tokens/{}", token.id),
            &PatchToken {
                name: self.name,
                max_uses: self.max_uses,
                expires_at: self.ttl.map(|ttl| now.plus(Duration::from_secs(ttl.0))),
            },
        )?;
        session.screen.show(&edited, |_| show::table(&edited))?;
        Ok(Exit::Ok)
    }
}
