//! What can happen to a node: one table, as a pure function.
//!
//! A trigger says what happened in the world. [`next`] answers with the status that follows and the
//! events to tell, or refuses with a reason. A trigger that would lead to the status the node is in
//! already is a no-op, so that reports may be repeated. The node's agent never chooses its status.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The lifecycle of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NodeStatus {
    /// Declared, nothing installed yet.
    Pending,
    /// Being installed or enrolled.
    Installing,
    /// Reachable.
    Online,
    /// Was reachable.
    Offline,
    /// Taken out by an operator; scraped, but silent.
    Maintenance,
    /// Its installation failed.
    Error,
    /// Retired.
    Inactive,
}

impl NodeStatus {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Installing,
        Self::Online,
        Self::Offline,
        Self::Maintenance,
        Self::Error,
        Self::Inactive,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Installing => "installing",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Maintenance => "maintenance",
            Self::Error => "error",
            Self::Inactive => "inactive",
        }
    }

    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// How long a node usually stays in this status; none where it may stay for ever. One that stays longer is shown
    /// as stuck: somebody should look.
    pub const fn usual_stay(self) -> Option<Duration> {
        const HOUR: u64 = 3600;
        match self {
            Self::Pending | Self::Maintenance | Self::Error => Some(Duration::from_secs(24 * HOUR)),
            Self::Installing => Some(Duration::from_secs(HOUR / 2)),
            Self::Offline => Some(Duration::from_secs(HOUR)),
            Self::Online | Self::Inactive => None,
        }
    }

    /// Whether Prometheus is told of a node in this status. Offline and failed nodes stay listed, so
    /// that an alert about them can fire.
    pub const fn is_discovered(self) -> bool {
        !matches!(self, Self::Pending | Self::Inactive)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The installer on the node reports a step.
    InstallerReported,
    /// It registered with a bootstrap token.
    Enrolled,
    /// The control plane reached its exporters (agentless), or has none to reach.
    Verified,
    /// Its agent connected.
    Connected,
    /// A step of its installation failed for good.
    InstallFailed,
    /// No report for the time an installation may be silent.
    InstallSilent,
    /// No heartbeat within the timeout.
    HeartbeatLost,
    /// Its exporters no longer answer (agentless).
    ScrapeDown,
    /// They answer again (agentless).
    ScrapeUp,
    /// An operator takes it out.
    MaintenanceStarted,
    /// An operator, or the time they set, brings it back.
    MaintenanceEnded {
        /// Whether it can be reached at this moment.
        reachable: bool,
    },
    /// An approved task begins to write its disk.
    ReinstallStarted,
    /// An operator retires it, or it unregisters.
    Retired,
    /// An operator takes it back.
    Restored,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 15] = [
        Self::InstallerReported,
        Self::Enrolled,
        Self::Verified,
        Self::Connected,
        Self::InstallFailed,
        Self::InstallSilent,
        Self::HeartbeatLost,
        Self::ScrapeDown,
        Self::ScrapeUp,
        Self::MaintenanceStarted,
        Self::MaintenanceEnded { reachable: true },
        Self::MaintenanceEnded { reachable: false },
        Self::ReinstallStarted,
        Self::Retired,
        Self::Restored,
    ];

    /// What people read in a refusal.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::InstallerReported => "its installer reported",
            Self::Enrolled => "it enrolled",
            Self::Verified => "its registration was verified",
            Self::Connected => "its agent connected",
            Self::InstallFailed => "its installation failed",
            Self::InstallSilent => "its installation fell silent",
            Self::HeartbeatLost => "its heartbeat was lost",
            Self::ScrapeDown => "its exporters stopped answering",
            Self::ScrapeUp => "its exporters answer again",
            Self::MaintenanceStarted => "maintenance was asked for",
            Self::MaintenanceEnded { .. } => "its maintenance ended",
            Self::ReinstallStarted => "its disk is being installed anew",
            Self::Retired => "it was retired",
            Self::Restored => "it was restored",
        }
    }
}

/// The events a transition tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NodeEvent {
    /// It is known now.
    #[serde(rename = "node.registered")]
    Registered,
    /// Its installation began.
    #[serde(rename = "node.installation_started")]
    InstallationStarted,
    /// Its installation failed.
    #[serde(rename = "node.installation_failed")]
    InstallationFailed,
    /// It is reachable.
    #[serde(rename = "node.connected")]
    Connected,
    /// It is no longer reachable.
    #[serde(rename = "node.disconnected")]
    Disconnected,
    /// It was taken out.
    #[serde(rename = "node.maintenance_mode")]
    MaintenanceMode,
    /// It was brought back.
    #[serde(rename = "node.resumed")]
    Resumed,
    /// It was retired.
    #[serde(rename = "node.decommissioned")]
    Decommissioned,
}

