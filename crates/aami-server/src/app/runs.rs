//! Runs: opened by a bootstrap token, reported to by their installer, ended or swept.

mod opened;
mod picture;

use std::sync::Arc;
use std::time::Duration;

use aami_api::page::Page;
use aami_api::run::{RunStep, RunView};
use aami_api::token::{OpenedRun, Validated};
use aami_model::access::{Caller, Orgs, Role, Scope};
use aami_model::hostname::Hostname;
use aami_model::node::Node;
use aami_model::node_status::{self, NodeEvent, NodeStatus, Outcome, Trigger};
use aami_model::run::{self, RunEvent, RunStatus, RunTrigger};
use aami_model::secret::{Secret, SecretKind};
use aami_model::token::BootstrapToken;
use aami_model::{RunId, code};
use aami_store::keys;
use serde_json::{Value, json};

use self::picture::{Failure, absorb};
use super::commit::{Change, Wanted, Written, Wrote, node_data};
use super::{App, Asking, Refusal, access};
use crate::dashboards::Fraction;
use crate::view::document::{RunDocument, encode};
use crate::view::{Held, Snapshot};

const CREDENTIAL_TTL: Duration = Duration::from_secs(24 * 3600);
/// How many unfinished runs a token may have beyond its uses.
const SPARE_RUNS: u32 = 100;
/// How long a run without an event is kept.
const SILENT_RUN: Duration = Duration::from_secs(3600);
/// How many runs that are over go with one that is opened.
const MOST_DROPPED: usize = 10;
/// The most events one report may hold.
pub(crate) const MOST_REPORTED: usize = 256;

/// The node a run worked on, whoever it is enrolled by now.
fn host_of<'a>(snapshot: &'a Snapshot, run: &RunDocument) -> Option<&'a Arc<Held<Node>>> {
    snapshot.node(run.node.as_ref()?, &Orgs::All)
}

/// What the host of a run is called, whether it is a node or not.
pub(crate) fn hostname_of(snapshot: &Snapshot, run: &RunDocument) -> Option<Hostname> {
    let node = host_of(snapshot, run).map(|node| node.doc.hostname.clone());
    node.or_else(|| run.host.clone())
}

pub(crate) fn shown(snapshot: &Snapshot, run: &RunDocument) -> RunView {
    RunView {
        id: run.id.clone(),
        org: run.org.clone(),
        node_id: run.node.clone(),
        hostname: hostname_of(snapshot, run),
        token_id: run.token.clone(),
        plan: run.plan.clone(),
        status: run.status,
        steps: run
            .steps
            .iter()
            .map(|step| RunStep {
                id: step.id.clone(),
                title: step.title.clone(),
                status: step.status,
                attempts: step.attempts,
                started_at: step.started_at,
                duration_ms: step.duration_ms,
                outcome: step.outcome,
                error: step.error.clone(),
            })
            .collect(),
        created_at: run.created_at,
        started_at: run.started_at,
        updated_at: run.updated_at,
        last_event: run.last_event,
    }
}

/// What is told of a run, whatever became of it.
fn about(run: &RunDocument) -> Value {
    let mut data = json!({ "plan": run.plan, "node": run.node });
    // Where no node says on which host it is.
    if let Some(host) = &run.host {
        data["hostname"] = json!(host);
    }
    data
}

/// What cannot be true of a run.
fn refused(refusal: run::Refusal) -> Refusal {
    Refusal::new(code::TRANSITION_REFUSED, refusal.to_string())
}

/// The node a token was made for, which its runs report about from the first word.
fn meant_for<'a>(
    snapshot: &'a Snapshot,
    token: &BootstrapToken,
) -> Result<Option<&'a Arc<Held<Node>>>, Refusal> {
    let Some(id) = &token.only_node else {
        return Ok(None);
    };
    match snapshot.node(id, &Orgs::All) {
        Some(held) if held.doc.status == NodeStatus::Inactive => Err(Refusal::new(
            code::NODE_DECOMMISSIONED,
            format!("the node {} has been retired", held.doc.hostname),
        )),
        found => Ok(found),
    }
}

