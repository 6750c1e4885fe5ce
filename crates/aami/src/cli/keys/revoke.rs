//! `aami keys revoke`.

use aami_api::key::KeyView;
use aami_model::access::Role;
use aami_model::{Exit, Timestamp, code};
use clap::Args;

use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Take keys back, at once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami keys revoke alice
  aami keys revoke alice ci --dry-run")]
pub(crate) struct Revoke {
    /// Names or ids
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Revoke {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.keys, |session, name| {
            let key = find::key(session, name)?;
            let (id, name) = (&key.id, &key.name);
            let change = Change::delete(format!("/api/v1/keys/{id}"));
            if self.dry.dry_run {
                not_the_last(session, &key)?;
                return change.would(id, format!("{name} ({id}) would be revoked"));
            }
            let _: serde_json::Value = change.send(session)?;
            Ok(Done::new(id, format!("{name} ({id}) is revoked")))
        })
    }
}

/// Whether a key may do everything, for everybody, and goes on to.
fn rules(key: &KeyView, now: Timestamp) -> bool {
    key.role == Some(Role::Admin) && key.orgs.is_empty() && key.expires_at.is_none_or(|end| now < end)
}

/// Refuses the last key that rules over everything, as the control plane does.
fn not_the_last(session: &Session, key: &KeyView) -> Result<(), Failure> {
    let now = session.screen.now();
    let others = session.client.keys()?.items;
    let is_other = |other: &KeyView| other.id != key.id && rules(other, now);
    if !rules(key, now) || others.iter().any(is_other) {
        return Ok(());
    }
    Err(Failure::found(code::LAST_ADMIN, code::LAST_ADMIN.sentence))
}
