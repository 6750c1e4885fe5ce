//! `aami tokens edit`.

use std::time::Duration;

use aami_api::token::{PatchToken, TokenView};
use aami_model::Exit;
use clap::Args;
use http::Method;

use super::show;
use crate::cli::dry::{Change, Dry, fitting};
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Change a token's name, uses or end
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  aami tokens edit rack-a1 --max-uses 80
  aami tokens edit rack-a1 --ttl 48h --name rack-a1-a2 --dry-run")]
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
    #[command(flatten)]
    dry: Dry,
}

impl Edit {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let token = find::token(session, &self.token)?;
        let now = session.screen.now();
        let patch = PatchToken {
            name: self.name,
            max_uses: self.max_uses,
            expires_at: self.ttl.map(|ttl| now.plus(Duration::from_secs(ttl.0))),
        };
        let path = format!("/api/v1/bootstrap-tokens/{}", token.id);
        let change = Change::new(Method::PATCH, path, &patch);
        if self.dry.dry_run {
            patch.name.as_deref().map_or(Ok(()), fitting)?;
            if patch.max_uses.is_some_and(|uses| uses < token.max_uses) {
                return Err(Failure::invalid(
                    "max_uses: it only grows; revoke the token to stop it",
                ));
            }
            return change.tell(
                session,
                &token.id,
                format!("token {} would be changed", token.name),
            );
        }
        let edited: TokenView = change.send(session)?;
        session.screen.show(&edited, |_| show::table(&edited))?;
        Ok(Exit::Ok)
    }
}
