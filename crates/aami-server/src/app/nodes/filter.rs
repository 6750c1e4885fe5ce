//! Which nodes a list is asked for.

use aami_model::hostname::Hostname;
use aami_model::label::Labels;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;

use crate::view::Snapshot;

/// Which nodes are wanted.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) hostname: Option<Hostname>,
    pub(crate) status: Option<NodeStatus>,
    pub(crate) group: Option<String>,
    pub(crate) labels: Labels,
    /// A part of hostname, address or id.
    pub(crate) text: Option<String>,
}

impl Filter {
    pub(crate) fn fits(&self, snapshot: &Snapshot, node: &Node) -> bool {
        let group = |name: &str| {
            snapshot
                .group_named(&node.org, name)
                .is_some_and(|held| node.groups.contains(&held.doc.id))
        };
        let text = |text: &str| {
            node.hostname.as_str().contains(text)
                || node.id.as_str().contains(text)
                || node.ip_address.to_string().contains(text)
        };
        self.hostname.as_ref().is_none_or(|name| node.hostname == *name)
            && self.status.is_none_or(|status| node.status == status)
            && self.group.as_deref().is_none_or(group)
            && node.labels.matches(&self.labels)
            && self.text.as_deref().is_none_or(text)
    }
}
