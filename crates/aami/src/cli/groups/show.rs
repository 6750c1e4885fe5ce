//! `aami groups show`.

use aami_model::Exit;
use aami_model::group::Group;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::labels;
use crate::cli::query::encoded;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show one group; `aami nodes list --group NAME` lists its nodes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami groups show racks
  aami groups show racks -o yaml")]
pub(crate) struct Show {
    /// Name or id
    group: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let group = find::group(session, &self.group)?.body;
        session.screen.show(&group, |_| table(&group))?;
        Ok(Exit::Ok)
    }
}

/// Where a group is, by name or id.
pub(super) fn path(group: &str) -> String {
    format!("/api/v1/groups/{}", encoded(group))
}

pub(crate) fn table(group: &Group) -> Table {
    let mut table = Table::of_one();
    table.line("Name", &group.name);
    table.line("Id", &group.id);
    table.line("Description", &group.description);
    table.line("Labels", labels::shown(&group.labels));
    let agents = &group.agents;
    let seconds = |seconds: Option<u32>| {
        seconds
            .map(|seconds| format!("every {seconds} s"))
            .unwrap_or_default()
    };
    table.line("Heartbeats", seconds(agents.heartbeat_seconds));
    table.line("Resources", seconds(agents.resources_seconds));
    table.line(
        "Exporters",
        match agents.discover {
            Some(true) => "looked for",
            Some(false) => "not looked for",
            None => "",
        },
    );
    table.line("Made", group.created_at);
    table
}
