//! `aami prometheuses edit`.

use aami_api::client::Answer;
use aami_api::prometheus::{PatchPrometheus, PrometheusView};
use aami_model::Exit;
use clap::Args;
use http::Method;

use super::find;
use super::list::table;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Change where a Prometheus is, which node delivers its rules, or which groups it watches
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
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
}

impl Edit {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let (there, etag) = find(session, &self.name)?;
        let patch = PatchPrometheus {
            url: self.url,
            alertmanager_url: self.alertmanager,
            node: self.node,
            groups: self.groups.map(|names| {
                let names = names.split(',').map(str::trim);
                names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
            }),
        };
        let unchanged: Vec<(&str, &str)> = etag.iter().map(|etag| ("if-match", etag.as_str())).collect();
        let path = format!("/api/v1/prometheuses/{}", there.prometheus.id);
        let edited: Answer<PrometheusView> =
            session
                .client
                .call(Method::PATCH, &path, Some(&patch), &unchanged)?;
        let view = edited.body;
        session
            .screen
            .show(&view, |wide| table(std::slice::from_ref(&view), wide))?;
        Ok(Exit::Ok)
    }
}
