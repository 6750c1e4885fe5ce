//! `aami keys create`.

use std::path::Path;

use aami_api::key::{CreateKey, CreatedKey, KeyView};
use aami_model::access::{Role, Scope};
use aami_model::{Exit, OrgId, UserId};
use aami_server::World;
use clap::Args;
use http::Method;
use serde::Serialize;

use super::list::{allows, table};
use crate::cli::dry::{Change, Dry, fitting};
use crate::cli::duration::Seconds;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::screen::{Format, Screen};
use crate::cli::secret::Secrecy;
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;

/// Make a key: a role for a person, or scopes for a program
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("may").required(true))]
#[command(after_help = "\
Examples:
  aami keys create --name alice --role operator
  aami keys create --name prometheus --scope discovery --save-to /etc/prometheus/aami.key
  sudo aami keys create --name me --store sqlite:/var/lib/aami/store.db
  aami keys create --name alice --role operator --dry-run")]
pub(crate) struct Create {
    /// What to call it
    #[arg(long)]
    name: String,
    /// viewer, operator or admin
    #[arg(long, value_parser = role, group = "may")]
    role: Option<Role>,
    /// discovery, events-in, region:ID, node:ID or run:ID; may be repeated
    #[arg(long, group = "may")]
    scope: Vec<Scope>,
    /// Make an admin key directly in this store, for when all admin keys are lost; an embedded store must not be
    /// in use
    #[arg(long, value_name = "URL", group = "may")]
    store: Option<String>,
    /// Organisations it sees [all that your own key sees]; may be repeated
    #[arg(long, value_name = "ORG")]
    org: Vec<OrgId>,
    /// The person who will hold it; what is made with it is theirs
    #[arg(long, value_name = "USER")]
    user: Option<UserId>,
    /// How long it lasts [for ever]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Seconds>,
    #[command(flatten)]
    secrecy: Secrecy,
    #[command(flatten)]
    dry: Dry,
}

fn role(text: &str) -> Result<Role, &'static str> {
    [Role::Viewer, Role::Operator, Role::Admin]
        .into_iter()
        .find(|role| role.name() == text)
        .ok_or("a role is viewer, operator or admin")
}

/// What programs get: where the key is instead of the key.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(flatten)]
    view: &'a KeyView,
    key_file: &'a Path,
}

/// An admin key that was made in the store.
#[derive(Serialize)]
struct Recovered<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<&'a Path>,
}

impl Create {
    /// Whether the control plane is to be passed by.
    pub(super) const fn is_recovery(&self) -> bool {
        self.store.is_some()
    }

    /// Makes an admin key where only this machine can: in the store itself.
    pub(super) fn recover(self, format: Format, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut screen = Screen::new(format);
        if self.dry.dry_run {
            let kept = self.secrecy.would_place(&screen, surroundings, "keys")?;
            let (name, store) = (&self.name, self.store.as_deref().unwrap_or_default());
            let line = format!("the admin key {name} would be made in {store}, and {kept}");
            return Done::would(name, line).tell(&mut screen);
        }
        let place = self.secrecy.place(&screen, surroundings, "keys")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::Runtime)?;
        let store = self.store.as_deref().unwrap_or_default();
        let key = runtime.block_on(aami_server::recover_admin_key(
            store,
            &self.name,
            &World::system(),
        ))?;
        let saved = match place {
            Some(place) => Some(place.save(key.id(), key.reveal())?),
            None => None,
        };
        let recovered = Recovered {
            id: key.id(),
            key: self.secrecy.shown(&screen).then(|| key.reveal()),
            key_file: saved.as_deref(),
        };
        screen.show(&recovered, |_| {
            let mut table = Table::of_one();
            table.line("Id", recovered.id);
            table.line("Allows", "admin");
            table.line("Key", recovered.key.unwrap_or_default());
            if let Some(file) = recovered.key_file {
                table.line("Key file", file.display());
            }
            table
        })?;
        Ok(Exit::Ok)
    }

    pub(super) fn run(self, session: &mut Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let wanted = CreateKey {
            name: self.name,
            role: self.role,
            scopes: self.scope,
            orgs: self.org,
            user: self.user,
            ttl_seconds: self.ttl.map(|ttl| ttl.0),
        };
        let change = Change::new(Method::POST, "/api/v1/keys", &wanted);
        if self.dry.dry_run {
            let name = &wanted.name;
            fitting(name)?;
            let kept = (self.secrecy).would_place(&session.screen, surroundings, "keys")?;
            return change.tell(session, name, format!("key {name} would be made, and {kept}"));
        }
        let place = self.secrecy.place(&session.screen, surroundings, "keys")?;
        let created: CreatedKey = change.send(session)?;
        let view = &created.view;
        let saved = match place {
            Some(place) => Some(place.save(view.id.as_str(), &created.key)?),
            None => None,
        };
        let screen = &mut session.screen;
        let now = screen.now();
        match saved.filter(|_| !self.secrecy.shown(screen)) {
            Some(file) => {
                let kept = Kept {
                    view,
                    key_file: &file,
                };
                screen.show(&kept, |wide| table(std::slice::from_ref(view), now, wide))?;
                screen.note(&format!("aami: the key is in {}", file.display()));
            }
            None if screen.format().is_for_programs() => {
                screen.show(&created, |wide| table(&[], now, wide))?
            }
            None => screen.write(&format!(
                "Key {} ({}) allows: {}.\n\n  {}\n\nIt is shown this once.\n",
                view.id,
                view.name,
                allows(view),
                created.key
            ))?,
        }
        Ok(Exit::Ok)
    }
}
