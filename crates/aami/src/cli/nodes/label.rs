//! `aami nodes label`.

use aami_api::client::Answer;
use aami_api::node::{NodeView, PatchNode};
use aami_model::Exit;
use clap::Args;
use http::Method;

use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::labels;
use crate::cli::session::Session;

/// Set labels of a node, or take them away
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes label gpu-01 rack=A1 row=3
  aami nodes label gpu-01 rack-")]
pub(crate) struct Label {
    /// Hostname or id
    node: String,
    /// NAME=VALUE sets, NAME- takes away
    #[arg(required = true, value_name = "CHANGE")]
    changes: Vec<String>,
}

impl Label {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let id = find::node(session, &self.node)?.id;
        let node = session.client.node(&id)?;
        let mut wanted = node.body.labels.clone();
        labels::change(&mut wanted, &self.changes)?;
        // What is sent replaces all labels, so it must be what was read that is replaced.
        let unchanged: Vec<(&str, &str)> = node.etag.iter().map(|etag| ("if-match", etag.as_str())).collect();
        let changed: Answer<NodeView> = session.client.call(
            Method::PATCH,
            &format!("/api/v1/nodes/{id}"),
            Some(&PatchNode {
                labels: Some(wanted),
                ..PatchNode::default()
            }),
            &unchanged,
        )?;
        let node = changed.body;
        let line = format!("{}: {}", node.hostname, labels::shown(&node.labels));
        session.screen.show_one(&node, &line)?;
        Ok(Exit::Ok)
    }
}
