//! `aami prometheuses edit`.

use aami_api::prometheus::{PatchPrometheus, PrometheusView};
use aami_model::Exit;
use clap::Args;
use http::Method;

use super::list::table;
use super::{changeable, named, path, placed, placed_where};
use crate::cli::dry::{Change, Dry};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Change where a Prometheus is, which node delivers its rules, or which groups it watches
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  aami prometheuses edit mon-1 --alertmanager http://mon-1:9093
  aami prometheuses edit shard-b --groups rack-b,rack-c --dry-run")]
pub(crate) struct Edit {
    /// Name or id
    name: String,
    /// Another address
    #[arg(long, group = "change")]
    url: Option<String>,
    /// Another Alertmanager; an empty text for none
    #[arg(long, value_name = "URL", group = "change")]
    alertmanager: Option<String>,
    /// Another node, by hostname or id
    #[arg(long, group = "change")]
    node: Option<String>,
    /// The groups whose nodes it watches, all of them, with commas; an empty text for all nodes
    #[arg(long, value_name = "NAMES", group = "change")]
    groups: Option<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Edit {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let (found, etag) = named(session, &self.name)?;
        let patch = PatchPrometheus {
            url: self.url,
            alertmanager_url: self.alertmanager,
            node: self.node,
            groups: self.groups.map(|names| {
                let names = names.split(',').map(str::trim);
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }),
        };
        let (id, name) = (&found.prometheus.id, &found.prometheus.name);
        let change = Change::new(Method::PATCH, path(id.as_str()), &patch).unchanged_since(etag.as_deref());
        let (node, groups) = (patch.node.as_deref(), patch.groups.as_deref().unwrap_or_default());
        if self.dry.dry_run {
            changeable(&found)?;
            placed(session, node, groups)?;
            return change.tell(session, id, format!("{name} would be changed"));
        }
        let view: PrometheusView =
            (change.send(session)).map_err(|failure| placed_where(session, node, groups, failure))?;
        session
            .screen
            .show(&view, |wide| table(std::slice::from_ref(&view), wide))?;
        Ok(Exit::Ok)
    }
}
