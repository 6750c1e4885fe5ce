//! What is different between two pictures of the view, as frames with their numbers.

use aami_model::event::MOST_EVENTS_A_TRANSACTION;
use aami_model::run::RunStatus;
use aami_model::{OrgId, RunId};
use aami_store::Revision;
use serde_json::Value;

use super::frame::Draft;
use super::rows;
use crate::app::events::newest;
use crate::view::Snapshot;
use crate::view::changes::Changed;

/// What is different.
#[derive(Default)]
pub(super) struct Changes {
    /// Frames with their numbers, ascending.
    pub(super) frames: Vec<(u64, Draft)>,
    /// These runs are at work, and may have come further.
    pub(super) at_work: Vec<RunId>,
    /// These are over.
    pub(super) over: Vec<RunId>,
    /// Whether keys were made or revoked.
    pub(super) keys: bool,
}

/// Compares two pictures. What did not change between them is not looked at.
pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Changes {
    let mut changes = Changes {
        keys: before.keys_differ(after),
        ..Changes::default()
    };
    let mut found: Vec<(Revision, Draft)> = Vec::new();
    // When something was removed is not known any more: by now it was.
    let last = after.revision;
    for change in before.nodes_changed(after) {
        match change {
            Changed::Now(_, held) => found.push((held.revision, rows::node(&held.doc))),
            Changed::Gone(id, held) => found.push((last, rows::node_gone(id, held.doc.org.clone()))),
        }
    }
    for change in before.runs_changed(after) {
        match change {
            Changed::Now(id, held) => {
                let run = &held.doc;
                found.push((held.revision, rows::run(run)));
                if run.status == RunStatus::Running {
                    changes.at_work.push(id.clone());
                } else {
                    changes.over.push(id.clone());
                }
            }
            Changed::Gone(id, held) => {
                changes.over.push(id.clone());
                if !held.doc.status.is_final() {
                    found.push((last, rows::run_gone(id, held.doc.org.clone())));
                }
            }
        }
    }
    for change in before.inventories_changed(after) {
        if let Changed::Now(id, held) = change
            && let Some(node) = after.node(id, &aami_model::access::Orgs::All)
        {
            let inventory: Value = serde_json::from_slice(&held.doc.packed.bytes()).unwrap_or_default();
            let org: OrgId = node.doc.org.clone();
            found.push((held.revision, rows::hardware(id, org, &inventory)));
        }
    }
    found.sort_by_key(|(revision, _)| *revision);
    changes.frames = numbered(found, after);
    changes
}

/// Gives the frames of each revision the last numbers it has; its events have the first.
fn numbered(found: Vec<(Revision, Draft)>, after: &Snapshot) -> Vec<(u64, Draft)> {
    let behind = |revision: Revision| {
        newest(after) - (after.revision.get() - revision.get()) * MOST_EVENTS_A_TRANSACTION
    };
    let mut frames: Vec<(u64, Draft)> = Vec::with_capacity(found.len());
    // From behind, so that the last frame of a revision has its last number.
    let mut number = u64::MAX;
    for (revision, draft) in found.into_iter().rev() {
        let (last, first) = (
            behind(revision),
            behind(revision) - (MOST_EVENTS_A_TRANSACTION - 1),
        );
        number = if number > last {
            last
        } else {
            (number - 1).max(first)
        };
        frames.push((number, draft));
    }
    frames.reverse();
    frames
}

#[cfg(test)]
mod tests {
    use aami_api::dashboard::{Plane, What};

    use super::super::frame::Stay;
    use super::*;

    #[test]
    fn frames_of_one_revision_have_numbers_of_their_own_behind_its_events() {
        let mut after = Snapshot::default();
        after.revision = Revision::new(9);
        let draft = || Draft::new(None, OrgId::default(), Stay::Passing, Plane::State, &What::Synced);
        let found = [5, 7, 7, 7, 9, 9].map(|n| (Revision::new(n), draft())).into();
        let numbers: Vec<u64> = numbered(found, &after).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!(numbers, [383, 509, 510, 511, 638, 639]);
        assert_eq!(newest(&after), 639);
        // More than there are numbers: they share the first, and still do not go back.
        let many = vec![7; 100]
            .into_iter()
            .map(|n| (Revision::new(n), draft()))
            .collect();
        let numbers: Vec<u64> = numbered(many, &after).into_iter().map(|(seq, _)| seq).collect();
        assert_eq!((numbers[0], numbers[99]), (448, 511));
        assert!(numbers.is_sorted());
    }
}
