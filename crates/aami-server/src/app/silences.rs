//! Silences: what Alertmanager should be told about nodes in maintenance, and what it was told.
//!
//! What should be is read off the nodes: one in maintenance is silenced until its end, one that is not is not. What
//! was told stands in a document a node, written before Alertmanager is told, so that whoever leads next knows what is
//! to be taken back. A node's transition waits for none of this.

use std::time::Duration;

use aami_model::access::{Caller, Orgs};
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::silence::{Silence, SilenceState};
use aami_model::{NodeId, Timestamp};
use aami_store::{Revision, keys};

use super::commit::{Change, Wanted};
use super::{App, Asking, Refusal};
use crate::services::ServiceError;
use crate::services::alertmanager::{Alertmanager, matchers};
use crate::view::Snapshot;
use crate::view::document::encode;
use crate::view::upkeep::SilenceDocument;

/// How long a silence lasts of a maintenance that has no end. It is extended when half of that is over: where the
/// control plane is gone for good, alerts come back by themselves.
const HORIZON: Duration = Duration::from_secs(24 * 3600);

/// What is to be told about a node.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    pub(crate) node: NodeId,
    /// What it was told before, with the document's revision.
    before: Option<(SilenceDocument, Revision)>,
    /// What it should be from now on; not silent where absent.
    wanted: Option<SilenceDocument>,
}

impl Errand {
    /// Whether nothing but a look is needed: it was told all of this.
    pub(crate) fn is_told(&self) -> bool {
        match (&self.before, &self.wanted) {
            (Some((before, _)), Some(wanted)) => {
                before.state == SilenceState::Active && before.says(wanted) && before.until == wanted.until
            }
            (None, None) => true,
            _ => false,
        }
    }
}

/// What should be told about a node in maintenance; nothing about one whose end is over, which comes back by itself.
fn wanted(node: &Node, now: Timestamp) -> Option<SilenceDocument> {
    let ends = node.maintenance_until;
    if node.status != NodeStatus::Maintenance || ends.is_some_and(|ends| ends <= now) {
        return None;
    }
    let why = node.status_reason.as_deref().unwrap_or("no reason was given");
    Some(SilenceDocument {
        state: SilenceState::Pending,
        reason: None,
        since: now,
        until: Some(ends.unwrap_or_else(|| now.plus(HORIZON))),
        address: node.ip_address,
        comment: format!("{} is in maintenance: {why}", node.hostname),
        ends,
    })
}

impl App {
    /// The silence of a node as people are told.
    pub(crate) fn silence_of(&self, snapshot: &Snapshot, node: &Node) -> Option<Silence> {
        self.services.alertmanager.as_ref()?;
        let told = snapshot.upkeep.silence(&node.id).map(|held| &held.doc);
        match (node.status == NodeStatus::Maintenance, told) {
            (false, None) => None,
            (true, None) => Some(Silence {
                state: SilenceState::Pending,
                reason: None,
                since: node.status_since,
                until: None,
            }),
            (in_maintenance, Some(told)) => Some(Silence {
                state: match told.state {
                    SilenceState::Active | SilenceState::Pending if !in_maintenance => SilenceState::Ending,
                    state => state,
                },
                reason: told.reason.clone(),
                since: told.since,
                until: told.until.filter(|_| told.state == SilenceState::Active),
            }),
        }
    }

    /// About which nodes Alertmanager is, or was, to be told.
    pub(crate) fn silence_errands(&self) -> Vec<Errand> {
        let snapshot = self.view.current();
        let now = self.world.now();
        let errand = |node: &Node| {
            let mut wanted = wanted(node, now)?;
            let before = snapshot.upkeep.silence(&node.id);
            let until = before.and_then(|held| held.doc.until).filter(|until| {
                // Long enough to leave it as it is.
                wanted.ends.is_none() && until.since(now) >= HORIZON / 2
            });
            wanted.until = until.or(wanted.until);
            Some(Errand {
                node: node.id.clone(),
                before: before.map(|held| (held.doc.clone(), held.revision)),
                wanted: Some(wanted),
            })
        };
        let mut errands: Vec<Errand> = snapshot
            .nodes(&Orgs::All, None)
            .filter_map(|held| errand(&held.doc))
            .collect();
        let over = snapshot.upkeep.silences().filter(|(id, _)| {
            let node = snapshot.node(id, &Orgs::All);
            // About one whose end is over but that is not back yet nothing is said: it is about to be.
            node.is_none_or(|held| held.doc.status != NodeStatus::Maintenance)
        });
        errands.extend(over.map(|(id, held)| Errand {
            node: id.clone(),
            before: Some((held.doc.clone(), held.revision)),
            wanted: None,
        }));
        errands
    }

