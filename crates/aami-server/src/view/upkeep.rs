//! The part of the picture that upkeep fills: bulk actions with what came of each node, what Alertmanager was
//! told about nodes in maintenance, and what destinations of events missed.

use std::net::IpAddr;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use aami_model::batch::{Batch, NodeResult};
use aami_model::silence::SilenceState;
use aami_model::{BatchId, NodeId, OrgId, Timestamp, WebhookId};
use aami_store::{Entry, Key};
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use super::document::{DocumentError, decode};
use super::linked::Packed;
use super::snapshot::Held;
use super::table::{Table, apply, held};

/// What came of some nodes of a batch, packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageDocument {
    packed: Packed,
}

impl PageDocument {
    pub(crate) fn of(results: &[NodeResult]) -> Self {
        let bytes = serde_json::to_vec(results).unwrap_or_default();
        Self {
            packed: Packed::of(&bytes),
        }
    }

    pub(crate) fn results(&self) -> Vec<NodeResult> {
        serde_json::from_slice(&self.packed.bytes()).unwrap_or_default()
    }
}

/// What Alertmanager was last told about a node, written before it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SilenceDocument {
    pub(crate) state: SilenceState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) since: Timestamp,
    /// When it ends by itself, by our clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    /// Whose node it is.
    #[serde(default)]
    pub(crate) org: OrgId,
    /// The address whose alerts it silences besides, where they say no node; absent where others have it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    /// What it was to say.
    pub(crate) comment: String,
    /// The maintenance's own end, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ends: Option<Timestamp>,
}

impl SilenceDocument {
    /// Whether it says the same of the same alerts, and ends with the same maintenance.
    pub(crate) fn says(&self, other: &Self) -> bool {
        self.is_of_place(other) && (&self.comment, self.ends) == (&other.comment, other.ends)
    }

    /// Whether it silences the alerts of the same place.
    pub(crate) fn is_of_place(&self, other: &Self) -> bool {
        (self.address, &self.org) == (other.address, &other.org)
    }
}

/// `cursors/{destination}/lost`: up to where a destination was told that events are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostDocument {
    pub(crate) through: u64,
}

/// Bulk actions, silences, and what destinations missed.
#[derive(Clone, Default)]
pub(crate) struct Upkeep {
    batches: Table<BatchId, Batch>,
    open: OrdSet<BatchId>,
    pages: OrdMap<(BatchId, u32), Arc<PageDocument>>,
    silences: Table<NodeId, SilenceDocument>,
    lost: Table<WebhookId, LostDocument>,
}

impl Upkeep {
    pub(crate) fn batch(&self, id: &BatchId) -> Option<&Arc<Held<Batch>>> {
        self.batches.get(id)
    }

    /// All of them, the newest first, from before `before` on.
    pub(crate) fn batches(&self, before: Option<&BatchId>) -> impl Iterator<Item = &Arc<Held<Batch>>> {
        let to = before.map_or(Unbounded, |id| Excluded(id.clone()));
        self.batches.range((Unbounded, to)).rev().map(|(_, held)| held)
    }

    /// Those of which something is left to be done or noted, the oldest first.
    pub(crate) fn open(&self) -> impl Iterator<Item = &BatchId> {
        self.open.iter()
    }

    /// What came of some nodes of a batch.
    pub(crate) fn page(&self, id: &BatchId, page: u32) -> Option<&Arc<PageDocument>> {
        self.pages.get(&(id.clone(), page))
    }

    /// How many pages of results are kept in all.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The numbers of a batch's pages, in order.
    pub(crate) fn pages_of<'a>(&'a self, id: &'a BatchId) -> impl Iterator<Item = u32> + 'a {
        let own = self.pages.range((id.clone(), 0)..);
        own.take_while(move |((of, _), _)| of == id)
            .map(|((_, page), _)| *page)
    }

    pub(crate) fn silence(&self, node: &NodeId) -> Option<&Arc<Held<SilenceDocument>>> {
        self.silences.get(node)
    }

    pub(crate) fn silences(&self) -> impl Iterator<Item = (&NodeId, &Arc<Held<SilenceDocument>>)> {
        self.silences.iter()
    }

    /// Up to where a destination was told that events are gone.
    pub(crate) fn lost(&self, destination: &WebhookId) -> Option<&Arc<Held<LostDocument>>> {
        self.lost.get(destination)
    }

    /// Takes in a change under `batches/`.
    pub(super) fn apply_batch(
        &mut self,
        key: &Key,
        id: &str,
        page: Option<&str>,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        let Ok(id) = id.parse::<BatchId>() else {
            return Ok(());
        };
        match (page.map(str::parse), entry) {
            (Some(Ok(page)), Some(entry)) => {
                self.pages
                    .insert((id, page), Arc::new(decode(key, &entry.value)?));
            }
            (Some(Ok(page)), None) => {
                self.pages.remove(&(id, page));
            }
            (Some(Err(_)), _) => {}
            (None, Some(entry)) => {
                let doc: Batch = decode(key, &entry.value)?;
                if doc.is_open() {
                    self.open.insert(id.clone());
                } else {
                    self.open.remove(&id);
                }
                self.batches.insert(id, held(entry, doc));
            }
            (None, None) => {
                self.open.remove(&id);
                self.batches.remove(&id);
            }
        }
        Ok(())
    }

    /// Takes in a change under `silences/`.
    pub(super) fn apply_silence(
        &mut self,
        key: &Key,
        id: &str,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        apply(&mut self.silences, key, id, entry)
    }

    /// Takes in a change of what a destination missed.
    pub(super) fn apply_lost(
        &mut self,
        key: &Key,
        id: &str,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        apply(&mut self.lost, key, id, entry)
    }
}
