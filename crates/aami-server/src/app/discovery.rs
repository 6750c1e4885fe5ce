//! Service discovery: the catalogue of `aami-monitor`, kept in step with the view.
//!
//! The feed only notes which nodes changed; they are rendered when somebody asks, together, so that a
//! burst of registrations costs one rendering each and an answer is never older than the view.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aami_model::NodeId;
use aami_model::access::Orgs;
use aami_model::label::Labels;
use aami_model::node::Node;
use aami_monitor::{Answer, Catalogue, Change, Listed, Selection, Shape};
use aami_store::Revision;

use crate::view::feed::Follower;
use crate::view::snapshot::Touched;
use crate::view::{Snapshot, View};

/// Nodes whose rendering takes longer than starting a thread, by far.
const WORTH_A_THREAD: usize = 4096;

/// What Prometheus is told.
pub(crate) struct Discovery {
    cluster: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    catalogue: Catalogue,
    dirty: Dirty,
    /// The picture the newest note is about; it may be shown a moment after it was noted.
    noted: Revision,
    asked: Option<Instant>,
}

#[derive(Default)]
enum Dirty {
    #[default]
    Everything,
    Nodes(BTreeSet<NodeId>),
}

impl Discovery {
    pub(crate) fn new(cluster: String) -> Self {
        Self {
            cluster,
            state: Mutex::default(),
        }
    }

    /// `http_sd` and `file_sd`.
    pub(crate) fn targets(&self, view: &View, shape: Shape, selection: &Selection) -> Answer {
        self.caught_up(view).catalogue.discovery(shape, selection)
    }

    /// Notes that a Prometheus asked. Whoever only looks at what it is told is not noted: who looks why nothing is
    /// scraped must not be taken for a Prometheus that lives.
    pub(crate) fn was_asked(&self) {
        self.lock().asked = Some(Instant::now());
    }

    /// The same for our own file, which nobody asked for; with the number that grows with each change.
    pub(crate) fn file(&self, view: &View, shape: Shape) -> (u64, Answer) {
        let mut state = self.caught_up(view);
        let answer = state.catalogue.discovery(shape, &Selection::all(Orgs::All));
        (state.catalogue.generation(), answer)
    }

    /// `aami_node_info`, one line a node.
    pub(crate) fn node_info(&self, view: &View, orgs: Orgs) -> Answer {
        self.caught_up(view).catalogue.node_info(&Selection::all(orgs))
    }

