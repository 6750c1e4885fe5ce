//! Which nodes a question is about, and in which shape it wants its answer.

use std::sync::Arc;

use aami_model::access::Orgs;
use aami_model::{GroupId, NodeId, OrgId};

/// Which nodes are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Only nodes of these tenants.
    pub orgs: Orgs,
    /// Leave out nodes in maintenance.
    pub active: bool,
    /// Only nodes of this group.
    pub group: Option<GroupId>,
}

impl Selection {
    /// Every listed node of these tenants.
    pub const fn all(orgs: Orgs) -> Self {
        Self {
            orgs,
            active: false,
            group: None,
        }
    }

    /// Whether it leaves nothing out, so that no member need be looked at.
    pub(crate) fn is_everything(&self) -> bool {
        self.orgs == Orgs::All && !self.active && self.group.is_none()
    }

    pub(crate) fn includes(&self, member: &Member) -> bool {
        (!self.active || !member.in_maintenance)
            && self
                .group
                .as_ref()
                .is_none_or(|group| member.groups.contains(group))
            && self.orgs.includes(&member.org)
    }
}

/// How the list is put.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// One group for each exporter, with all labels of its node.
    #[default]
    Flat,
    /// One group for each set of shared labels, with all its exporters; who they are is in
    /// `aami_node_info`. A tenth of the size.
    Grouped,
}

/// Above this many scrape targets the grouped shape is the better one: flat lists cost Prometheus seconds
/// at each refresh.
pub const MOST_FLAT: usize = 10_000;

impl Shape {
    /// The shape for so many scrape targets.
    pub const fn for_targets(count: usize) -> Self {
        if count > MOST_FLAT {
            Self::Grouped
        } else {
            Self::Flat
        }
    }

    /// The value of the `shape` parameter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Grouped => "grouped",
        }
    }

    /// Reads the `shape` parameter.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Flat, Self::Grouped]
            .into_iter()
            .find(|shape| shape.name() == name)
    }
}

/// By what a selection judges a node, and where it is listed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: NodeId,
    pub(crate) org: OrgId,
    pub(crate) groups: Box<[GroupId]>,
    pub(crate) in_maintenance: bool,
    /// The label sets its exporters stand under in the grouped shape, as JSON.
    pub(crate) sets: Box<[Arc<str>]>,
}
