//! `aami nodes found`.

use aami_api::node::FoundView;
use aami_model::Exit;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// List exporters that agents found on their nodes and nobody registered; `aami nodes accept` takes one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes found
  aami nodes found gpu-01")]
pub(crate) struct Found {
    /// Hostname or id; every node where absent
    node: Option<String>,
}

impl Found {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut query = Query::default();
        if let Some(name) = &self.node {
            query.add("node", find::node(session, name)?.id);
        }
        let found: Vec<FoundView> = paging::all(session, "/api/v1/exporters/found", &query, None)?;
        session.screen.show(&found, |_| table(&found))?;
        Ok(Exit::Ok)
    }
}

fn table(found: &[FoundView]) -> Table {
    let mut table = Table::new(
        &["NODE", "EXPORTER", "TYPE", "PORT"],
        "no exporters that are not registered",
    );
    for one in found {
        let name = if one.name.is_empty() {
            one.exporter.name()
        } else {
            &one.name
        };
        table.row([
            one.hostname.clone(),
            name.to_owned(),
            one.exporter.name().to_owned(),
            one.port.to_string(),
        ]);
    }
    table
}
