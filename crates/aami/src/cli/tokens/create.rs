//! `aami tokens create`.

use std::path::Path;

use aami_api::token::{CreateToken, CreatedToken, TokenView};
use aami_model::Exit;
use clap::Args;
use http::Method;
use serde::Serialize;

use super::show;
use crate::cli::dry::{Change, Dry, fitting, there};
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::labels::{Pair, labels};
use crate::cli::query::encoded;
use crate::cli::secret::Secrecy;
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;

/// Make a token, and print the one line that enrols a machine with it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami tokens create --name rack-a1
  aami tokens create --name rack-a1 --max-uses 40 --ttl 4h --group racks --labels rack=A1
  aami tokens create --name ci -o json | jq -r .token_file
  aami tokens create --name rack-a1 --group racks --dry-run")]
pub(crate) struct Create {
    /// What to call it
    #[arg(long)]
    name: String,
    /// How many machines may enrol with it
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_uses: u32,
    /// How long it lasts
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    ttl: Seconds,
    /// Group its nodes join, by name or id
    #[arg(long)]
    group: Option<String>,
    /// Labels its nodes carry; may be repeated
    #[arg(long = "labels", value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<Pair>,
    /// Let known machines enrol again with a new key
    #[arg(long)]
    allow_reenrol: bool,
    /// Only this declared node may use it, by hostname or id
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    secrecy: Secrecy,
    #[command(flatten)]
    dry: Dry,
}

/// What programs get: where the secret is instead of the secret.
#[derive(Serialize)]
struct Kept<'a> {
    #[serde(flatten)]
    token: &'a TokenView,
    token_file: &'a Path,
}

impl Create {
    pub(super) fn run(self, session: &mut Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let only_node = match &self.node {
            Some(name) => Some(find::node(session, name)?.id),
            None => None,
        };
        let wanted = CreateToken {
            name: self.name,
            max_uses: Some(self.max_uses),
            ttl_seconds: Some(self.ttl.0),
            group: self.group,
            labels: labels(self.labels),
            allow_reenrol: self.allow_reenrol,
            only_node,
            org: None,
        };
        let change = Change::new(Method::POST, "/api/v1/bootstrap-tokens", &wanted);
        if self.dry.dry_run {
            let name = &wanted.name;
            fitting(name)?;
            if let Some(group) = &wanted.group {
                there(session, &format!("/api/v1/groups/{}", encoded(group)))?;
            }
            let kept = (self.secrecy).would_place(&session.screen, surroundings, "tokens")?;
            return change.tell(session, name, format!("token {name} would be made, and {kept}"));
        }
        let place = self.secrecy.place(&session.screen, surroundings, "tokens")?;
        let created: CreatedToken = change.send(session)?;
        let saved = match place {
            Some(place) => Some(place.save(created.view.id.as_str(), &created.token)?),
            None => None,
        };
        match saved.filter(|_| !self.secrecy.shown(&session.screen)) {
            Some(file) => show_kept(session, &created.view, &file)?,
            None if session.screen.format().is_for_programs() => {
                session.screen.show(&created, |_| show::table(&created.view))?;
            }
            None => session.screen.write(&for_a_person(&created))?,
        }
        Ok(Exit::Ok)
    }
}

fn show_kept(session: &mut Session, token: &TokenView, file: &Path) -> Result<(), Failure> {
    session.screen.show(
        &Kept {
            token,
            token_file: file,
        },
        |_| {
            let mut table = show::table(token);
            table.line("Token file", file.display());
            table
        },
    )
}

/// The one time the token is shown.
fn for_a_person(created: &CreatedToken) -> String {
    let view = &created.view;
    let machines = match view.remaining {
        1 => "one machine".to_owned(),
        many => format!("{many} machines"),
    };
    let mut text = format!(
        "Token {} ({}) enrols {machines} until {}. Run this on a machine:\n\n  {}\n",
        view.id, view.name, view.expires_at, created.one_line
    );
    if let Some(line) = &created.one_line_wget {
        text.push_str(&format!("\nWhere only wget is:\n\n  {line}\n"));
    }
    text.push_str("\nIt is shown this once; whoever has it can enrol a machine.\n");
    text
}