    /// Tells Alertmanager about a node, and notes what came of it. The outer error is the store's, the inner one
    /// Alertmanager's.
    pub(crate) async fn run_silence_errand(
        &self,
        alertmanager: &Alertmanager,
        errand: Errand,
    ) -> Result<Result<(), ServiceError>, Refusal> {
        let cluster = self.cluster_name();
        let node = &errand.node;
        let Some(wanted) = errand.wanted else {
            let Some((before, revision)) = errand.before else {
                return Ok(Ok(()));
            };
            let told = alertmanager
                .unsilence(&matchers(&cluster, node, before.address))
                .await;
            match &told {
                Ok(()) => drop(self.note_silence(node, revision, None).await?),
                Err(error) => {
                    let reason = format!("the silence could not be ended: {error}");
                    self.note_failure(node, revision, before, reason).await?;
                }
            };
            return Ok(told);
        };
        let told_before = errand.before.as_ref().map(|(before, _)| before);
        let same = told_before.is_some_and(|before| before.says(&wanted));
        let mut revision = errand
            .before
            .as_ref()
            .map_or(Revision::ZERO, |(_, revision)| *revision);
        let moved = told_before
            .map(|before| before.address)
            .filter(|address| *address != wanted.address);
        let tell = async {
            if let Some(address) = moved {
                let [_, by_place] = matchers(&cluster, node, address);
                alertmanager.unsilence(&[by_place]).await?;
            }
            Ok::<(), ServiceError>(())
        };
        if let Err(error) = tell.await {
            let (before, revision) = (told_before.cloned().unwrap_or(wanted), revision);
            self.note_failure(node, revision, before, error.to_string())
                .await?;
            return Ok(Err(error));
        }
        if !same {
            // First what is to be taken back one day, then the telling.
            match self.note_silence(node, revision, Some(wanted.clone())).await? {
                Some(noted) => revision = noted,
                None => return Ok(Ok(())),
            }
        }
        let lasting = wanted.until.unwrap_or(wanted.since).since(wanted.since);
        let told = alertmanager
            .silence(
                &matchers(&cluster, node, wanted.address),
                &wanted.comment,
                lasting,
            )
            .await;
        match &told {
            Ok(()) => {
                let since = match told_before {
                    Some(before) if same && before.state == SilenceState::Active => before.since,
                    _ => wanted.since,
                };
                let active = SilenceDocument {
                    state: SilenceState::Active,
                    since,
                    ..wanted
                };
                // Looked at, and found as it was: worth no write.
                if told_before != Some(&active) {
                    self.note_silence(node, revision, Some(active)).await?;
                }
            }
            Err(error) => {
                let before = match told_before {
                    Some(before) if same => before.clone(),
                    _ => wanted,
                };
                self.note_failure(node, revision, before, error.to_string())
                    .await?;
            }
        }
        Ok(told)
    }

    async fn note_failure(
        &self,
        node: &NodeId,
        revision: Revision,
        before: SilenceDocument,
        reason: String,
    ) -> Result<(), Refusal> {
        let reason = Some(reason.chars().take(300).collect());
        if before.state == SilenceState::Failed && before.reason == reason {
            return Ok(());
        }
        let failed = SilenceDocument {
            state: SilenceState::Failed,
            reason,
            since: self.world.now(),
            ..before
        };
        self.note_silence(node, revision, Some(failed)).await?;
        Ok(())
    }

    /// Notes what was told about a node. Answers the document's new revision; nothing where another replica has noted
    /// something else meanwhile.
    async fn note_silence(
        &self,
        node: &NodeId,
        before: Revision,
        told: Option<SilenceDocument>,
    ) -> Result<Option<Revision>, Refusal> {
        let asking = Asking::by(Caller::system());
        let wrote = self
            .write(&asking, |snapshot, _| {
                let held = snapshot.upkeep.silence(node);
                if held.map_or(Revision::ZERO, |held| held.revision) != before {
                    return Ok(Wanted::Nothing(false));
                }
                let home = snapshot.node(node, &Orgs::All).map(|held| held.doc.org.clone());
                let key = keys::silence(node);
                let change = Change::new(home.unwrap_or_default(), "node.silence", format!("node:{node}"))
                    .quiet()
                    .transact(|txn| {
                        let txn = txn.when_unchanged(key.clone(), before);
                        match &told {
                            Some(told) => txn.put(key, encode(told)),
                            None => txn.delete(key),
                        }
                    });
                Ok(Wanted::Write(Box::new(change), true))
            })
            .await?;
        Ok(match wrote {
            super::commit::Wrote::Fresh(true, written) => Some(written.revision),
            _ => None,
        })
    }
}
