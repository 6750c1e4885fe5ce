//! Asking Prometheus whether nodes without an agent are up, by the replica that leads.
//!
//! A node is up while one of its exporters answers, and down when all that Prometheus knows of have not answered for as
//! long as an agent may be silent. What Prometheus does not know, and a Prometheus that does not answer, say nothing
//! about any node: such a time counts for nobody's silence. Where a large share of a region goes down at once, the region is
//! suspected first (see [`Watch`]).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aami_model::NodeId;
use aami_model::access::Orgs;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::Lead;
use super::links::region;
use crate::app::App;
use crate::app::scraped::is_judged;
use crate::live::silence::{Expected, Watch};
use crate::services::Prometheus;

/// How many nodes are moved at once.
const TOGETHER: usize = 64;
/// How often it is asked at least.
const SELDOM: Duration = Duration::from_secs(15);

/// What Prometheus says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scrape {
    Up,
    Down,
    Unknown,
}

fn scrape(node: &Node, up: &HashMap<String, bool>) -> Scrape {
    let enabled = node.exporters.iter().filter(|exporter| exporter.enabled);
    let known: Vec<bool> = enabled
        .filter_map(|exporter| {
            let instance = SocketAddr::new(node.ip_address.to_canonical(), exporter.port).to_string();
            up.get(&instance).copied()
        })
        .collect();
    match known.as_slice() {
        [] => Scrape::Unknown,
        known if known.contains(&true) => Scrape::Up,
        _ => Scrape::Down,
    }
}

/// What is remembered from one answer to the next.
struct Memory {
    watch: Watch,
    /// When each was last up, or not known to be down, by the clock nobody sets.
    heard: HashMap<NodeId, Duration>,
    /// When there was an answer last, by the same clock.
    answered: Duration,
    /// How often in a row there was no answer.
    failures: u32,
    /// Whether the last answer named no exporter of any node that is judged.
    strange: bool,
}

impl Memory {
    fn new(timeout: Duration, now: Duration) -> Self {
        Self {
            watch: Watch::new(timeout, now),
            heard: HashMap::new(),
            answered: now,
            failures: 0,
            strange: false,
        }
    }

    /// There was no answer. The watch itself goes on: it is not this control plane that was stopped.
    fn unanswered(&mut self, now: Duration) {
        let _ = self.watch.look(now, &[]);
        self.failures = self.failures.saturating_add(1);
    }

    /// There is an answer. The time without one counts for nobody's silence; what was known before it still does.
    fn answered(&mut self, now: Duration) {
        if self.failures > 0 {
            let away = now.saturating_sub(self.answered);
            for heard in self.heard.values_mut() {
                *heard = (*heard + away).min(now);
            }
        }
        (self.answered, self.failures) = (now, 0);
    }
}

pub(super) async fn ask(app: Arc<App>, lead: Lead, stop: CancellationToken) {
    let Some(prometheus) = &app.services.prometheus else {
        return;
    };
    let mut memory = Memory::new(app.config.heartbeat_timeout, app.world.elapsed());
    let mut ticks = tokio::time::interval(memory.watch.interval().min(SELDOM));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
        tokio::select! {
            () = stop.cancelled() => return,
            () = look(&app, &lead, prometheus, &mut memory) => {}
        }
    }
}

async fn look(app: &App, lead: &Lead, prometheus: &Prometheus, memory: &mut Memory) {
    let asks = {
        let snapshot = app.view.current();
        let mut nodes = snapshot.nodes(&Orgs::All, None);
        lead.is_held() && nodes.any(|held| is_judged(&snapshot, &held.doc))
    };
    if !asks {
        memory.heard.clear();
        return;
    }
    let cluster = app.cluster_name();
    let answer = prometheus.up(&cluster).await;
    app.counters.asked("prometheus", answer.is_ok());
    let up = match answer {
        Ok(up) => up,
        Err(error) => {
            memory.unanswered(app.world.elapsed());
            if memory.failures.is_power_of_two() {
                tracing::warn!(%error, times = memory.failures, "nodes without an agent cannot be judged; they stay as they are");
            }
            return;
        }
    };
    if memory.failures > 0 {
        tracing::info!("Prometheus answers again");
    }
    let now = app.world.elapsed();
    memory.answered(now);
    let judged = judge(app, &up, now, memory);
    if judged.strange && !memory.strange {
        tracing::warn!(
            cluster,
            targets = up.len(),
            "Prometheus knows no exporter of any node without an agent, so none of them is judged; does it scrape \
             this cluster, with its label `cluster`?"
        );
    }
    memory.strange = judged.strange;
    for (region, down, all) in &judged.suspected {
        tracing::warn!(
            region,
            down,
            all,
            "a large share of a region is not scraped: the region is suspected, not its nodes"
        );
    }
    let timeout = app.config.heartbeat_timeout.as_secs_f64();
    let sentence = &format!("no exporter of it was scraped for {timeout} s");
    let gone = judged.gone.iter().map(|id| (id, false));
    futures::stream::iter(gone.chain(judged.back.iter().map(|id| (id, true))))
        .for_each_concurrent(TOGETHER, |(id, up)| async move {
            if let Err(refusal) = app.judge_scraped(id, up, sentence).await {
                tracing::warn!(node = %id, error = %refusal, "a node could not be judged by its scrapes yet");
            }
        })
        .await;
}

