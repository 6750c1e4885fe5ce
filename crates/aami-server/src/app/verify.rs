//! Verifying: the control plane itself fetches each registered exporter once, as Prometheus will.
//!
//! It connects to the registered address and port and nowhere else: no name is looked up, no redirect
//! followed, no more read than is needed to tell metrics from something else, and nothing kept. When it
//! fails it says at which hop.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aami_api::node::{Hop, Probe, Verified};
use aami_model::access::{Caller, Role, Scope};
use aami_model::exporter::Exporter;
use aami_model::node_status::{NodeStatus, Trigger};
use aami_model::{NodeId, code};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::{App, Refusal};

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// How much of an answer is read to see whether it is metrics.
const ENOUGH: usize = 64 * 1024;
/// How many nodes may wait to be verified; the 30-second round comes for the rest.
const MOST_WAITING: usize = 10_000;
/// How many may have the same node verified at once.
const MOST_ASKING: usize = 4;

/// The nodes to verify next.
#[derive(Clone, Default)]
pub(crate) struct Queue {
    waiting: Arc<Mutex<BTreeSet<NodeId>>>,
    asking: Arc<Mutex<BTreeMap<NodeId, usize>>>,
    bell: Arc<Notify>,
}

/// A place among those who have a node verified; given back when dropped.
struct Place<'a> {
    queue: &'a Queue,
    id: &'a NodeId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut asking = self.queue.asking.lock().unwrap_or_else(PoisonError::into_inner);
        match asking.get_mut(self.id) {
            Some(others) if *others > 1 => *others -= 1,
            _ => {
                asking.remove(self.id);
            }
        }
    }
}

impl Queue {
    /// Asks for a node to be verified soon.
    pub(crate) fn ask(&self, id: &NodeId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_WAITING {
            waiting.insert(id.clone());
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// A place for one more who asks. Each verification opens as many connections as the node has
    /// exporters, to an address that whoever holds its credential has chosen.
    fn place<'a>(&'a self, id: &'a NodeId) -> Result<Place<'a>, Refusal> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let others = asking.entry(id.clone()).or_default();
        if *others >= MOST_ASKING {
            return Err(Refusal::plain(code::RATE_LIMITED).with_retry_after(CONNECT));
        }
        *others += 1;
        Ok(Place { queue: self, id })
    }

    /// Waits for a node to verify.
    pub(crate) async fn next(&self) -> NodeId {
        loop {
            let taken = self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_first();
            if let Some(id) = taken {
                // Another worker may be able to take the next one.
                self.bell.notify_one();
                return id;
            }
            self.bell.notified().await;
        }
    }
}

impl App {
    /// Verifies a node at somebody's word: an operator's, the node's own, or its run's. Whoever only looks is told what
    /// is seen, and nothing is made of it.
    pub(crate) async fn verify_for(
        &self,
        caller: &Caller,
        id: &NodeId,
        only_looks: bool,
    ) -> Result<Verified, Refusal> {
        if !caller.has_role(Role::Operator) && !caller.has_scope(&Scope::Node(id.clone())) {
            return Err(Refusal::plain(code::FORBIDDEN));
        }
        if self.view.current().node(id, &caller.orgs).is_none() {
            return Err(Refusal::not_found("node"));
        }
        let _place = self.verifier.place(id)?;
        if only_looks {
            return self.look(id).await;
        }
        self.verify(id).await
    }

    /// Fetches each enabled exporter of a node once.
    async fn look(&self, id: &NodeId) -> Result<Verified, Refusal> {
        let all = aami_model::access::Orgs::All;
        let held = self
            .view
            .current()
            .node(id, &all)
            .cloned()
            .ok_or_else(|| Refusal::not_found("node"))?;
        let node = &held.doc;
        let allowed = self.config.addresses();
        let enabled = node.exporters.iter().filter(|exporter| exporter.enabled);
        let probes = futures::future::join_all(enabled.map(|exporter| async {
            // Judged again at the moment of fetching: the rules may have been tightened since.
            match allowed.judge(node.ip_address, IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)) {
                Ok(()) => fetch(node.ip_address, exporter).await,
                Err(refusal) => failed(node.ip_address, exporter, Hop::AddressRefused, refusal.detail),
            }
        }))
        .await;
        Ok(Verified {
            node_id: id.clone(),
            status: node.status,
            verified: probes.iter().all(|probe| probe.ok),
            exporters: probes,
        })
    }

    /// Fetches each enabled exporter of a node and moves the node by what was found.
    pub(crate) async fn verify(&self, id: &NodeId) -> Result<Verified, Refusal> {
        let seen = self.look(id).await?;
        let probes = &seen.exporters;
        self.counters.verified(seen.verified);
        let reason = probes
            .iter()
            .find(|probe| !probe.ok)
            .map(|probe| probe.detail.clone());
        let status = match (seen.verified, seen.status) {
            // An installation that failed at its last step and is reached after all has not failed.
            (true, NodeStatus::Installing | NodeStatus::Error) => {
                self.observe_node(id, Some(true), Some(Trigger::Verified), None)
                    .await?
            }
            // One that was declared with its exporters, and is watched without ever enrolling.
            (true, NodeStatus::Pending) if !probes.is_empty() => {
                self.observe_node(id, Some(true), Some(Trigger::Verified), None)
                    .await?
            }
            (false, NodeStatus::Installing) => self.explain_node(id, reason).await?,
            (_, status) => status,
        };
        Ok(Verified { status, ..seen })
    }

