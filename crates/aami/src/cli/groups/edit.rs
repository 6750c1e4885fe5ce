//! `aami groups edit`.

use aami_api::client::Answer;
use aami_api::group::PatchGroup;
use aami_model::Exit;
use aami_model::group::Group;
use clap::Args;
use http::Method;

use super::show::{self, path};
use crate::cli::failure::Failure;
use crate::cli::labels;
use crate::cli::session::Session;

/// Change a group's description or labels
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct Edit {
    /// Name or id
    group: String,
    /// A new description
    #[arg(long, group = "change")]
    description: Option<String>,
    /// NAME=VALUE sets a label, NAME- takes one away; may be repeated
    #[arg(long, value_name = "CHANGE", group = "change", allow_hyphen_values = true)]
    label: Vec<String>,
}

impl Edit {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let path = path(&self.group);
        let group: Answer<Group> = session.client.call(Method::GET, &path, None::<&()>, &[])?;
        let mut patch = PatchGroup {
            description: self.description,
            labels: None,
        };
        if !self.label.is_empty() {
            let mut wanted = group.body.labels;
            labels::change(&mut wanted, &self.label)?;
            patch.labels = Some(wanted);
        }
        let unchanged: Vec<(&str, &str)> = group
            .etag
            .iter()
            .map(|etag| ("if-match", etag.as_str()))
            .collect();
        let edited: Answer<Group> = session
            .client
            .call(Method::PATCH, &path, Some(&patch), &unchanged)?;
        session.screen.show(&edited.body, |_| show::table(&edited.body))?;
        Ok(Exit::Ok)
    }
}
