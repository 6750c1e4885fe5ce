//! `aami nodes accept`.

use aami_api::node::{CreateExporter, FoundView};
use aami_api::register::{ExporterInfo, ExporterView};
use aami_model::{Exit, code};
use clap::Args;
use http::Method;

use crate::cli::dry::{Change, Dry};
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::session::Session;

/// Register an exporter that was found on a node, so that Prometheus scrapes it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes found gpu-01
  aami nodes accept gpu-01 9400
  aami nodes accept gpu-01 9400 --dry-run")]
pub(crate) struct Accept {
    /// Hostname or id
    node: String,
    /// The port it was found on
    port: u16,
    #[command(flatten)]
    dry: Dry,
}

impl Accept {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let node = find::node(session, &self.node)?;
        let mut query = Query::default();
        query.add("node", &node.id);
        let found: Vec<FoundView> = paging::all(session, "/api/v1/exporters/found", &query, None)?;
        let found = found
            .into_iter()
            .find(|one| one.port == self.port)
            .ok_or_else(|| {
                let why = format!("nothing was found on port {} of {}", self.port, node.hostname);
                Failure::found(code::NOT_FOUND, why)
            })?;
        let wanted = CreateExporter {
            node_id: node.id.clone(),
            exporter: ExporterInfo::new(found.exporter, found.port),
        };
        let change = Change::new(Method::POST, "/api/v1/exporters", &wanted);
        if self.dry.dry_run {
            let line = format!(
                "{} on port {} of {} would be registered",
                wanted.exporter.kind.name(),
                self.port,
                node.hostname
            );
            return change.tell(session, &node.id, line);
        }
        let view: ExporterView = change.send(session)?;
        let line = format!(
            "{} on port {} of {} is registered",
            view.exporter.kind.name(),
            self.port,
            node.hostname
        );
        session.screen.show_one(&view, &line)?;
        Ok(Exit::Ok)
    }
}
