//! How the agents of a group's nodes are to behave.

use serde::{Deserialize, Serialize};

/// How often a heartbeat may be sent, in seconds.
pub const HEARTBEATS: (u32, u32) = (5, 300);
/// How often resources may be looked at, in seconds.
pub const RESOURCES: (u32, u32) = (10, 3600);

/// How agents behave. What is absent is left to what each agent does by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AgentConfig {
    /// How often to send a heartbeat, in seconds: 5 to 300, and at most half of the control plane's timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_seconds: Option<u32>,
    /// How often resources go along, in seconds: 10 to 3600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources_seconds: Option<u32>,
    /// Whether to look for exporters that somebody else runs on the node; they are offered, never enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discover: Option<bool>,
}

/// Why it may not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member} must be {least} to {most}")]
pub struct AgentConfigError {
    /// Which member.
    pub member: &'static str,
    /// The least it may be.
    pub least: u32,
    /// The most it may be.
    pub most: u32,
}

impl AgentConfig {
    /// Checks the bounds. `timeout_seconds` is how long a node may be silent: half of it is the longest between two
    /// heartbeats, or a node that is well would count as gone.
    pub fn check(&self, timeout_seconds: u32) -> Result<(), AgentConfigError> {
        let longest = (timeout_seconds / 2).clamp(HEARTBEATS.0, HEARTBEATS.1);
        for (member, given, (least, most)) in [
            (
                "heartbeat_seconds",
                self.heartbeat_seconds,
                (HEARTBEATS.0, longest),
            ),
            ("resources_seconds", self.resources_seconds, RESOURCES),
        ] {
            if given.is_some_and(|given| !(least..=most).contains(&given)) {
                return Err(AgentConfigError { member, least, most });
            }
        }
        Ok(())
    }

    /// Whether nothing is said.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// This one, with what another says above it.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        Self {
            heartbeat_seconds: over.heartbeat_seconds.or(self.heartbeat_seconds),
            resources_seconds: over.resources_seconds.or(self.resources_seconds),
            discover: over.discover.or(self.discover),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_never_so_rare_that_a_node_would_count_as_gone() {
        let every = |seconds| AgentConfig {
            heartbeat_seconds: Some(seconds),
            ..AgentConfig::default()
        };
        assert!(every(60).check(120).is_ok());
        assert_eq!(every(61).check(120).unwrap_err().most, 60);
        assert!(every(4).check(120).is_err() && every(301).check(7200).is_err());
        assert!(every(5).check(4).is_ok(), "the least is always allowed");
        assert!(AgentConfig::default().check(0).is_ok());
    }

    #[test]
    fn what_stands_above_wins_and_leaves_the_rest() {
        let below = AgentConfig {
            heartbeat_seconds: Some(30),
            discover: Some(false),
            ..AgentConfig::default()
        };
        let above = AgentConfig {
            heartbeat_seconds: Some(10),
            resources_seconds: Some(60),
            ..AgentConfig::default()
        };
        let both = below.overlaid(&above);
        assert_eq!(both.heartbeat_seconds, Some(10));
        assert_eq!(both.resources_seconds, Some(60));
        assert_eq!(both.discover, Some(false));
        assert!(AgentConfig::default().is_silent() && !both.is_silent());
    }
}
