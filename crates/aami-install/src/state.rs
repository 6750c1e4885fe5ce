//! `state.json`: how far a run came, for people, programs and `--status`.
//!
//! A projection, never the truth: a run probes the host whatever stands here, and the file may be
//! lost or torn without harm. Version 1.0 of the document:
//! `{version, cluster_name, started_at, updated_at, steps: {id: {status, started_at, completed_at,
//! attempts, error}}}`, steps in the order of the plan.

use std::fmt;

use aami_model::Timestamp;
use aami_model::run::StepStatus;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::root::{Attributes, FsError, Root};
use crate::tracking::Folder;

/// A state file larger than this is none.
const LIMIT: u64 = 4 << 20;

/// How far the runs of one plan came on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// `1.0`.
    pub version: String,
    /// The cluster.
    pub cluster_name: String,
    /// When the first run began.
    pub started_at: Timestamp,
    /// When something last changed.
    pub updated_at: Timestamp,
    /// In the order of the plan.
    pub steps: Steps,
}

/// The steps of a [`State`], in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<(String, StepState)>);

/// How far one step came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepState {
    /// Its status; `in_progress` in a file without a run means "unknown".
    pub status: StepStatus,
    /// When it was last begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was found to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How often it was begun.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// Why it failed: `CODE: sentence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl State {
    /// Nothing begun.
    pub fn new<'a>(cluster: &str, now: Timestamp, steps: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            version: "1.0".to_owned(),
            cluster_name: cluster.to_owned(),
            started_at: now,
            updated_at: now,
            steps: Steps(
                steps
                    .into_iter()
                    .map(|id| (id.to_owned(), StepState::default()))
                    .collect(),
            ),
        }
    }

    /// The same with exactly the steps of a plan: what is known of them stays, others go.
    #[must_use]
    pub(crate) fn for_steps<'a>(mut self, steps: impl IntoIterator<Item = &'a str>) -> Self {
        let known = std::mem::take(&mut self.steps);
        let state = |id: &str| known.get(id).cloned().unwrap_or_default();
        self.steps = Steps(steps.into_iter().map(|id| (id.to_owned(), state(id))).collect());
        self
    }

    /// What `folder` holds; `None` where it is missing, torn or of another version.
    pub(crate) fn load(root: &Root, folder: &Folder) -> Option<Self> {
        let bytes = root.read(folder.state(), LIMIT).ok()??;
        serde_json::from_slice::<Self>(&bytes)
            .ok()
            .filter(|state| state.version == "1.0")
    }

    /// Replaces the file. Not made durable: it can be rebuilt.
    pub(crate) fn store(&self, root: &Root, folder: &Folder) -> Result<(), FsError> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        root.replace(folder.state(), &mut bytes.as_slice(), Attributes::PRIVATE, false)
    }
}

impl Steps {
    /// The state of the step `id`.
    pub fn get(&self, id: &str) -> Option<&StepState> {
        self.0
            .iter()
            .find(|(known, _)| known == id)
            .map(|(_, state)| state)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> &mut StepState {
        let at = self
            .0
            .iter()
            .position(|(known, _)| known == id)
            .unwrap_or_else(|| {
                self.0.push((id.to_owned(), StepState::default()));
                self.0.len() - 1
            });
        &mut self.0[at].1
    }
}

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (id, state) in &self.0 {
            map.serialize_entry(id, state)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Steps;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of steps")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Steps, M::Error> {
                let mut steps = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    steps.push(entry);
                }
                Ok(Steps(steps))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_form_is_read_and_kept_in_order() {
        let text = r#"{"version":"1.0","cluster_name":"o11y-dev","started_at":"2024-01-22T15:30:00Z",
            "updated_at":"2024-01-22T15:35:00Z","steps":{
            "preflight":{"status":"completed","completed_at":"2024-01-22T15:30:05Z"},
            "cluster_create":{"status":"in_progress","started_at":"2024-01-22T15:32:31Z","attempts":1},
            "apply":{"status":"pending"}}}"#;
        let state: State = serde_json::from_str(text).unwrap();
        let ids: Vec<_> = state.steps.0.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["preflight", "cluster_create", "apply"]);
        assert_eq!(state.steps.get("cluster_create").unwrap().attempts, 1);
        let again = serde_json::to_string(&state).unwrap();
        assert!(again.contains(r#""apply":{"status":"pending"}"#), "{again}");
        assert_eq!(serde_json::from_str::<State>(&again).unwrap(), state);
    }

    #[test]
    fn a_changed_plan_keeps_what_is_known() {
        let mut state = State::new("default", Timestamp::EPOCH, ["a", "b"]);
        state.steps.get_mut("b").status = StepStatus::Completed;
        let state = state.for_steps(["b", "c"]);
        assert_eq!(state.steps.get("b").unwrap().status, StepStatus::Completed);
        assert_eq!(state.steps.get("a"), None);
        assert_eq!(state.steps.get("c").unwrap().status, StepStatus::Pending);
    }
}
