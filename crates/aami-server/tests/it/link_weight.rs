//! What a connection leaves behind: little, whatever was said over it; and a connection that is no socket of the network.

use std::io::Write as _;
use std::net::SocketAddr;

use aami_api::link::Down;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::house::{House, Machine};
use crate::link::Agent;

/// How many nodes say much, and how much each says at once: nearly as much as a frame may hold.
const NODES: u64 = 48;
const MUCH: usize = 1000 * 1024;

/// Resident memory of this process in bytes, the control plane's among it.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// A client's text frame, masked with zeros: written by hand, so that this side keeps nothing of it.
fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81, 0x80 | 127];
    bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[test]
fn what_a_node_says_at_length_is_not_kept_for_as_long_as_it_stays() {
    // Given nodes that are connected
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(100)).token;
    let mut agents: Vec<Agent> = (0..NODES)
        .map(|n| {
            let machine = Machine::numbered(&format!("gpu-{n}"), n + 1)
                .with(|r| r.ip_address = format!("127.9.3.{}", n + 1));
            machine.register(&house.stranger(), &token).unwrap();
            Agent::connect(&house, &machine).0
        })
        .collect();
    // when each says one thing that is large
    let text = format!(
        r#"{{"type":"report","seq":1,"at":"2027-01-15T08:00:00Z","what":{{"kind":"dance","steps":"{}"}}}}"#,
        "x".repeat(MUCH)
    );
    let large = frame(&text);
    let say_much = |agent: &mut Agent| {
        agent.socket.get_mut().write_all(&large).unwrap();
        match agent.hear() {
            Some(Down::Received { seq: 1 }) => {}
            other => panic!("{other:?}"),
        }
    };
    // and then what nodes say all the time
    let mut say = |agent: &mut Agent| {
        say_much(agent);
        for _ in 0..10 {
            agent.beat();
        }
        agent.say_text(r#"{"type":"report","seq":2,"at":"2027-01-15T08:00:00Z","what":{"kind":"dance"}}"#);
        match agent.hear() {
            Some(Down::Received { seq: 2 }) => {}
            other => panic!("{other:?}"),
        }
    };
    let (first, others) = agents.split_first_mut().unwrap();
    // (what taking one needs is needed once)
    say(first);
    let before = memory();
    others.iter_mut().for_each(&mut say);
    // then they cost no more than before, and are all still there
    let kept = memory().saturating_sub(before);
    assert!(
        kept < MUCH * others.len() / 4,
        "{kept} bytes of {} kept",
        MUCH * others.len()
    );
    for agent in &mut agents {
        agent.beat();
    }
    assert_eq!(
        house
            .admin()
            .nodes("?status=online&limit=100")
            .unwrap()
            .items
            .len(),
        agents.len()
    );
}

/// What is answered to a request over a stream in memory, from there.
fn ask(house: &House, peer: &str) -> String {
    let peer: SocketAddr = peer.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut ours, theirs) = tokio::io::duplex(512);
        let served = tokio::spawn(house.running().converse(theirs, peer));
        let request = "GET /api/v1/status HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
        ours.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        served.await.unwrap();
        answer
    })
}

#[test]
fn a_stream_in_memory_is_served_as_a_socket_from_there_would_be() {
    let house = House::new();
    // From this machine it is asked who it is; from elsewhere it is told that this is not encrypted.
    let answer = ask(&house, "127.0.0.1:7");
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("UNAUTHENTICATED"),
        "{answer}"
    );
    let answer = ask(&house, "192.0.2.7:7");
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("TLS_REQUIRED"),
        "{answer}"
    );
}
