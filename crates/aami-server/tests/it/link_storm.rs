//! A fleet that comes back at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_api::link::{Down, Up};
use aami_model::node_status::NodeStatus;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::house::{House, Machine};
use crate::link::hello;

const FLEET: u64 = 2_000;
const TIMEOUT: Duration = Duration::from_secs(20);

type Socket = tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>;

async fn connect(address: std::net::SocketAddr, credential: String, greeting: String) -> Socket {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut request = format!("ws://{address}/ws/node").into_client_request().unwrap();
    let value = format!("Bearer {credential}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.send(Message::Text(greeting.into())).await.unwrap();
    let frame = socket.next().await.unwrap().unwrap();
    let ack: Down = serde_json::from_str(frame.to_text().unwrap()).unwrap();
    assert!(matches!(ack, Down::ConnectionAck(_)), "{ack:?}");
    socket
}

/// Everybody at once; answers how long it took until the last was greeted.
fn all(runtime: &tokio::runtime::Runtime, house: &House, fleet: &[Machine]) -> (Vec<Socket>, Duration) {
    let greeting = serde_json::to_string(&Up::Hello(hello(house))).unwrap();
    let address = house.running().address();
    let begun = Instant::now();
    let joined = fleet
        .iter()
        .map(|machine| runtime.spawn(connect(address, machine.credential.clone(), greeting.clone())));
    let joined: Vec<_> = joined.collect();
    let sockets = runtime.block_on(async {
        let mut sockets = Vec::new();
        for one in joined {
            sockets.push(one.await.unwrap());
        }
        sockets
    });
    (sockets, begun.elapsed())
}

fn offline(house: &House) -> usize {
    let page = house.admin().nodes("?status=offline&limit=500").unwrap();
    page.items.len()
}

#[test]
fn a_fleet_that_reconnects_at_once_after_a_restart_is_never_called_offline() {
    let house = House::with(|config| config.heartbeat_timeout = TIMEOUT);
    let token = house.token(|t| t.max_uses = Some(5_000)).token;
    let fleet: Arc<Vec<Machine>> = Arc::new(
        (0..FLEET)
            .map(|n| {
                Machine::numbered(&format!("gpu-{n:04}"), n + 1).with(|r| {
                    r.exporters.clear();
                    r.ip_address = format!("127.9.{}.{}", n / 250, n % 250 + 1);
                })
            })
            .collect(),
    );
    let enrolling: Vec<_> = (0..8_usize)
        .map(|part| {
            let (fleet, client, token) = (fleet.clone(), house.stranger(), token.clone());
            std::thread::spawn(move || {
                for machine in fleet.iter().skip(part).step_by(8) {
                    machine.register(&client, &token).unwrap();
                }
            })
        })
        .collect();
    for part in enrolling {
        part.join().unwrap();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (sockets, _) = all(&runtime, &house, &fleet);
    // They read on, as agents do, so that they take their farewell.
    for mut socket in sockets {
        runtime.spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
    }
    let stopped = Instant::now();
    let house = house.restart(|config| config.heartbeat_timeout = TIMEOUT);
    println!("stopped and started in {:?}", stopped.elapsed());
    let (sockets, took) = all(&runtime, &house, &fleet);
    println!("{FLEET} nodes came back in {took:?}");
    assert!(took < TIMEOUT, "{took:?}");
    let status: Value = house.admin().get("/api/v1/status").unwrap();
    assert_eq!(status["nodes"]["online"], FLEET, "{status}");
    // Nobody was called offline on the way, and reconnecting alone told nothing.
    assert_eq!(offline(&house), 0);
    let kinds: std::collections::BTreeSet<String> = {
        let mut after = 0;
        let mut kinds = std::collections::BTreeSet::new();
        loop {
            let page = house.admin().events(after, 500).unwrap();
            kinds.extend(page.events.iter().map(|event| event.kind.clone()));
            if page.events.len() < 500 {
                break kinds;
            }
            after = page.last_seq;
        }
    };
    assert!(!kinds.contains("node.disconnected"), "{kinds:?}");
    let node = &house.admin().nodes("?limit=1").unwrap().items[0];
    assert_eq!((node.status, node.connected), (NodeStatus::Online, true));
    drop(sockets);
}
