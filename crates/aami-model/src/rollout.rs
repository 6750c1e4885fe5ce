//! What can happen to the update of a group's agents, and which node is next.
//!
//! A rollout is the wish that the agents of a group be one version. It begins with a few nodes, the canaries; only
//! when those have stood for a while the others follow, a bounded number at once. When too many of those that tried
//! had to go back to their old agent, it halts by itself and says why. [`next`] is the table of its states,
//! [`judge`] says what is due: both are pure, so a control plane that was restarted goes on where the stored state
//! and its nodes stand.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::version::{NotAVersion, Version};
use crate::{NodeId, Timestamp};

/// The most canaries.
pub const MOST_CANARIES: u32 = 1_000;
/// The most nodes updated at once.
pub const MOST_AT_ONCE: u32 = 500;
/// The longest that canaries are watched, in seconds: a week.
pub const LONGEST_SOAK: u32 = 7 * 24 * 3600;

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum RolloutStatus {
    /// The first nodes are updated and watched.
    Canary,
    /// The others follow.
    Rolling,
    /// An operator holds it.
    Paused,
    /// It stopped by itself: too many nodes went back to their old agent.
    Halted,
    /// Every node of the group has the version, but those that failed. A node that joins sets it rolling again, and so
    /// does an operator who wants those tried again.
    Done,
}

impl RolloutStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Canary,
        Self::Rolling,
        Self::Paused,
        Self::Halted,
        Self::Done,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Rolling => "rolling",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Done => "done",
        }
    }

    /// Whether nodes are told to update themselves.
    pub const fn is_moving(self) -> bool {
        matches!(self, Self::Canary | Self::Rolling)
    }
}

/// What happened to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RolloutTrigger {
    /// The canaries stood long enough.
    CanariesStood,
    /// Every node has the version.
    AllUpdated,
    /// A node without the version is in the group.
    NodeBehind,
    /// Too many nodes went back.
    TooManyFailed,
    /// An operator holds it.
    Paused,
    /// An operator lets it go on. What failed before is tried again.
    Resumed {
        /// Whether the canaries have stood already.
        past_canaries: bool,
    },
}

/// Where a trigger leads; `None` where it changes nothing. The reason says why it may not be.
pub const fn next(
    status: RolloutStatus,
    trigger: RolloutTrigger,
) -> Result<Option<RolloutStatus>, &'static str> {
    use RolloutStatus::{Canary, Done, Halted, Paused, Rolling};
    use RolloutTrigger as On;
    match (status, trigger) {
        (Canary, On::CanariesStood) | (Done, On::NodeBehind | On::Resumed { .. }) => Ok(Some(Rolling)),
        (Canary | Rolling, On::AllUpdated) => Ok(Some(Done)),
        (Canary | Rolling, On::TooManyFailed) => Ok(Some(Halted)),
        (Canary | Rolling, On::Paused) => Ok(Some(Paused)),
        (Paused | Halted, On::Resumed { past_canaries: true }) => Ok(Some(Rolling)),
        (Paused | Halted, On::Resumed { past_canaries: false }) => Ok(Some(Canary)),
        (Canary | Rolling, On::NodeBehind | On::Resumed { .. })
        | (Rolling | Done, On::CanariesStood)
        | (Done, On::AllUpdated)
        | (Halted, On::TooManyFailed)
        | (Paused, On::Paused) => Ok(None),
        (Halted, On::Paused) => Err("it has halted by itself already"),
        (Done, On::Paused) => Err("every node has the version; there is nothing to hold"),
        (Done, On::TooManyFailed) => Err("nothing is under way"),
        (Paused | Halted, On::CanariesStood | On::AllUpdated | On::NodeBehind)
        | (Paused, On::TooManyFailed) => Err("it is held, and goes on only at an operator's word"),
    }
}

/// How a rollout goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutPlan {
    /// The version the agents are to be.
    pub version: String,
    /// Whether they are to be exactly this one: then a newer agent goes back to it. Otherwise it is left alone.
    #[serde(default)]
    pub pinned: bool,
    /// How many nodes go first; 0 skips that.
    #[serde(default = "one")]
    pub canaries: u32,
    /// How long canaries have to stand before the others follow, in seconds.
    #[serde(default = "five_minutes")]
    pub soak_seconds: u32,
    /// How many nodes are updated at the same time.
    #[serde(default = "ten")]
    pub at_once: u32,
    /// It halts when more than this share of the nodes that tried went back, in percent. 0 halts at the first.
    #[serde(default = "ten")]
    pub max_failed_percent: u32,
}

const fn one() -> u32 {
    1
}

const fn ten() -> u32 {
    10
}

const fn five_minutes() -> u32 {
    300
}

