//! `aami groups list`.

use aami_model::group::Group;
use aami_model::{Exit, Timestamp};
use clap::Args;

use crate::cli::age::age;
use crate::cli::failure::Failure;
use crate::cli::labels;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List groups
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami groups list
  aami groups list -o json | jq -r '.[].name'")]
pub(crate) struct List {}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let groups: Vec<Group> = paging::all(session, "/api/v1/groups", &Query::default(), None)?;
        let now = session.screen.now();
        session.screen.show(&groups, |_| table(&groups, now))?;
        Ok(Exit::Ok)
    }
}

pub(crate) fn table(groups: &[Group], now: Timestamp) -> Table {
    let mut table = Table::new(
        &["NAME", "ID", "LABELS", "AGE", "DESCRIPTION"],
        "no groups; `aami groups create NAME` makes one",
    );
    for group in groups {
        table.row([
            group.name.clone(),
            group.id.to_string(),
            if group.labels.0.is_empty() {
                "-".to_owned()
            } else {
                labels::shown(&group.labels)
            },
            age(now, group.created_at),
            group.description.clone(),
        ]);
    }
    table
}
