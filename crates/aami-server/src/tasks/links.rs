//! Who is silent, and what a stop says to those who are connected.
//!
//! Each replica judges the nodes whose sockets it holds. Those of a replica that is gone are judged by the one that
//! leads, a whole timeout after it noticed: they have time to connect elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aami_model::access::Orgs;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, OrgId, Timestamp};
use futures::StreamExt as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Lead;
use crate::app::App;
use crate::link::spread_seconds;
use crate::live::silence::{Expected, Verdict, Watch};

/// How many nodes are written off at once.
const TOGETHER: usize = 64;

/// Starts listening.
pub(super) fn start(tasks: &mut JoinSet<()>, app: &Arc<App>, lead: &Lead, stop: &CancellationToken) {
    tasks.spawn(listen(app.clone(), lead.clone(), stop.clone()));
    tasks.spawn(farewell(app.clone(), stop.clone()));
}

/// Since when somebody is waited for whom nobody here has heard.
#[derive(Default)]
struct Unheard {
    /// Replicas that are gone.
    replicas: BTreeMap<String, Duration>,
    /// Nodes whose connection is written and has not taken its place here, with its generation: it is about to, or
    /// whoever wrote it never learnt that it did.
    nodes: BTreeMap<NodeId, (u64, Duration)>,
}

/// What is known of an expected node besides what is judged.
struct Known {
    generation: u64,
    last_seen: Option<Timestamp>,
    bye: Option<String>,
}

async fn listen(app: Arc<App>, lead: Lead, stop: CancellationToken) {
    let mut watch = Watch::new(app.config.heartbeat_timeout, app.world.elapsed());
    let mut unheard = Unheard::default();
    let mut ticks = tokio::time::interval(watch.interval());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = app.world.elapsed();
        let (expected, known) = expected(&app, &lead, now, &mut unheard);
        let verdict = watch.look(now, &expected);
        tell(&app, &verdict).await;
        let gone = verdict.gone.iter().filter_map(|id| Some((id, known.get(id)?)));
        futures::stream::iter(gone)
            .for_each_concurrent(TOGETHER, |(id, known)| write_off(&app, id, known))
            .await;
    }
}

pub(super) fn region(node: &Node) -> String {
    node.labels.0.get("region").cloned().unwrap_or_default()
}

/// Everybody this replica should hear, or answer for.
fn expected(
    app: &App,
    lead: &Lead,
    now: Duration,
    unheard: &mut Unheard,
) -> (Vec<Expected>, BTreeMap<NodeId, Known>) {
    let snapshot = app.view.current();
    unheard
        .replicas
        .retain(|replica, _| !snapshot.linked.is_alive(replica));
    let waited_for = std::mem::take(&mut unheard.nodes);
    let (mut expected, mut known) = (Vec::new(), BTreeMap::new());
    for (id, conn) in &snapshot.linked.conns {
        let Some(held) = snapshot.node(id, &Orgs::All) else {
            continue;
        };
        // One that counts as gone already is not waited for.
        let node = &held.doc;
        if !snapshot.has_agent(node) {
            continue;
        }
        if node.status == NodeStatus::Inactive || (node.status != NodeStatus::Online && !node.reachable) {
            continue;
        }
        let replica = &conn.doc.replica;
        let generation = conn.revision.get();
        let (elapsed, last_seen, bye) = if *replica == app.replica {
            match app.live.seen(id, generation) {
                Some((seen, bye)) => (seen.elapsed, Some(seen.at), bye),
                None => {
                    let known = waited_for.get(id).filter(|(known, _)| *known == generation);
                    let since = known.map_or(now, |(_, since)| *since);
                    unheard.nodes.insert(id.clone(), (generation, since));
                    (since, None, None)
                }
            }
        } else if snapshot.linked.is_alive(replica) || !lead.is_held() {
            continue;
        } else {
            let since = *unheard.replicas.entry(replica.clone()).or_insert(now);
            (since, None, None)
        };
        expected.push(Expected {
            node: id.clone(),
            region: region(node),
            heard: elapsed,
        });
        known.insert(
            id.clone(),
            Known {
                generation,
                last_seen,
                bye,
            },
        );
    }
    (expected, known)
}

