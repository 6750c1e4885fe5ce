//! `aami nodes label`.

use aami_api::node::{NodeView, PatchNode};
use aami_model::Exit;
use aami_model::batch::BatchAction;
use aami_model::label::Labels;
use clap::Args;
use http::Method;

use crate::cli::dry::{Change, Dry};
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::labels;
use crate::cli::selected::Selector;
use crate::cli::session::Session;

/// Set labels of a node, or take them away
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes label gpu-01 rack=A1 row=3
  aami nodes label gpu-01 rack-
  aami nodes label --group row-3 maintained_by=alice
  aami nodes label gpu-01 rack=B2 --dry-run")]
pub(crate) struct Label {
    /// Hostname or id, where nodes are not selected; then NAME=VALUE sets, NAME- takes away
    #[arg(required = true, value_name = "NODE|CHANGE")]
    words: Vec<String>,
    #[command(flatten)]
    dry: Dry,
    #[command(flatten)]
    selector: Selector,
}

impl Label {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        if self.selector.selects() {
            let bulk = bulk(&self.words)?;
            return self
                .selector
                .act(session, self.dry, &[], bulk, |_, name| Ok(Done::new(name, "")));
        }
        let (node, changes) = match self.words.as_slice() {
            [node, changes @ ..] if !changes.is_empty() => (node, changes),
            _ => return Err(Failure::invalid("name a node, then NAME=VALUE or NAME-")),
        };
        let id = find::node(session, node)?.id;
        let node = session.client.node(&id)?;
        let mut wanted = node.body.labels.clone();
        labels::change(&mut wanted, changes)?;
        // What is sent replaces all labels, so it must be what was read that is replaced.
        let patch = PatchNode {
            labels: Some(wanted),
            ..PatchNode::default()
        };
        let change = Change::new(Method::PATCH, format!("/api/v1/nodes/{id}"), &patch)
            .unchanged_since(node.etag.as_deref());
        if self.dry.dry_run {
            let shown = patch.labels.as_ref().map(labels::shown).unwrap_or_default();
            let line = format!("the labels of {} would be {shown}", node.body.hostname);
            return change.tell(session, &id, line);
        }
        let node: NodeView = change.send(session)?;
        let line = format!("{}: {}", node.hostname, labels::shown(&node.labels));
        session.screen.show_one(&node, &line)?;
        Ok(Exit::Ok)
    }
}

/// The label that a change takes away.
fn taken(change: &str) -> Option<&str> {
    change.strip_suffix('-').filter(|name| !name.contains('='))
}

/// Changes of labels for a batch.
fn bulk(changes: &[String]) -> Result<BatchAction, Failure> {
    let remove = changes
        .iter()
        .filter_map(|change| taken(change))
        .map(str::to_owned);
    let setting: Vec<String> = changes
        .iter()
        .filter(|change| taken(change).is_none())
        .cloned()
        .collect();
    let mut set = Labels::default();
    labels::change(&mut set, &setting)?;
    Ok(BatchAction::Label {
        set,
        remove: remove.collect(),
    })
}
