//! Status changes as operators make them, and how long each takes to every dashboard.

use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::report::millis;
use crate::screens::{Latencies, Screens};
use crate::served::Served;

/// How often one is made.
pub(crate) const EVERY: Duration = Duration::from_millis(100);

pub(crate) fn told(latencies: &Latencies) -> String {
    let at = |share: f64| millis(latencies.percentile(share));
    format!("p50 {}, p99 {}, last {}", at(0.5), at(0.99), at(1.0))
}

/// Keys of viewers, each for a hundred dashboards.
pub(crate) async fn keys(served: &Served, dashboards: usize) -> Vec<String> {
    let mut connection = Connection::open(served.address).await;
    let mut keys = Vec::new();
    for n in 0..dashboards.div_ceil(100) {
        let body = format!(r#"{{"name":"bench {n}","role":"viewer"}}"#);
        let answer = connection.post(&served.admin_key, "/api/v1/keys", body).await;
        let key: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        keys.push(key["key"].as_str().unwrap().to_owned());
    }
    keys
}

fn verb(status: &str) -> &'static str {
    match status {
        "inactive" => "decommission",
        "pending" => "restore",
        "maintenance" => "maintenance",
        "online" => "resume",
        other => panic!("nobody asks for {other}"),
    }
}

/// Changes one node after the other, and times each until each dashboard has it: since it was asked for, and since the
/// answer that it is done.
pub(crate) async fn change(
    served: &Served,
    screens: &Screens,
    nodes: &[String],
    status: &'static str,
) -> (Latencies, Latencies) {
    let (mut sent, mut made) = (Vec::new(), Vec::new());
    let mut connection = Connection::open(served.address).await;
    let mut ticks = tokio::time::interval(EVERY);
    screens.expect(status);
    for node in nodes {
        ticks.tick().await;
        sent.push((node.clone(), Instant::now()));
        let path = format!("/api/v1/nodes/{node}/{}", verb(status));
        connection.post(&served.admin_key, &path, "{}".to_owned()).await;
        made.push((node.clone(), Instant::now()));
    }
    (screens.gather(&sent).await, screens.gather(&made).await)
}