    /// Notes on a node why it cannot be reached yet; its status stays.
    async fn explain_node(&self, id: &NodeId, reason: Option<String>) -> Result<NodeStatus, Refusal> {
        self.observe_node(id, Some(false), None, reason).await
    }
}

fn url(address: IpAddr, exporter: &Exporter) -> String {
    format!(
        "http://{}{}",
        SocketAddr::new(address, exporter.port),
        exporter.metrics_path
    )
}

fn failed(address: IpAddr, exporter: &Exporter, hop: Hop, detail: impl Into<String>) -> Probe {
    Probe {
        kind: exporter.kind,
        url: url(address, exporter),
        ok: false,
        hop: Some(hop),
        detail: detail.into(),
    }
}

async fn fetch(address: IpAddr, exporter: &Exporter) -> Probe {
    let socket = SocketAddr::new(address, exporter.port);
    let stream = match tokio::time::timeout(CONNECT, TcpStream::connect(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let (hop, why) = match error.kind() {
                io::ErrorKind::ConnectionRefused => (
                    Hop::Refused,
                    "was refused: nothing listens there, or a firewall rejects it",
                ),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    (Hop::Route, "has no route from the control plane")
                }
                _ => (Hop::Timeout, "failed"),
            };
            return failed(
                address,
                exporter,
                hop,
                format!("the connection to {socket} {why}"),
            );
        }
        Err(_) => {
            let why = format!(
                "the connection to {socket} was not answered within 3 s: a firewall drops it, or the host is down"
            );
            return failed(address, exporter, Hop::Timeout, why);
        }
    };
    match tokio::time::timeout(ANSWER, ask(stream, socket, &exporter.metrics_path)).await {
        Ok(Ok(text)) if looks_like_metrics(&text) => Probe {
            kind: exporter.kind,
            url: url(address, exporter),
            ok: true,
            hop: None,
            detail: "metrics came back".into(),
        },
        Ok(Ok(_)) => failed(
            address,
            exporter,
            Hop::NotMetrics,
            format!("{socket} answers, but not with Prometheus metrics"),
        ),
        Ok(Err(Asked::Status(status))) => failed(
            address,
            exporter,
            Hop::Status,
            format!("{socket} answers with HTTP status {status}"),
        ),
        Ok(Err(Asked::Broken)) => failed(
            address,
            exporter,
            Hop::NotMetrics,
            format!("{socket} answers, but not as an HTTP server"),
        ),
        Err(_) => failed(
            address,
            exporter,
            Hop::Slow,
            format!("{socket} connected, but did not answer within 10 s"),
        ),
    }
}

enum Asked {
    Status(u16),
    Broken,
}

async fn ask(stream: TcpStream, host: SocketAddr, path: &str) -> Result<Vec<u8>, Asked> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Asked::Broken)?;
    let request = http::Request::get(path)
        .header(http::header::HOST, host.to_string())
        .header(http::header::USER_AGENT, "aami-verify")
        .header(http::header::ACCEPT, "text/plain")
        .body(Empty::<Bytes>::new())
        .map_err(|_| Asked::Broken)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|_| Asked::Broken)?;
        if response.status() != http::StatusCode::OK {
            return Err(Asked::Status(response.status().as_u16()));
        }
        let mut body = response.into_body();
        let mut text = Vec::new();
        while text.len() < ENOUGH {
            let Some(frame) = body.frame().await else { break };
            let Ok(data) = frame.map_err(|_| Asked::Broken)?.into_data() else {
                continue;
            };
            let room = ENOUGH - text.len();
            text.extend_from_slice(&data[..data.len().min(room)]);
        }
        Ok(text)
    };
    // The connection is driven here and dropped with the exchange: nothing outlives the question.
    tokio::select! {
        answer = exchange => answer,
        _ = async { let _ = connection.await; std::future::pending::<()>().await } => Err(Asked::Broken),
    }
}

/// Whether a text begins as the Prometheus text format does: comments, or `name{labels} number`.
fn looks_like_metrics(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let is_sample = |line: &str| {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let named = name
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        let value = rest
            .rsplit_once('}')
            .map_or(rest, |(_, value)| value)
            .split_whitespace()
            .next();
        named
            && value
                .is_some_and(|value| value.parse::<f64>().is_ok() || matches!(value, "NaN" | "+Inf" | "-Inf"))
    };
    lines
        .by_ref()
        .take(50)
        .find(|line| !line.starts_with('#'))
        .is_some_and(is_sample)
        || text.lines().any(|line| line.starts_with("# TYPE "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_from_a_web_page() {
        assert!(looks_like_metrics(b"# HELP up x\n# TYPE up gauge\nup 1\n"));
        assert!(looks_like_metrics(b"node_load1{a=\"}\"} 0.5\n"));
        assert!(!looks_like_metrics(b"<html><body>Sign in</body></html>"));
        assert!(!looks_like_metrics(b""));
        assert!(!looks_like_metrics(&[0xff, 0xfe, 0x00]));
        assert!(!looks_like_metrics(b"SSH-2.0-OpenSSH_9.2p1\r\n"));
    }
}
