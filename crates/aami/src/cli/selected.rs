//! Actions on nodes that are named or selected. Those that are named are done one after the other, here; those that
//! are selected are one batch, which the control plane works through whether or not anybody watches.

use aami_api::batch::{BatchView, CreateBatch};
use aami_api::node::NodeView;
use aami_model::batch::BatchAction;
use aami_model::group::Group;
use aami_model::node_status::{NodeStatus, Outcome, Trigger, next};
use aami_model::{Exit, code};
use clap::Args;

use super::batches::follow;
use super::dry::{Change, Dry};
use super::each::{Done, each};
use super::failure::Failure;
use super::labels::{self, Pair};
use super::nodes::{status, table};
use super::paging;
use super::query::{Query, encoded};
use super::session::Session;

/// Which nodes, instead of naming them. All that is said must fit.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Instead of naming nodes")]
pub(crate) struct Selector {
    /// The nodes of this group, by name or id
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// The nodes with these labels of their own, NAME=VALUE,...; may be repeated
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    selector: Vec<Pair>,
    /// The nodes in this status when their turn comes
    #[arg(long, value_name = "STATUS", value_parser = status)]
    in_status: Option<NodeStatus>,
    /// Every node
    #[arg(long, conflicts_with_all = ["group", "selector", "in_status"])]
    all: bool,
    /// Do not wait for the end; `aami batches show` tells how far it is
    #[arg(long)]
    no_wait: bool,
}

impl Selector {
    /// Whether it says anything.
    pub(crate) fn selects(&self) -> bool {
        self.group.is_some() || !self.selector.is_empty() || self.in_status.is_some() || self.all
    }

    /// Does `action` to each of the nodes that are named, or makes a batch of `bulk` for those that are selected. In a
    /// dry run `action` only tells, and so does this of a batch.
    pub(crate) fn act(
        self,
        session: &mut Session,
        dry: Dry,
        named: &[String],
        bulk: BatchAction,
        action: impl FnMut(&mut Session, &str) -> Result<Done, Failure>,
    ) -> Result<Exit, Failure> {
        match (named.is_empty(), self.selects()) {
            (false, false) if self.no_wait => Err(Failure::invalid(
                "--no-wait goes with nodes that are selected, not with nodes that are named",
            )),
            (false, false) => each(session, named, action),
            (true, true) => self.batch(session, dry, bulk),
            (false, true) => Err(Failure::invalid("nodes are either named or selected, not both")),
            (true, false) => Err(Failure::invalid(
                "name nodes, or select them with --group, --selector, --in-status or --all",
            )),
        }
    }

    fn batch(self, session: &mut Session, dry: Dry, action: BatchAction) -> Result<Exit, Failure> {
        let labels = labels::labels(self.selector);
        if dry.dry_run {
            if let Some(group) = &self.group {
                let _: Group = session
                    .client
                    .get(&format!("/api/v1/groups/{}", encoded(group)))?;
            }
            let mut query = Query::default();
            query.add_if("group", self.group);
            query.add_if("status", self.in_status.map(NodeStatus::name));
            for (name, value) in &labels.0 {
                query.add("label", format!("{name}={value}"));
            }
            let nodes: Vec<NodeView> = paging::all(session, "/api/v1/nodes", &query, None)?;
            if nodes.is_empty() {
                return Err(Failure::found(code::NOT_FOUND, "no node is meant by that"));
            }
            let now = session.screen.now();
            session.screen.show(&nodes, |wide| table(&nodes, now, wide))?;
            return Ok(Exit::Ok);
        }
        let wanted = CreateBatch {
            group: self.group,
            labels,
            status: self.in_status,
            all: self.all,
            ..CreateBatch::new(action)
        };
        let batch: BatchView = session.client.post("/api/v1/batches", Some(&wanted))?;
        if self.no_wait {
            let line = format!(
                "{} {} begins with {} nodes",
                batch.id,
                batch.action.name(),
                batch.total
            );
            session.screen.show_one(&batch, &line)?;
            return Ok(Exit::Ok);
        }
        follow::follow(session, &batch.id)
    }
}

/// What a node would become; refused where the control plane refuses it. `None` where it would stay as it is.
pub(crate) fn becomes(node: &NodeView, trigger: Trigger) -> Result<Option<NodeStatus>, Failure> {
    match next(node.status, trigger) {
        Ok(Outcome::Moved { to, .. }) => Ok(Some(to)),
        Ok(Outcome::Stays) => Ok(None),
        Err(refusal) => Err(Failure::found(code::TRANSITION_REFUSED, refusal.to_string())),
    }
}

/// Tells what a change would make of a node.
pub(crate) fn told<B: serde::Serialize + ?Sized>(
    node: &NodeView,
    trigger: Trigger,
    change: &Change<'_, B>,
) -> Result<Done, Failure> {
    let name = &node.hostname;
    let line = match becomes(node, trigger)? {
        Some(to) => format!("{name} would be {} instead of {}", to.name(), node.status.name()),
        None => format!("{name} would stay {}", node.status.name()),
    };
    change.would(&node.id, line)
}