impl NodeEvent {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registered => "node.registered",
            Self::InstallationStarted => "node.installation_started",
            Self::InstallationFailed => "node.installation_failed",
            Self::Connected => "node.connected",
            Self::Disconnected => "node.disconnected",
            Self::MaintenanceMode => "node.maintenance_mode",
            Self::Resumed => "node.resumed",
            Self::Decommissioned => "node.decommissioned",
        }
    }
}

/// What a trigger leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The node is in `to` now; tell these events, in this order.
    Moved {
        /// The status that follows.
        to: NodeStatus,
        /// What to tell.
        events: &'static [NodeEvent],
    },
    /// It is there already; nothing to write, nothing to tell.
    Stays,
}

/// Why a trigger is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node that is {} cannot move because {}", from.name(), trigger.describe())]
pub struct Refusal {
    /// The status the node is in.
    pub from: NodeStatus,
    /// What happened.
    pub trigger: Trigger,
}

/// The status and events of a node that is new: declared by an operator, or enrolled.
pub const fn first(enrolled: bool) -> (NodeStatus, &'static [NodeEvent]) {
    if enrolled {
        (
            NodeStatus::Installing,
            &[NodeEvent::Registered, NodeEvent::InstallationStarted],
        )
    } else {
        (NodeStatus::Pending, &[NodeEvent::Registered])
    }
}

