//! Silences: what Alertmanager should be told about nodes in maintenance, and what it was told.
//!
//! What should be is read off the nodes: one in maintenance is silenced until its end, one that is not is not. What
//! was told stands in a document a node, written before Alertmanager is told, so that whoever leads next knows what is
//! to be taken back. A node's transition waits for none of this.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use aami_model::access::{Caller, Orgs};
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::silence::{Silence, SilenceState};
use aami_model::{NodeId, OrgId, Timestamp};
use aami_store::{Revision, keys};

use super::commit::{Change, Wanted};
use super::{App, Asking, Refusal};
use crate::services::ServiceError;
use crate::services::alertmanager::{Alertmanager, Matcher, by_id, by_place};
use crate::view::Snapshot;
use crate::view::document::{decode, encode};
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
        org: node.org.clone(),
        address: Some(node.ip_address.to_canonical()),
        comment: format!("{} is in maintenance: {why}", node.hostname),
        ends,
    })
}

/// The matchers of a place, where it is silenced.
fn place(cluster: &str, document: &SilenceDocument) -> Option<Vec<Matcher>> {
    let address = document.address?;
    Some(by_place(cluster, &document.org, address))
}

/// All that is silenced.
fn all(cluster: &str, node: &NodeId, document: &SilenceDocument) -> Vec<Vec<Matcher>> {
    [Some(by_id(node)), place(cluster, document)]
        .into_iter()
        .flatten()
        .collect()
}

/// How many nodes that are scraped have an address, for those of nodes in maintenance.
struct Addresses<'a>(HashMap<(&'a OrgId, IpAddr), usize>);

impl<'a> Addresses<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let at = |node: &'a Node| (&node.org, node.ip_address.to_canonical());
        let nodes = || snapshot.nodes(&Orgs::All, None).map(|held| &held.doc);
        let out = nodes().filter(|node| node.status == NodeStatus::Maintenance);
        let mut addresses: HashMap<_, _> = out.map(|node| (at(node), 0)).collect();
        if !addresses.is_empty() {
            for node in nodes().filter(|node| node.status.is_discovered()) {
                if let Some(count) = addresses.get_mut(&at(node)) {
                    *count += 1;
                }
            }
        }
        Self(addresses)
    }

    fn is_shared(&self, document: &SilenceDocument) -> bool {
        let at = document.address.map(|address| (&document.org, address));
        at.is_some_and(|at| self.0.get(&at).is_some_and(|count| *count > 1))
    }
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
        let addresses = Addresses::of(&snapshot);
        let errand = |node: &Node| {
            let mut wanted = wanted(node, now)?;
            if addresses.is_shared(&wanted) {
                // An alert that only says where it was scraped may be about another node.
                wanted.address = None;
                wanted.reason =
                    Some("alerts without node_id are heard, as another node has the same address".to_owned());
            }
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

    /// Tells Alertmanager about a node, and notes what came of it, while `leads` says so. The outer error is the
    /// store's, the inner one Alertmanager's.
    pub(crate) async fn run_silence_errand(
        &self,
        alertmanager: &Alertmanager,
        errand: Errand,
        leads: impl Fn() -> bool,
    ) -> Result<Result<(), ServiceError>, Refusal> {
        let cluster = self.cluster_name();
        let node = &errand.node;
        let Some(wanted) = errand.wanted else {
            let Some((before, revision)) = errand.before else {
                return Ok(Ok(()));
            };
            let told = alertmanager.unsilence(&self.own(&cluster, node, &before)).await;
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
        let moved = told_before.filter(|before| !before.is_of_place(&wanted));
        if let Some(before) = moved {
            let mut left = self.own(&cluster, node, before);
            left.retain(|matchers| *matchers != by_id(node));
            if let Err(error) = alertmanager.unsilence(&left).await {
                self.note_failure(node, revision, before.clone(), error.to_string())
                    .await?;
                return Ok(Err(error));
            }
        }
        if !same {
            // First what is to be taken back one day, then the telling.
            match self.note_silence(node, revision, Some(wanted.clone())).await? {
                Some(noted) => revision = noted,
                None => return Ok(Ok(())),
            }
        }
        if !leads() {
            return Ok(Ok(()));
        }
        let lasting = wanted.until.unwrap_or(wanted.since).since(wanted.since);
        let told = alertmanager
            .silence(&all(&cluster, node, &wanted), &wanted.comment, lasting)
            .await;
        let noted = match &told {
            Ok(()) => {
                let since = match told_before {
                    Some(before) if same && before.state == SilenceState::Active => before.since,
                    _ => wanted.since,
                };
                let active = SilenceDocument {
                    state: SilenceState::Active,
                    since,
                    ..wanted.clone()
                };
                // Looked at, and found as it was: worth no write.
                if told_before == Some(&active) {
                    self.is_noted(node, revision).await?
                } else {
                    self.note_silence(node, revision, Some(active)).await?.is_some()
                }
            }
            Err(error) => {
                let before = match told_before {
                    Some(before) if same => before.clone(),
                    _ => wanted.clone(),
                };
                self.note_failure(node, revision, before, error.to_string())
                    .await?
            }
        };
        if !noted && let Err(error) = self.take_back(alertmanager, &cluster, node, &wanted).await? {
            return Ok(Err(error));
        }
        Ok(told)
    }

    /// All that was told of a node, but for what is another one's by now.
    fn own(&self, cluster: &str, node: &NodeId, told: &SilenceDocument) -> Vec<Vec<Matcher>> {
        let snapshot = self.view.current();
        let taken = told.address.is_some()
            && snapshot
                .upkeep
                .silences()
                .any(|(other, held)| other != node && held.doc.is_of_place(told));
        let mut own = all(cluster, node, told);
        own.truncate(if taken { 1 } else { own.len() });
        own
    }

    /// Ends what was told too late: another replica has noted something else meanwhile, and nobody would end it.
    async fn take_back(
        &self,
        alertmanager: &Alertmanager,
        cluster: &str,
        node: &NodeId,
        told: &SilenceDocument,
    ) -> Result<Result<(), ServiceError>, Refusal> {
        let key = keys::silence(node);
        let theirs: Option<SilenceDocument> = match self.store.get(&key).await? {
            Some(entry) => decode(&key, &entry.value).ok(),
            None => None,
        };
        let kept = theirs.map_or_else(Vec::new, |theirs| all(cluster, node, &theirs));
        let mut own = self.own(cluster, node, told);
        own.retain(|matchers| !kept.contains(matchers));
        tracing::info!(%node, "another replica was told of a silence meanwhile; what was said too late is taken back");
        Ok(alertmanager.unsilence(&own).await)
    }

    /// Whether what was told about a node is still noted as it was.
    async fn is_noted(&self, node: &NodeId, revision: Revision) -> Result<bool, Refusal> {
        let entry = self.store.get(&keys::silence(node)).await?;
        Ok(entry.is_some_and(|entry| entry.mod_revision == revision))
    }

    /// Notes that Alertmanager did not take it; false where another replica has noted something else meanwhile.
    async fn note_failure(
        &self,
        node: &NodeId,
        revision: Revision,
        before: SilenceDocument,
        reason: String,
    ) -> Result<bool, Refusal> {
        let reason = Some(reason.chars().take(300).collect());
        if before.state == SilenceState::Failed && before.reason == reason {
            return self.is_noted(node, revision).await;
        }
        let failed = SilenceDocument {
            state: SilenceState::Failed,
            reason,
            since: self.world.now(),
            ..before
        };
        Ok(self.note_silence(node, revision, Some(failed)).await?.is_some())
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
