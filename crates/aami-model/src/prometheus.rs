//! A Prometheus that is told what to alert on, and how far that is.
//!
//! The control plane says what a Prometheus should have (a bundle, named by its hash), and whoever runs beside it brings
//! it there: the control plane for the one on its own machine, else the agent of a node. What that one reports is a
//! [`Loading`]; wanted against loaded gives a [`RuleState`].

use serde::{Deserialize, Serialize};

use crate::{GroupId, NodeId, OrgId, PrometheusId, Timestamp};

/// What the Prometheus on the control plane's own machine is called.
pub const LOCAL: &str = "local";
/// At most this many an organisation has.
pub const MOST: usize = 256;
/// At most this many run on one node: its agent serves no more.
pub const MOST_ON_NODE: usize = 8;
/// At most this many groups one watches by name.
pub const MOST_GROUPS: usize = 64;
/// At most this many rules that cannot be evaluated are kept, and how long each is at most, in characters.
pub const MOST_FAILING: (usize, usize) = (20, 300);
/// The longest sentence of a report, in characters.
pub const LONGEST_SENTENCE: usize = 1000;

/// A Prometheus, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Prometheus {
    /// Its id, which follows from organisation and name.
    pub id: PrometheusId,
    /// The tenant it belongs to.
    pub org: OrgId,
    /// Unique within the tenant.
    pub name: String,
    /// Where it answers, as the control plane reaches it: `http://HOST:9090`.
    pub url: String,
    /// Where the Alertmanager it tells answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager_url: Option<String>,
    /// Whether it watches every tenant's nodes and the control plane itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
    /// The groups whose nodes it watches; all of the tenant's where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupId>,
    /// The node whose agent brings it its rules; the control plane does so on its own machine where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What became of bringing rules to a Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum LoadResult {
    /// It has loaded every one of them.
    Loaded,
    /// They are in their place, and nobody is there who would load them.
    Waiting,
    /// It did not take them; it has those from before.
    Failed,
}

/// What whoever delivers rules last said, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Loading {
    /// The bundle this is about.
    pub sha256: String,
    /// What became of it.
    pub result: LoadResult,
    /// When that was.
    pub at: Timestamp,
    /// The bundle it has; none where it never had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<String>,
    /// When it was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_at: Option<Timestamp>,
    /// The condition, where it is waiting or failed: `ALERT_RULES_NOT_LOADED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What is wrong, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Rules it has and cannot evaluate, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
}

/// What is wanted of a Prometheus against what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum RuleState {
    /// It has what is wanted.
    Loaded,
    /// It has not been told yet of what is wanted now.
    Pending,
    /// What is wanted lies in its place, and it is not there to load it.
    Waiting,
    /// It did not take what is wanted.
    Failed,
}

impl RuleState {
    /// Of a Prometheus that should have the bundle `wanted`.
    pub fn of(wanted: &str, last: Option<&Loading>) -> Self {
        match last {
            Some(last) if last.sha256 == wanted => match last.result {
                LoadResult::Loaded => Self::Loaded,
                LoadResult::Waiting => Self::Waiting,
                LoadResult::Failed => Self::Failed,
            },
            _ => Self::Pending,
        }
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_now_is_compared_with_what_was_last_tried() {
        let last = |sha256: &str, result| Loading {
            sha256: sha256.to_owned(),
            result,
            at: Timestamp::from_millis(1),
            loaded: None,
            loaded_at: None,
            code: None,
            sentence: None,
            failing: Vec::new(),
        };
        assert_eq!(RuleState::of("b", None), RuleState::Pending);
        for (result, state) in [
            (LoadResult::Loaded, RuleState::Loaded),
            (LoadResult::Waiting, RuleState::Waiting),
            (LoadResult::Failed, RuleState::Failed),
        ] {
            assert_eq!(RuleState::of("b", Some(&last("b", result))), state);
            assert_eq!(RuleState::of("b", Some(&last("a", result))), RuleState::Pending);
        }
    }
}