/// What an answer comes to.
struct Judged {
    gone: Vec<NodeId>,
    back: Vec<NodeId>,
    suspected: Vec<(String, usize, usize)>,
    /// Nothing was said of any of them.
    strange: bool,
}

fn judge(app: &App, up: &HashMap<String, bool>, now: Duration, memory: &mut Memory) -> Judged {
    let snapshot = app.view.current();
    let (mut expected, mut back, mut scraped) = (Vec::new(), Vec::new(), Vec::new());
    let (mut judged, mut strange) = (HashSet::new(), true);
    for held in snapshot.nodes(&Orgs::All, None) {
        let node = &held.doc;
        if !is_judged(&snapshot, node) {
            continue;
        }
        judged.insert(node.id.clone());
        let said = scrape(node, up);
        strange &= said == Scrape::Unknown;
        if said == Scrape::Down {
            memory.heard.entry(node.id.clone()).or_insert(now);
        } else {
            memory.heard.insert(node.id.clone(), now);
        }
        let counts_as_up = node.reachable || node.status == NodeStatus::Online;
        if said == Scrape::Up {
            scraped.push(node.id.clone());
            if !node.reachable || node.status == NodeStatus::Offline {
                back.push(node.id.clone());
            }
        }
        if counts_as_up {
            expected.push(Expected {
                node: node.id.clone(),
                region: region(node),
                heard: memory.heard.get(&node.id).copied().unwrap_or(now),
            });
        }
    }
    memory.heard.retain(|node, _| judged.contains(node));
    app.scraped
        .note(app.world.now(), &scraped, |node| judged.contains(node));
    let verdict = memory.watch.look(now, &expected);
    Judged {
        gone: verdict.gone,
        back,
        suspected: verdict.suspected,
        strange,
    }
}

#[cfg(test)]
mod tests {
    use aami_model::exporter::{Exporter, ExporterKind};

    use super::*;

    fn node() -> Node {
        let mut node: Node = serde_json::from_value(serde_json::json!({
            "id": "n1", "org": "default", "hostname": "gpu-01", "ip_address": "10.0.0.1", "status": "online",
            "status_since": "2026-01-01T00:00:00.000Z", "created_at": "2026-01-01T00:00:00.000Z",
        }))
        .unwrap();
        node.exporters = vec![
            Exporter::new(ExporterKind::NodeExporter, 9100),
            Exporter::new(ExporterKind::DcgmExporter, 9400),
        ];
        node
    }

    #[test]
    fn a_question_without_an_answer_is_a_pause_and_no_new_beginning() {
        // Given a node that was down for 40 s and one that was up when Prometheus answered last
        let at = Duration::from_secs;
        let (down, up): (NodeId, NodeId) = ("n1".parse().unwrap(), "n2".parse().unwrap());
        let mut memory = Memory::new(at(120), at(0));
        memory.answered(at(100));
        memory.heard.insert(down.clone(), at(60));
        memory.heard.insert(up.clone(), at(100));
        // when it answers again after 30 s,
        memory.unanswered(at(105));
        memory.unanswered(at(120));
        memory.answered(at(130));
        // then the one was down for 40 s, and the other was not.
        assert_eq!((memory.heard[&down], memory.heard[&up]), (at(90), at(130)));
        // And time that was answered for counts.
        memory.answered(at(135));
        assert_eq!(memory.heard[&down], at(90));
    }

    fn said(pairs: &[(&str, bool)]) -> HashMap<String, bool> {
        pairs.iter().map(|(name, up)| ((*name).to_owned(), *up)).collect()
    }

    #[test]
    fn a_node_is_up_while_one_exporter_answers_and_unknown_while_nobody_knows_it() {
        let (node_exporter, dcgm) = ("10.0.0.1:9100", "10.0.0.1:9400");
        assert_eq!(
            scrape(&node(), &said(&[(node_exporter, false), (dcgm, true)])),
            Scrape::Up
        );
        assert_eq!(
            scrape(&node(), &said(&[(node_exporter, false), (dcgm, false)])),
            Scrape::Down
        );
        assert_eq!(scrape(&node(), &said(&[(dcgm, false)])), Scrape::Down);
        assert_eq!(
            scrape(&node(), &said(&[("10.0.0.2:9100", false)])),
            Scrape::Unknown
        );
        let mut disabled = node();
        disabled.exporters[1].enabled = false;
        assert_eq!(scrape(&disabled, &said(&[(dcgm, true)])), Scrape::Unknown);
    }
}
