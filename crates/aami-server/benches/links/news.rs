//! From an event to the webhook that is told of it: what agents report, as a real HTTP receiver gets it.

use std::time::{Duration, Instant};

use aami_api::link::{Report, Told, Up, XidTold};
use aami_model::finding::Severity;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::Connection;
use crate::fleet::Agents;
use crate::receiver::Receiver;
use crate::served::Served;
use crate::speech;

/// One event every so often.
const EVERY: Duration = Duration::from_millis(25);
/// How long the last ones may take.
const PATIENCE: Duration = Duration::from_secs(30);
const MARK: &str = "bench event ";

/// How long events took, the quickest first.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }
}

/// Each agent reports one Xid; timed from the frame's first byte until the receiver has the whole request.
pub(crate) async fn measure(served: &Served, agents: &mut Agents<TcpStream>) -> Latencies {
    let receiver = Receiver::new();
    let webhook = serde_json::json!({
        "name": "bench", "url": receiver.url(), "allow_private": true, "rate_per_second": 1000,
        "events": ["node.xid"],
    });
    Connection::open(served.address)
        .await
        .post(&served.admin_key, "/api/v1/webhooks", webhook.to_string())
        .await;
    let mut sent = Vec::new();
    let mut ticks = tokio::time::interval(EVERY);
    for n in 0..agents.len() {
        ticks.tick().await;
        sent.push(Instant::now());
        report(agents.one(n), n).await;
    }
    let deadline = Instant::now() + PATIENCE;
    let mut got = receiver.got();
    while got.len() < sent.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        got = receiver.got();
    }
    let mut taken: Vec<Option<Duration>> = vec![None; sent.len()];
    for one in &got {
        let body = String::from_utf8_lossy(&one.body);
        let at = body.find(MARK).unwrap() + MARK.len();
        let n: usize = body[at..at + 6].parse().unwrap();
        // Told twice, the first time counts.
        taken[n].get_or_insert(one.at - sent[n]);
    }
    let mut all: Vec<Duration> = taken.into_iter().flatten().collect();
    assert_eq!(all.len(), sent.len(), "events that were told");
    all.sort();
    Latencies(all)
}

async fn report<S: AsyncWrite + Unpin>(stream: &mut S, n: usize) {
    let xid = XidTold {
        is_sxid: false,
        code: 79,
        pci: "0000:3b:00.0".to_owned(),
        pid: None,
        name: "GPU has fallen off the bus".to_owned(),
        action: "Reset the GPU; when it comes back, look at its power and its riser.".to_owned(),
        severity: Severity::Critical,
        line: format!("{MARK}{n:06}"),
        count: 1,
    };
    let report = Up::Report(Report {
        seq: 1,
        at: speech::now(),
        what: Told::Xid(xid),
    });
    let frame = speech::frame(&speech::text(&report));
    stream.write_all(&frame).await.unwrap();
}
