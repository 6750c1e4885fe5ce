//! `aami keys list`.

use aami_api::key::KeyView;
use aami_model::{Exit, Timestamp};
use clap::Args;

use crate::cli::age::{age, left};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List keys; never the keys themselves
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami keys list
  aami keys list -o wide")]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let keys = session.client.keys()?.items;
        let now = session.screen.now();
        session.screen.show(&keys, |wide| table(&keys, now, wide))?;
        Ok(Exit::Ok)
    }
}

/// What a key allows, in a word or a few.
pub(super) fn allows(key: &KeyView) -> String {
    match key.role {
        Some(role) => role.name().to_owned(),
        None => {
            let scopes: Vec<String> = key.scopes.iter().map(ToString::to_string).collect();
            scopes.join(",")
        }
    }
}

pub(crate) fn table(keys: &[KeyView], now: Timestamp, wide: bool) -> Table {
    let mut headings = vec!["NAME", "ID", "ALLOWS", "ENDS IN", "AGE"];
    if wide {
        headings.push("ORGS");
    }
    let mut table = Table::new(&headings, "no keys");
    for key in keys {
        let mut cells = vec![
            key.name.clone(),
            key.id.to_string(),
            allows(key),
            key.expires_at
                .map_or_else(|| "never".to_owned(), |at| left(now, at)),
            age(now, key.created_at),
        ];
        if wide {
            let orgs: Vec<String> = key.orgs.iter().map(ToString::to_string).collect();
            cells.push(if orgs.is_empty() {
                "all".to_owned()
            } else {
                orgs.join(",")
            });
        }
        table.row(cells);
    }
    table
}