    /// How long ago a Prometheus asked.
    pub(crate) fn asked_ago(&self) -> Option<Duration> {
        self.lock().asked.map(|at| at.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is kept here can be rendered anew at any time, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caught_up(&self, view: &View) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        // Only now: while the lock was waited for, the picture may have moved on, and its notes with it.
        let snapshot = &*view.current();
        let dirty = std::mem::replace(&mut state.dirty, Dirty::Nodes(BTreeSet::new()));
        match &dirty {
            Dirty::Everything => {
                let mut catalogue = Catalogue::new();
                catalogue.apply(self.everything(snapshot));
                state.catalogue = catalogue;
            }
            Dirty::Nodes(nodes) => {
                let all = Orgs::All;
                let changes = nodes
                    .iter()
                    .map(|id| self.change(snapshot, id, snapshot.node(id, &all).map(|held| &held.doc)));
                state.catalogue.apply(changes);
            }
        }
        // What was noted for a picture that is not shown yet was rendered as it was before: once more then.
        if snapshot.revision < state.noted {
            state.dirty = dirty;
        }
        state
    }

    /// Every node, rendered on all cores: whoever asks first waits for this.
    fn everything(&self, snapshot: &Snapshot) -> Vec<Change> {
        let all = Orgs::All;
        let nodes: Vec<&Node> = snapshot.nodes(&all, None).map(|held| &held.doc).collect();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let each = nodes.len().div_ceil(cores).max(WORTH_A_THREAD);
        let render = |nodes: &[&Node]| -> Vec<Change> {
            let changes = nodes
                .iter()
                .map(|node| self.change(snapshot, &node.id, Some(node)));
            changes.collect()
        };
        std::thread::scope(|scope| {
            let mut shares = nodes.chunks(each);
            let own = shares.next().unwrap_or_default();
            let others: Vec<_> = shares
                .map(|share| {
                    (
                        share,
                        std::thread::Builder::new().spawn_scoped(scope, move || render(share)),
                    )
                })
                .collect();
            let mut changes = render(own);
            for (share, thread) in others {
                // A thread that cannot be had, or that panicked, leaves its share to us.
                match thread.ok().and_then(|thread| thread.join().ok()) {
                    Some(more) => changes.extend(more),
                    None => changes.extend(render(share)),
                }
            }
            changes
        })
    }

    fn change(&self, snapshot: &Snapshot, id: &NodeId, node: Option<&Node>) -> Change {
        let listed = node.and_then(|node| {
            let all = Orgs::All;
            let groups = node.groups.iter().filter_map(|group| snapshot.group(group, &all));
            let labels = groups.fold(Labels::default(), |labels, held| {
                labels.overlaid(&held.doc.labels)
            });
            Listed::of(&self.cluster, node, &labels)
        });
        Change::of(id, listed)
    }
}

impl Follower for Discovery {
    fn reset(&self, snapshot: &Snapshot) {
        let mut state = self.lock();
        (state.dirty, state.noted) = (Dirty::Everything, snapshot.revision);
    }

    fn changed(&self, snapshot: &Snapshot, touched: &Touched) {
        let mut state = self.lock();
        state.noted = snapshot.revision;
        if let Dirty::Nodes(dirty) = &mut state.dirty {
            dirty.extend(touched.nodes.iter().cloned());
            if !touched.groups.is_empty() {
                let all = Orgs::All;
                let members = snapshot
                    .nodes(&all, None)
                    .filter(|held| held.doc.groups.iter().any(|group| touched.groups.contains(group)));
                dirty.extend(members.map(|held| held.doc.id.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_store::{Txn, keys};
    use serde_json::json;

    use super::*;
    use crate::view::document::encode;
    use crate::view::feed;

    #[tokio::test]
    async fn who_asks_between_the_note_and_its_picture_does_not_use_up_the_note() {
        // Given a picture, and the next one with a node in it.
        let store = aami_store::open("memory:").await.unwrap();
        let before = feed::read(&store).await.unwrap();
        let id = NodeId::from_random([7; 10]);
        let node: Node = serde_json::from_value(json!({
            "id": id, "org": "default", "hostname": "gpu-01", "ip_address": "192.0.2.7",
            "address_pinned": false, "status": "online", "status_since": "2026-01-01T00:00:00.000Z",
            "reachable": true, "created_at": "2026-01-01T00:00:00.000Z",
            "exporters": [{ "type": "node_exporter", "port": 9100, "metrics_path": "/metrics", "enabled": true }],
        }))
        .unwrap();
        let outcome = store
            .txn(Txn::new().put(keys::node(&id), encode(&node)))
            .await
            .unwrap();
        assert!(matches!(outcome, aami_store::TxnOutcome::Committed(_)));
        let after = feed::read(&store).await.unwrap();
        let discovery = Discovery::new("c".to_owned());
        let count = |view: &View| {
            discovery
                .targets(view, Shape::Flat, &Selection::all(Orgs::All))
                .targets()
        };
        assert_eq!(count(&before), 0);

        // When it is noted, and somebody asks who is shown the picture before it,
        let touched = Touched {
            nodes: BTreeSet::from([id]),
            ..Touched::default()
        };
        discovery.changed(&after.current(), &touched);
        assert_eq!(count(&before), 0);

        // Then the next one to ask is told.
        assert_eq!(count(&after), 1);
    }
}
