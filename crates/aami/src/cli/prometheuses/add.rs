//! `aami prometheuses add`.

use aami_api::prometheus::{CreatePrometheus, PrometheusView};
use aami_model::Exit;
use clap::Args;
use http::Method;

use super::list::table;
use super::{path, placed, placed_where};
use crate::cli::dry::{Change, Dry, absent, fitting};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Name a Prometheus that is to be given rules by the agent of the node it runs on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami prometheuses add mon-1 --node mon-1 --url http://mon-1:9090
  aami prometheuses add shard-b --node mon-2 --url http://mon-2:9090 --group rack-b
  aami prometheuses add mon-1 --node mon-1 --url http://mon-1:9090 --dry-run

On that node make the folder /etc/aami/rules, name /etc/aami/rules/*.yaml among the rule_files of its Prometheus, start it
with --web.enable-lifecycle, and restart aami-agent. Where several run on one node, each has a folder of its name below.
The Prometheus on the control plane's own machine needs no adding.")]
pub(crate) struct Add {
    /// What it is called
    name: String,
    /// The node it runs on, by hostname or id
    #[arg(long)]
    node: String,
    /// Where it answers, as the control plane reaches it; on the node itself its port counts
    #[arg(long)]
    url: String,
    /// Where the Alertmanager it tells answers
    #[arg(long, value_name = "URL")]
    alertmanager: Option<String>,
    /// A group whose nodes it watches; may be repeated, all nodes without it
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Add {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let create = CreatePrometheus {
            name: self.name,
            url: self.url,
            alertmanager_url: self.alertmanager,
            node: self.node,
            groups: self.groups,
            org: None,
        };
        let change = Change::new(Method::POST, "/api/v1/prometheuses", &create);
        if self.dry.dry_run {
            let name = &create.name;
            fitting(name)?;
            absent(session, &path(name), &format!("a Prometheus {name:?}"))?;
            placed(session, Some(&create.node), &create.groups)?;
            return change.tell(session, name, format!("{name} would be added"));
        }
        let view: PrometheusView = (change.send(session))
            .map_err(|failure| placed_where(session, Some(&create.node), &create.groups, failure))?;
        session
            .screen
            .show(&view, |wide| table(std::slice::from_ref(&view), wide))?;
        Ok(Exit::Ok)
    }
}
