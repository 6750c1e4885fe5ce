//! A fleet that enrols: a token for it, and its machines' registrations over HTTP.

use std::net::SocketAddr;
use std::time::Instant;

use crate::client::{Connection, Wire};
use crate::machine::Machine;

/// How many clients register at once.
pub(crate) const CLIENTS: usize = 64;

/// A token for so many machines.
pub(crate) async fn token(address: SocketAddr, admin_key: &str, max_uses: usize) -> String {
    let mut connection = Connection::open(address).await;
    let body = serde_json::json!({ "name": "bench", "max_uses": max_uses, "labels": { "site": "eu-1" } });
    let answer = connection
        .post(admin_key, "/api/v1/bootstrap-tokens", body.to_string())
        .await;
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

/// Registers machines by [`CLIENTS`] clients; answers how many a second.
pub(crate) async fn register(
    address: SocketAddr,
    token: &str,
    machines: impl ExactSizeIterator<Item = Machine>,
) -> f64 {
    let count = machines.len();
    // Making keys, signatures and requests is the machines' work, each on its own cores: it is not timed.
    let mut requests: Vec<Vec<Vec<u8>>> = vec![Vec::new(); CLIENTS];
    for (n, machine) in machines.enumerate() {
        let (body, proof) = machine.registration();
        requests[n % CLIENTS].push(Wire::registration(token, &body, &proof));
    }
    let mut ready = Vec::new();
    for requests in requests {
        ready.push((Wire::open(address).await, requests));
    }
    let start = Instant::now();
    let clients = ready.into_iter().map(|(mut wire, requests)| {
        tokio::spawn(async move {
            for request in requests {
                wire.exchange(&request).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = count as f64 / start.elapsed().as_secs_f64();
    rate
}