/// Why a plan may not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolloutPlanError {
    /// The version is none.
    #[error(transparent)]
    Version(#[from] NotAVersion),
    /// A number out of its bounds.
    #[error("{0} must be {1} to {2}")]
    Bounds(&'static str, u32, u32),
}

impl RolloutPlan {
    /// A plan for a version, as careful as usual.
    pub fn to(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            pinned: false,
            canaries: one(),
            soak_seconds: five_minutes(),
            at_once: ten(),
            max_failed_percent: ten(),
        }
    }

    /// Checks it.
    pub fn check(&self) -> Result<(), RolloutPlanError> {
        self.version.parse::<Version>()?;
        for (member, given, least, most) in [
            ("canaries", self.canaries, 0, MOST_CANARIES),
            ("soak_seconds", self.soak_seconds, 0, LONGEST_SOAK),
            ("at_once", self.at_once, 1, MOST_AT_ONCE),
            ("max_failed_percent", self.max_failed_percent, 0, 100),
        ] {
            if !(least..=most).contains(&given) {
                return Err(RolloutPlanError::Bounds(member, least, most));
            }
        }
        Ok(())
    }

    /// Whether a node with this agent is where the plan wants it.
    pub fn is_met_by(&self, agent: &str) -> bool {
        if agent == self.version {
            return true;
        }
        let (Ok(wanted), Ok(agent)) = (self.version.parse::<Version>(), agent.parse::<Version>()) else {
            return false;
        };
        !self.pinned && !agent.is_older_than(&wanted)
    }
}

/// Where one node of the group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum NodeStanding {
    /// It took the update, and its agent is what it should be, and connected since then.
    Updated {
        /// Since when it is connected with it.
        since: Timestamp,
    },
    /// Its agent is what it should be already: that says nothing about the update.
    Untried,
    /// It was told, and has not said how that ended.
    Updating,
    /// It tried, and went back to its old agent, or refused; or it came up and was written off since.
    Failed,
    /// It is connected, and its turn has not come.
    Waiting,
    /// It is connected, and did not take what it was told.
    Silent {
        /// When it may be told again, after those whose turn has not come.
        until: Timestamp,
    },
    /// It came up with the update, and is not connected now: whoever goes on meanwhile may lose the next one as well.
    Lost,
    /// It is not connected: its turn comes when it is.
    Away,
}

/// How a rollout stands as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Tally {
    /// Nodes in the group that have an agent.
    pub nodes: u32,
    /// Those with the version.
    pub updated: u32,
    /// Those of them that had it already, and say nothing about the update.
    #[serde(default)]
    pub untried: u32,
    /// Those at work on it.
    pub updating: u32,
    /// Those that went back.
    pub failed: u32,
    /// Those whose turn has not come.
    pub waiting: u32,
    /// Those that did not take what they were told; they are told again.
    #[serde(default)]
    pub silent: u32,
    /// Those that came up with the version and are not connected now.
    #[serde(default)]
    pub lost: u32,
    /// Those that are not connected.
    pub away: u32,
}

impl Tally {
    /// Counts.
    pub fn of<'a>(standings: impl IntoIterator<Item = &'a NodeStanding>) -> Self {
        let mut tally = Self::default();
        for standing in standings {
            tally.nodes += 1;
            tally.untried += u32::from(*standing == NodeStanding::Untried);
            *match standing {
                NodeStanding::Updated { .. } | NodeStanding::Untried => &mut tally.updated,
                NodeStanding::Updating => &mut tally.updating,
                NodeStanding::Failed => &mut tally.failed,
                NodeStanding::Waiting => &mut tally.waiting,
                NodeStanding::Silent { .. } => &mut tally.silent,
                NodeStanding::Lost => &mut tally.lost,
                NodeStanding::Away => &mut tally.away,
            } += 1;
        }
        tally
    }

    /// Those that took the update and came up with it.
    const fn stands(&self) -> u32 {
        self.updated.saturating_sub(self.untried)
    }

    /// Those that took the update, however that ended.
    pub const fn tried(&self) -> u32 {
        self.stands() + self.failed
    }

    /// Whether more of those that tried went back than may.
    ///
    /// One failure among few tries is a large share: it stops a rollout early, where that costs least.
    pub const fn is_over(&self, max_failed_percent: u32) -> bool {
        self.failed > 0 && self.failed as u64 * 100 > self.tried() as u64 * max_failed_percent as u64
    }
}