/// The table.
pub const fn next(from: NodeStatus, trigger: Trigger) -> Result<Outcome, Refusal> {
    use NodeStatus::{Error, Inactive, Installing, Maintenance, Offline, Online, Pending};
    use Trigger as T;

    const fn moved(to: NodeStatus, events: &'static [NodeEvent]) -> Result<Outcome, Refusal> {
        Ok(Outcome::Moved { to, events })
    }

    match (from, trigger) {
        (Inactive, T::Restored) => moved(Pending, &[NodeEvent::Registered]),
        (Inactive, T::Retired) => Ok(Outcome::Stays),
        (Inactive, _) => Err(Refusal { from, trigger }),
        (_, T::Retired) => moved(Inactive, &[NodeEvent::Decommissioned]),

        (Installing, T::ReinstallStarted) => Ok(Outcome::Stays),
        (_, T::ReinstallStarted) => moved(Installing, &[NodeEvent::InstallationStarted]),

        (Pending | Error, T::InstallerReported | T::Enrolled) => {
            moved(Installing, &[NodeEvent::InstallationStarted])
        }
        // Bootstrap, repair or upgrade of a node at work changes no status: it is a run.
        (Installing | Online | Offline | Maintenance, T::InstallerReported | T::Enrolled) => {
            Ok(Outcome::Stays)
        }

        (Installing, T::Verified | T::Connected) => moved(Online, &[NodeEvent::Connected]),
        (Pending | Error, T::Verified | T::Connected) => {
            moved(Online, &[NodeEvent::InstallationStarted, NodeEvent::Connected])
        }
        (Offline, T::Connected | T::ScrapeUp | T::Verified) => moved(Online, &[NodeEvent::Connected]),
        (Online | Maintenance, T::Verified | T::Connected | T::ScrapeUp) => Ok(Outcome::Stays),

        (Installing, T::InstallFailed | T::InstallSilent) => moved(Error, &[NodeEvent::InstallationFailed]),
        (Error, T::InstallFailed | T::InstallSilent) => Ok(Outcome::Stays),
        // A failed repair of a node at work is a failed run, not a failed node.
        (Online | Offline | Maintenance, T::InstallFailed) => Ok(Outcome::Stays),

        (Online, T::HeartbeatLost | T::ScrapeDown) => moved(Offline, &[NodeEvent::Disconnected]),
        (Offline | Maintenance, T::HeartbeatLost | T::ScrapeDown) => Ok(Outcome::Stays),

        (Online | Offline, T::MaintenanceStarted) => moved(Maintenance, &[NodeEvent::MaintenanceMode]),
        (Maintenance, T::MaintenanceStarted) => Ok(Outcome::Stays),
        (Maintenance, T::MaintenanceEnded { reachable: true }) => moved(Online, &[NodeEvent::Resumed]),
        (Maintenance, T::MaintenanceEnded { reachable: false }) => moved(Offline, &[NodeEvent::Resumed]),
        (Online | Offline, T::MaintenanceEnded { .. }) => Ok(Outcome::Stays),

        (
            Pending | Installing | Online | Offline | Maintenance | Error,
            T::InstallFailed
            | T::InstallSilent
            | T::HeartbeatLost
            | T::ScrapeDown
            | T::ScrapeUp
            | T::MaintenanceStarted
            | T::MaintenanceEnded { .. }
            | T::Restored,
        ) => Err(Refusal { from, trigger }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A cell of the grid: `online C` where it leads and what is told, `.` where it stays, `x` where it is refused.
    fn cell(from: NodeStatus, trigger: Trigger) -> String {
        let letter = |event: &NodeEvent| match event {
            NodeEvent::Registered => 'R',
            NodeEvent::InstallationStarted => 'S',
            NodeEvent::InstallationFailed => 'F',
            NodeEvent::Connected => 'C',
            NodeEvent::Disconnected => 'D',
            NodeEvent::MaintenanceMode => 'M',
            NodeEvent::Resumed => 'B',
            NodeEvent::Decommissioned => 'G',
        };
        match next(from, trigger) {
            Ok(Outcome::Moved { to, events }) => {
                format!("{} {}", to.name(), events.iter().map(letter).collect::<String>())
            }
            Ok(Outcome::Stays) => ".".to_owned(),
            Err(_) => "x".to_owned(),
        }
    }

    #[test]
    fn the_table_of_the_design_holds_cell_by_cell() {
        use Trigger as T;
        let (begun, up, down) = ("installing S", "online C", "offline D");
        let (failed, out, gone) = ("error F", "maintenance M", "inactive G");
        let (at_once, back_up, back_down) = ("online SC", "online B", "offline B");
        // pending, installing, online, offline, maintenance, error, inactive
        let grid = [
            (T::InstallerReported, [begun, ".", ".", ".", ".", begun, "x"]),
            (T::Enrolled, [begun, ".", ".", ".", ".", begun, "x"]),
            (T::Verified, [at_once, up, ".", up, ".", at_once, "x"]),
            (T::Connected, [at_once, up, ".", up, ".", at_once, "x"]),
            (T::InstallFailed, ["x", failed, ".", ".", ".", ".", "x"]),
            (T::InstallSilent, ["x", failed, "x", "x", "x", ".", "x"]),
            (T::HeartbeatLost, ["x", "x", down, ".", ".", "x", "x"]),
            (T::ScrapeDown, ["x", "x", down, ".", ".", "x", "x"]),
            (T::ScrapeUp, ["x", "x", ".", up, ".", "x", "x"]),
            (T::MaintenanceStarted, ["x", "x", out, out, ".", "x", "x"]),
            (
                T::MaintenanceEnded { reachable: true },
                ["x", "x", ".", ".", back_up, "x", "x"],
            ),
            (
                T::MaintenanceEnded { reachable: false },
                ["x", "x", ".", ".", back_down, "x", "x"],
            ),
            (T::ReinstallStarted, [begun, ".", begun, begun, begun, begun, "x"]),
            (T::Retired, [gone, gone, gone, gone, gone, gone, "."]),
            (T::Restored, ["x", "x", "x", "x", "x", "x", "pending R"]),
        ];
        assert_eq!(grid.map(|(trigger, _)| trigger), Trigger::ALL);
        for (trigger, cells) in grid {
            for (from, wanted) in NodeStatus::ALL.into_iter().zip(cells) {
                assert_eq!(cell(from, trigger), wanted, "{from:?} {trigger:?}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_and_why() {
        let refusal = next(NodeStatus::Pending, Trigger::MaintenanceStarted).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "a node that is pending cannot move because maintenance was asked for"
        );
    }

    proptest! {
        #[test]
        fn a_trigger_repeated_changes_nothing_more(
            start in 0..NodeStatus::ALL.len(),
            story in proptest::collection::vec(0..Trigger::ALL.len(), 0..30),
        ) {
            let mut status = NodeStatus::ALL[start];
            for index in story {
                let trigger = Trigger::ALL[index];
                if let Ok(Outcome::Moved { to, events }) = next(status, trigger) {
                    prop_assert_ne!(to, status, "a move goes somewhere");
                    prop_assert!(!events.is_empty(), "a move is told");
                    status = to;
                    let again = next(status, trigger);
                    prop_assert!(!matches!(again, Ok(Outcome::Moved { .. })), "{:?} {:?}", status, trigger);
                }
            }
        }
    }
}