async fn write_off(app: &App, id: &NodeId, known: &Known) {
    let seconds = app.config.heartbeat_timeout.as_secs_f64();
    let (reason, sentence) = match &known.bye {
        Some(bye) => ("agent_stopped", format!("its agent stopped: {bye}")),
        None => ("heartbeat_timeout", format!("no heartbeat for {seconds} s")),
    };
    let lost = app
        .lose(id, known.generation, reason, &sentence, known.last_seen)
        .await;
    if let Err(refusal) = lost {
        tracing::warn!(node = %id, error = %refusal, "a silent node could not be written off yet");
    }
}

/// Says what is not about single nodes.
async fn tell(app: &App, verdict: &Verdict) {
    if let Some(away) = verdict.paused {
        tracing::warn!(
            seconds = away.as_secs(),
            "this control plane was stopped; silence is counted anew"
        );
    }
    for (region, silent, all) in &verdict.suspected {
        tracing::warn!(
            region,
            silent,
            all,
            "a large share of a region is silent: the region is suspected, not its nodes"
        );
        app.counters.regions_suspected.inc();
        let data = json!({ "region": region, "silent": silent, "nodes": all });
        app.tell_of_region("region.suspected", region, data).await;
    }
    for region in &verdict.cleared {
        tracing::info!(region, "the region is heard again");
        app.counters.regions_suspected.dec();
        app.tell_of_region("region.heard", region, json!({ "region": region }))
            .await;
    }
}

impl App {
    /// Tells an event about a region as a whole, in the organisation everybody belongs to who names none.
    async fn tell_of_region(&self, kind: &str, region: &str, data: serde_json::Value) {
        let asking = crate::app::Asking::by(aami_model::access::Caller::system());
        let subject = format!("region:{}", if region.is_empty() { "default" } else { region });
        let told = self
            .write(&asking, |_, _| {
                let change =
                    crate::app::commit::Change::new(OrgId::default(), "region.observe", subject.clone());
                let change = change.tell(kind, data.clone());
                Ok(crate::app::commit::Wanted::Write(Box::new(change), ()))
            })
            .await;
        if let Err(refusal) = told {
            tracing::warn!(error = %refusal, "what is known of a region could not be told");
        }
    }
}

/// On a stop, tells everybody who is connected to come back, spread, and waits until they have gone.
async fn farewell(app: Arc<App>, stop: CancellationToken) {
    stop.cancelled().await;
    let spread = spread_seconds(app.live.connected(), app.config.heartbeat_timeout);
    app.live.drain(spread);
    let gone = tokio::time::timeout(app.config.drain, app.live.empty());
    if gone.await.is_err() {
        tracing::warn!(
            left = app.live.sockets(),
            "some nodes did not take their farewell"
        );
    }
}

/// Commands that nobody answered in time.
pub(super) async fn sweep(app: Arc<App>, lead: Lead) {
    if !lead.is_held() {
        return;
    }
    if let Err(refusal) = app.sweep_commands().await {
        tracing::warn!(error = %refusal, "commands that are over could not be swept");
    }
}

/// Maintenance whose time is over.
pub(super) async fn end_maintenance(app: Arc<App>, lead: Lead) {
    if lead.is_held()
        && let Err(refusal) = app.end_maintenance().await
    {
        tracing::warn!(error = %refusal, "a maintenance whose time is over could not be ended");
    }
}

/// Tickets that nobody used.
pub(super) async fn sweep_tickets(app: Arc<App>, lead: Lead) {
    if !lead.is_held() {
        return;
    }
    if let Err(refusal) = app.sweep_tickets().await {
        tracing::warn!(error = %refusal, "tickets that nobody used could not be removed");
    }
}