/// How long a node is left alone that did not take what it was told so many times.
///
/// Each time twice as long, from half a minute to an hour: it takes a place among those that are under way.
pub fn silence_after(times: u32) -> Duration {
    let doubled = 30_u64.saturating_mul(1 << times.saturating_sub(1).min(16));
    Duration::from_secs(doubled.min(3600))
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Nothing but waiting, for the reason.
    Wait(&'static str),
    /// Something happened to the rollout.
    Move(RolloutTrigger),
    /// These nodes are to be told.
    Tell(Vec<NodeId>),
}

const SILENT: &str =
    "the nodes that are left are connected and did not take what they were told; they are told again";

const LOST: &str =
    "nodes that came up with the version are not connected; they come back, or are written off as failed";

/// Says what is due for a rollout that is in `status`, with its nodes in a stable order.
///
/// It never tells more nodes than may be under way at once, never tells a node again that took what it was told, never
/// goes past the canaries before as many of them as are wanted have stood for the whole time, and tells nobody once
/// too many failed. A node that came up and is not connected any more keeps its place among those that are under way.
/// A node that does not take what it is told holds nobody up: others go first.
pub fn judge(
    plan: &RolloutPlan,
    status: RolloutStatus,
    nodes: &[(NodeId, NodeStanding)],
    now: Timestamp,
) -> Due {
    let tally = Tally::of(nodes.iter().map(|(_, standing)| standing));
    let due_again = |standing: &NodeStanding| match standing {
        NodeStanding::Silent { until } => (*until <= now).then_some(*until),
        NodeStanding::Updated { .. }
        | NodeStanding::Untried
        | NodeStanding::Updating
        | NodeStanding::Failed
        | NodeStanding::Waiting
        | NodeStanding::Lost
        | NodeStanding::Away => None,
    };
    let has_candidate = tally.waiting > 0 || nodes.iter().any(|(_, standing)| due_again(standing).is_some());
    match status {
        RolloutStatus::Paused => return Due::Wait("an operator holds it"),
        RolloutStatus::Halted => return Due::Wait("it halted; an operator has to look"),
        RolloutStatus::Done if has_candidate || tally.updating > 0 => {
            return Due::Move(RolloutTrigger::NodeBehind);
        }
        RolloutStatus::Done if tally.silent > 0 => return Due::Wait(SILENT),
        RolloutStatus::Done => return Due::Wait("every node that is connected has the version"),
        RolloutStatus::Canary | RolloutStatus::Rolling => {}
    }
    if tally.is_over(plan.max_failed_percent) {
        return Due::Move(RolloutTrigger::TooManyFailed);
    }
    let choose = |count: u32| -> Vec<NodeId> {
        let waiting = nodes
            .iter()
            .filter(|(_, standing)| *standing == NodeStanding::Waiting);
        let mut again: Vec<(Timestamp, &NodeId)> = nodes
            .iter()
            .filter_map(|(id, standing)| Some((due_again(standing)?, id)))
            .collect();
        again.sort();
        let all = waiting
            .map(|(id, _)| id)
            .chain(again.into_iter().map(|(_, id)| id));
        all.take(count as usize).cloned().collect()
    };
    let room = plan.at_once.saturating_sub(tally.updating + tally.lost);
    if status == RolloutStatus::Canary {
        let soak = Duration::from_secs(plan.soak_seconds.into());
        let stood = nodes.iter().filter(|(_, standing)| match standing {
            NodeStanding::Updated { since } => *since <= now && now.since(*since) >= soak,
            NodeStanding::Untried
            | NodeStanding::Updating
            | NodeStanding::Failed
            | NodeStanding::Waiting
            | NodeStanding::Silent { .. }
            | NodeStanding::Lost
            | NodeStanding::Away => false,
        });
        let stood = u32::try_from(stood.count()).unwrap_or(u32::MAX);
        // A group of fewer nodes than canaries is all canaries; one that takes nothing is none.
        let begun = tally.stands() + tally.updating + tally.lost;
        let wanted = plan.canaries.min(begun + tally.waiting);
        let is_all_there =
            tally.updated > 0 && tally.updating + tally.waiting + tally.silent + tally.lost == 0;
        if stood >= wanted && (stood > 0 || is_all_there || plan.canaries == 0) {
            return Due::Move(RolloutTrigger::CanariesStood);
        }
        let chosen = choose(plan.canaries.saturating_sub(begun).min(room));
        return if !chosen.is_empty() {
            Due::Tell(chosen)
        } else if tally.updating > 0 {
            Due::Wait("the first nodes update themselves")
        } else if tally.lost > 0 {
            Due::Wait(LOST)
        } else if begun == 0 && tally.silent > 0 {
            Due::Wait(SILENT)
        } else if begun == 0 {
            Due::Wait("no node of the group is connected")
        } else {
            Due::Wait("the first nodes are watched for a while")
        };
    }
    let chosen = choose(room);
    if !chosen.is_empty() {
        Due::Tell(chosen)
    } else if tally.updating + tally.waiting > 0 {
        Due::Wait("as many nodes as may update themselves at once do")
    } else if tally.lost > 0 {
        Due::Wait(LOST)
    } else if tally.silent > 0 {
        Due::Wait(SILENT)
    } else if tally.updated > 0 {
        Due::Move(RolloutTrigger::AllUpdated)
    } else {
        Due::Wait("no node of the group is connected")
    }
}

#[cfg(test)]
mod tests;
