//! `aami checks show`.

use std::collections::BTreeMap;

use aami_model::check::Check;
use aami_model::{Exit, GroupId};
use clap::Args;

use super::list::{group_names, meant_for};
use crate::cli::failure::Failure;
use crate::cli::query::encoded;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show one check; `-o yaml` shows its script, too
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami checks show disk-full
  aami checks show disk-full -o yaml > disk-full.yaml")]
pub(crate) struct Show {
    /// Name or id
    check: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let check: Check = session.client.get(&path(&self.check))?;
        let groups = group_names(session)?;
        session.screen.show(&check, |_| table(&check, &groups))?;
        Ok(Exit::Ok)
    }
}

/// Where a check is, by name or id.
pub(super) fn path(check: &str) -> String {
    format!("/api/v1/checks/{}", encoded(check))
}

fn table(check: &Check, groups: &BTreeMap<GroupId, String>) -> Table {
    let definition = &check.definition;
    let mut table = Table::of_one();
    table.line("Name", &definition.name);
    table.line("Id", &check.id);
    table.line("Description", &check.description);
    table.line("For", meant_for(&check.scope, groups));
    table.line("Enabled", if check.enabled { "yes" } else { "no" });
    table.line("Every", format!("{} s", definition.interval_seconds));
    table.line("Timeout", format!("{} s", definition.timeout_seconds));
    table.line("Runs as", definition.run_as.name());
    table.line(
        "Command",
        std::iter::once(format!(
            "{} SCRIPT ({} bytes)",
            definition.interpreter,
            definition.script.len()
        ))
        .chain(definition.args.iter().map(|arg| format!("{arg:?}")))
        .collect::<Vec<_>>()
        .join(" "),
    );
    table.line(
        "Signed by",
        definition
            .signature
            .as_ref()
            .map_or("nobody", |signature| &signature.key_id),
    );
    table.line("SHA-256", &check.sha256);
    table.line("Made", check.created_at);
    table.line("Changed", check.updated_at);
    table
}
