//! What an operator may want of a node, and what that is called.

use aami_model::node_status::Trigger;

/// What an operator wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Maintenance,
    Resume,
    Retire,
    Restore,
}

impl Wish {
    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Maintenance => "node.maintenance",
            Self::Resume => "node.resume",
            Self::Retire => "node.retire",
            Self::Restore => "node.restore",
        }
    }

    pub(super) const fn trigger(self, reachable: bool) -> Trigger {
        match self {
            Self::Maintenance => Trigger::MaintenanceStarted,
            Self::Resume => Trigger::MaintenanceEnded { reachable },
            Self::Retire => Trigger::Retired,
            Self::Restore => Trigger::Restored,
        }
    }
}