impl App {
    /// Judges a token and opens a run for the installation it begins. Uses nothing up.
    pub(crate) async fn open_run(&self, text: &str) -> Result<(Validated, Written), Refusal> {
        let (token, validated) = self.validate_token(text)?;
        let id = RunId::at(self.world.now(), self.world.random());
        let secret = Secret::from_random(SecretKind::RunCredential, id.as_str(), self.world.random());
        let caller = Caller {
            id: format!("token:{}", token.id),
            role: None,
            scopes: Vec::new(),
            orgs: aami_model::access::Orgs::Only(vec![token.org.clone()]),
            user: None,
        };
        let wrote = self
            .write(&Asking::by(caller), |snapshot, now| {
                if snapshot.open_runs(&token.id) >= token.max_uses.saturating_add(SPARE_RUNS) {
                    return Err(Refusal::plain(code::TOO_MANY_RUNS).with_retry_after(Duration::from_secs(60)));
                }
                let meant = meant_for(snapshot, &token)?;
                let (hash, until) = (access::hash(&secret), now.plus(CREDENTIAL_TTL));
                let run = RunDocument {
                    node: meant.map(|node| node.doc.id.clone()),
                    node_enrolled_at: meant.and_then(|node| node.doc.enrolled_at),
                    announced: meant.is_some(),
                    token: Some(token.id.clone()),
                    ..RunDocument::opened(id.clone(), token.org.clone(), hash, now, until)
                };
                // Those that ended are bounded as well: whoever has the token opens and ends as many as they like.
                let kept = token.max_uses.saturating_add(SPARE_RUNS) as usize;
                let ended = snapshot.ended_runs(&token.id);
                let over = ended.map_or(0, |runs| (runs.len() + 1).saturating_sub(kept));
                let oldest = ended.into_iter().flatten().take(over.min(MOST_DROPPED));
                let change = Change::new(token.org.clone(), "run.open", format!("run:{id}"))
                    .noting(json!({ "token": token.id }))
                    .transact(|txn| {
                        let txn = txn.when_absent(keys::run(&id)).put(keys::run(&id), encode(&run));
                        // A run that is over never changes again, so nothing is compared.
                        oldest.fold(txn, |txn, old| txn.delete(keys::run(old)))
                    });
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        let Wrote::Fresh((), written) = wrote else {
            return Err(Refusal::plain(code::INTERNAL));
        };
        let run = OpenedRun {
            id,
            credential: secret.reveal().to_owned(),
        };
        Ok((
            Validated {
                run: Some(run),
                ..validated
            },
            written,
        ))
    }

    /// Takes in what an installer reports. Events known already are skipped, so a report may be
    /// repeated; a gap is taken as it is, since a picture of the run needs no event but the last.
    pub(crate) async fn report(
        &self,
        asking: &Asking,
        id: &RunId,
        reported: &[RunEvent],
    ) -> Result<(u64, Written), Refusal> {
        if !asking.caller.has_scope(&Scope::Run(id.clone())) {
            return Err(Refusal::plain(code::FORBIDDEN));
        }
        if reported.len() > MOST_REPORTED {
            return Err(Refusal::invalid(
                "events",
                format!("a report holds at most {MOST_REPORTED}"),
            ));
        }
        // Before it is written: what is told of the run then shows this as well. What will be refused is not told.
        if let Some(fraction) = self.believed(id, reported)? {
            self.peers.note(id, &fraction);
            self.dashboards.reported(id, fraction);
        }
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot.run(id).ok_or_else(|| Refusal::not_found("run"))?;
                let mut run = held.doc.clone();
                let mut sorted: Vec<&RunEvent> = reported
                    .iter()
                    .filter(|event| event.seq > run.last_event)
                    .collect();
                sorted.sort_by_key(|event| event.seq);
                for event in sorted {
                    absorb(&mut run, event, now).map_err(refused)?;
                }
                let through = run.last_event;
                if run == held.doc {
                    return Ok(Wanted::Nothing(through));
                }
                let mut change = Change::new(run.org.clone(), "run.report", format!("run:{id}"));
                if run.status != held.doc.status {
                    let mut data = about(&run);
                    data["status"] = json!(run.status);
                    change = change.tell(&format!("run.{}", run.status.name()), data);
                }
                // A node is installing for as long as its installer says so.
                let trigger = match run.status {
                    RunStatus::Running => Some(Trigger::InstallerReported),
                    RunStatus::Failed => Some(Trigger::InstallFailed),
                    _ => None,
                };
                if let (Some(node), Some(trigger)) = (snapshot.node_of(&run), trigger)
                    && let Ok(Outcome::Moved { to, events }) = node_status::next(node.doc.status, trigger)
                {
                    let mut moved = node.doc.clone();
                    (moved.status, moved.status_since) = (to, now);
                    let failure = (to == NodeStatus::Error).then(|| Failure::of(&run, reported));
                    moved.status_reason = failure.as_ref().map(Failure::sentence);
                    for event in events {
                        let mut data = node_data(&moved);
                        if let (NodeEvent::InstallationFailed, Some(failure)) = (event, &failure) {
                            failure.tell(&mut data);
                        }
                        change = change.tell_about(&format!("node:{}", moved.id), event.name(), data);
                    }
                    let key = keys::node(&moved.id);
                    change = change.transact(|txn| {
                        txn.when_unchanged(key.clone(), node.revision)
                            .put(key, encode(&moved))
                    });
                }
                let key = keys::run(id);
                let change = change.transact(|txn| {
                    txn.when_unchanged(key.clone(), held.revision)
                        .put(key, encode(&run))
                });
                Ok(Wanted::Write(Box::new(change), through))
            })
            .await?;
        if self
            .view
            .current()
            .run(id)
            .is_none_or(|held| held.doc.status.is_final())
        {
            self.peers.forget(id);
        }
        match wrote {
            Wrote::Fresh(through, written) => Ok((through, written)),
            Wrote::Replayed(_) => {
                let snapshot = self.view.current();
                let held = snapshot.run(id).ok_or_else(|| Refusal::not_found("run"))?;
                let written = Written::shown(held.revision);
                Ok((held.doc.last_event, written))
            }
        }
    }

    /// How far a report says its run is, by what is new in it. Fails where it cannot be true of the run.
    fn believed(&self, id: &RunId, reported: &[RunEvent]) -> Result<Option<Fraction>, Refusal> {
        let snapshot = self.view.current();
        let Some(held) = snapshot.run(id) else {
            return Ok(None);
        };
        let mut run = held.doc.clone();
        let mut fresh: Vec<RunEvent> = reported
            .iter()
            .filter(|event| event.seq > run.last_event)
            .cloned()
            .collect();
        fresh.sort_by_key(|event| event.seq);
        for event in &fresh {
            absorb(&mut run, event, self.world.now()).map_err(refused)?;
        }
        Ok(Fraction::last_of(&fresh))
    }

    /// The runs the caller sees.
    pub(crate) fn runs(
        &self,
        caller: &Caller,
        after: Option<&RunId>,
        limit: usize,
    ) -> Result<Page<RunView>, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        let mut items: Vec<RunView> = snapshot
            .runs(&caller.orgs)
            .filter(|held| after.is_none_or(|after| held.doc.id > *after))
            .take(limit + 1)
            .map(|held| shown(&snapshot, &held.doc))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next_page_token = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(Page {
            items,
            next_page_token,
        })
    }

    /// One run.
    pub(crate) fn run(&self, caller: &Caller, id: &RunId) -> Result<RunView, Refusal> {
        let snapshot = self.view.current();
        let held = snapshot
            .run(id)
            .filter(|held| caller.orgs.includes(&held.doc.org))
            .ok_or_else(|| Refusal::not_found("run"))?;
        Ok(shown(&snapshot, &held.doc))
    }

    /// Calls a run off; its credential ends.
    pub(crate) async fn cancel_run(
        &self,
        asking: &Asking,
        id: &RunId,
    ) -> Result<(RunView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .run(id)
                    .filter(|held| asking.caller.orgs.includes(&held.doc.org))
                    .ok_or_else(|| Refusal::not_found("run"))?;
                let moved = run::next(held.doc.status, RunTrigger::CalledOff).map_err(refused)?;
                let run::Outcome::Moved(to) = moved else {
                    return Ok(Wanted::Nothing(shown(snapshot, &held.doc)));
                };
                let mut run = held.doc.clone();
                (run.status, run.updated_at) = (to, now);
                let key = keys::run(id);
                let change = Change::new(run.org.clone(), "run.cancel", format!("run:{id}"))
                    .tell("run.cancelled", about(&run))
                    .transact(|txn| {
                        txn.when_unchanged(key.clone(), held.revision)
                            .put(key, encode(&run))
                    });
                Ok(Wanted::Write(Box::new(change), shown(snapshot, &run)))
            })
            .await?;
        match wrote {
            Wrote::Fresh(view, written) => Ok((view, written)),
            Wrote::Replayed(_) => Ok((
                self.run(&asking.caller, id)?,
                Written::shown(self.view.revision()),
            )),
        }
    }

    /// Runs that were opened and never reported, or whose credential has ended, or that ended longer ago
    /// than the history reaches: removed, a page at a time.
    pub(crate) async fn sweep_runs(&self) -> Result<usize, Refusal> {
        let snapshot = self.view.current();
        let now = self.world.now();
        let over = |run: &RunDocument| {
            (run.last_event == 0 && now.since(run.created_at) > SILENT_RUN)
                || (!run.status.is_final() && now > run.expires_at)
                || (run.status.is_final() && now.since(run.updated_at) > self.config.history_keep)
        };
        let all = aami_model::access::Orgs::All;
        let old: Vec<_> = snapshot
            .runs(&all)
            .filter(|held| over(&held.doc))
            .take(100)
            .cloned()
            .collect();
        if old.is_empty() {
            return Ok(0);
        }
        let txn = old.iter().fold(aami_store::Txn::new(), |txn, held| {
            let key = keys::run(&held.doc.id);
            txn.when_unchanged(key.clone(), held.revision).delete(key)
        });
        // One that reported meanwhile makes the whole page wait for the next sweep.
        let _ = self.store.txn(txn).await?;
        Ok(old.len())
    }
}
