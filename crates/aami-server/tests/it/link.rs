//! The socket of a node, as an agent and as those meet it who are none.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use aami_api::client::Client;
use aami_api::link::{ConnectionAck, Down, Hello, PROTOCOL, Up};
use aami_api::node::NodeView;
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, Timestamp};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use crate::house::{House, Machine, until};

/// The longest any frame or answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node's agent, as far as its socket goes.
pub struct Agent {
    pub socket: WebSocket<TcpStream>,
}

/// What a request for a socket was refused with: the status and the code.
pub type Refused = (u16, String);

impl Agent {
    /// Opens a socket without greeting.
    pub fn open(house: &House, credential: &str) -> Result<Self, Refused> {
        Self::open_at(house.running().address(), credential)
    }

    pub fn open_at(address: std::net::SocketAddr, credential: &str) -> Result<Self, Refused> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("ws://{address}/ws/node").into_client_request().unwrap();
        let value = format!("Bearer {credential}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                let body = response.body().clone().unwrap_or_default();
                let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
                let code = problem["code"].as_str().unwrap_or_default().to_owned();
                Err((response.status().as_u16(), code))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens one and greets.
    pub fn connect(house: &House, machine: &Machine) -> (Self, ConnectionAck) {
        Self::connect_as(house, machine, |_| {})
    }

    pub fn connect_as(
        house: &House,
        machine: &Machine,
        change: impl FnOnce(&mut Hello),
    ) -> (Self, ConnectionAck) {
        let mut agent = Self::open(house, &machine.credential).unwrap();
        let mut hello = hello(house);
        change(&mut hello);
        agent.say(&Up::Hello(hello));
        match agent.hear() {
            Some(Down::ConnectionAck(ack)) => (agent, ack),
            other => panic!("{other:?}"),
        }
    }

    pub fn say(&mut self, frame: &Up) {
        self.say_text(&serde_json::to_string(frame).unwrap());
    }

    pub fn say_text(&mut self, text: &str) {
        // What it is answered, or that it is closed, is what the stories are about.
        let _ = self.socket.send(Message::Text(text.into()));
    }

    /// The next frame; none when the connection is closed.
    pub fn hear(&mut self) -> Option<Down> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("nothing was heard for {} s", PATIENCE.as_secs())
                }
                Err(_) => return None,
            }
        }
    }

    /// The code it is told before it is closed, and whether it may come back.
    pub fn last_words(&mut self) -> Option<(String, bool)> {
        let mut last = None;
        while let Some(frame) = self.hear() {
            if let Down::Error { code, retry, .. } = frame {
                last = Some((code, retry));
            }
        }
        last
    }

    pub fn beat(&mut self) {
        self.say_text(r#"{"type":"heartbeat"}"#);
    }
}

pub fn hello(house: &House) -> Hello {
    hello_at(aami_server::Clock::now(&*house.clock))
}

pub fn hello_at(time: Timestamp) -> Hello {
    Hello {
        protocol: PROTOCOL,
        agent_version: "1.0.0".into(),
        arch: "amd64".into(),
        boot_id: "boot-1".into(),
        spool: "spool-1".into(),
        inventory_sha256: "a".repeat(64),
        config_revision: None,
        time,
    }
}

/// A machine that is enrolled, and is not reached in any other way than by its agent.
pub fn enrolled(house: &House, name: &str, seed: u8) -> (Machine, NodeId) {
    let token = house.token(|_| {}).token;
    // Nothing answers at this port, so it is not online before its agent is.
    let machine = Machine::new(name, seed).with(|r| r.exporters[0].port = 1);
    let node = machine.register(&house.stranger(), &token).unwrap().node;
    (machine, node.id)
}

pub fn node(house: &House, id: &NodeId) -> NodeView {
    house.admin().node(id).unwrap().body
}

/// What was told of a node, the kinds in order.
pub fn kinds(house: &House, id: &NodeId) -> Vec<String> {
    let events = events(house, id);
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

pub fn events(house: &House, id: &NodeId) -> Vec<Value> {
    let history: Value = house
        .admin()
        .get(&format!("/api/v1/nodes/{id}/history?limit=500"))
        .unwrap();
    history["events"].as_array().unwrap().clone()
}

pub fn until_status(house: &House, id: &NodeId, status: NodeStatus) {
    until(status.name(), || match node(house, id).status {
        now if now == status => Ok(()),
        other => Err(other),
    });
}

/// The store's revision, once nothing is on its way any more.
fn at_rest(admin: &Client) -> String {
    let revision = || {
        let answer = admin.call::<(), Value>(ureq::http::Method::GET, "/api/v1/status", None, &[]);
        answer.unwrap().revision.unwrap()
    };
    let mut last = (revision(), Instant::now());
    until("the store is at rest", || {
        let now = revision();
        if now != last.0 {
            last = (now.clone(), Instant::now());
        }
        // Events are copied to the history within 100 ms.
        (last.1.elapsed() > Duration::from_millis(700))
            .then_some(())
            .ok_or(now)
    });
    last.0
}

fn short(timeout: Duration) -> impl FnOnce(&mut aami_server::Config) {
    move |config| config.heartbeat_timeout = timeout
}

#[test]
fn an_agent_connects_and_its_node_is_online() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    assert_eq!(node(&house, &id).status, NodeStatus::Installing);
    let (mut agent, ack) = Agent::connect(&house, &machine);
    assert_eq!((ack.status.as_str(), &ack.node_id), ("success", &id));
    let cluster = house.admin().status().unwrap().cluster;
    assert!(!cluster.is_empty());
    assert_eq!(
        ack.controller_id, cluster,
        "it says which control plane it talks to"
    );
    assert!(ack.wants_inventory && ack.generation > 0);
    assert_eq!((ack.heartbeat_seconds, ack.received), (30, 0));
    let seen = node(&house, &id);
    assert_eq!((seen.status, seen.connected), (NodeStatus::Online, true));
    let since = aami_server::Clock::now(&*house.clock);
    assert_eq!(seen.connected_since, Some(since));
    assert_eq!(seen.agent_version.as_deref(), Some("1.0.0"));
    assert_eq!(
        kinds(&house, &id),
        ["node.registered", "node.installation_started", "node.connected"]
    );
    let connected = events(&house, &id).pop().unwrap()["data"].clone();
    assert_eq!(connected["nodeName"], "gpu-01");
    assert_eq!(connected["owner"]["orgId"], "default");
    // What it says of itself at this moment is shown, and the last word wins.
    agent.say_text(r#"{"type":"heartbeat","resources":{"cpuPercent":1e9,"load1":2.5}}"#);
    until("its load is shown", || {
        let shown = node(&house, &id).resources;
        match &shown {
            Some(resources) if (resources.load1, resources.cpu_percent) == (2.5, 100.0) => Ok(()),
            _ => Err(shown),
        }
    });
    // However long it stays, it is connected since the same moment; once it has gone, since none.
    house.forward(Duration::from_secs(60));
    agent.beat();
    until("it is seen now", || {
        let seen = node(&house, &id);
        let now = aami_server::Clock::now(&*house.clock);
        match (seen.last_seen, seen.connected_since) {
            (Some(last), Some(began)) if last == now && began == since => Ok(()),
            other => Err(other),
        }
    });
    drop(agent);
    until("it is not connected", || {
        let seen = node(&house, &id);
        match (seen.connected, seen.connected_since) {
            (false, None) => Ok(()),
            other => Err(other),
        }
    });
    // The next connection is another one.
    house.forward(Duration::from_secs(60));
    let (_agent, _) = Agent::connect(&house, &machine);
    let now = aami_server::Clock::now(&*house.clock);
    assert_eq!(node(&house, &id).connected_since, Some(now));
}

#[test]
fn heartbeats_write_nothing() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let mut beat = 0.0_f32;
    // The control plane's own upkeep may write in between, but not every time.
    let wrote_nothing = (0..5).any(|_| {
        let before = at_rest(&house.admin());
        for _ in 0..300 {
            beat += 1.0;
            agent.say_text(&format!(
                r#"{{"type":"heartbeat","resources":{{"load1":{beat}}}}}"#
            ));
        }
        until("the last one is shown", || {
            let load = node(&house, &id).resources.map(|resources| resources.load1);
            if load == Some(beat) { Ok(()) } else { Err(load) }
        });
        at_rest(&house.admin()) == before
    });
    assert!(wrote_nothing);
}

#[test]
fn only_a_node_opens_a_nodes_socket() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let token = house.token(|_| {}).token;
    let run: aami_api::token::Validated = house.stranger().with_bearer(&token).validate().unwrap().body;
    let forged = format!("{}z", &machine.credential[..machine.credential.len() - 1]);
    let other = Machine::new("gpu-02", 2);
    for (who, status, code) in [
        ("", 401, "UNAUTHENTICATED"),
        (forged.as_str(), 401, "UNAUTHENTICATED"),
        // One that was never enrolled here.
        (other.credential.as_str(), 401, "UNAUTHENTICATED"),
        (token.as_str(), 401, "UNAUTHENTICATED"),
        (run.run.as_ref().unwrap().credential.as_str(), 403, "FORBIDDEN"),
        (house.admin_key.as_str(), 403, "FORBIDDEN"),
    ] {
        let refused = Agent::open(&house, who).err().unwrap();
        assert_eq!(refused, (status, code.to_owned()), "{who:.8}");
    }
    // A retired node is told so, over the socket it has and when it asks for another.
    let (mut agent, _) = Agent::connect(&house, &machine);
    house.admin().retire(&id).unwrap();
    assert_eq!(agent.last_words(), Some(("NODE_DECOMMISSIONED".into(), false)));
    let refused = Agent::open(&house, &machine.credential).err().unwrap();
    assert_eq!(refused, (409, "NODE_DECOMMISSIONED".to_owned()));
}

#[test]
fn a_credential_that_was_replaced_opens_nothing_and_closes_what_it_opened() {
    let house = House::new();
    let (machine, _) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let again = Machine::new("gpu-01", 9).with(|r| r.exporters[0].port = 1);
    let token = house.token(|t| t.allow_reenrol = true).token;
    again.register(&house.stranger(), &token).unwrap();
    assert_eq!(agent.last_words(), Some(("UNAUTHENTICATED".into(), false)));
    assert_eq!(Agent::open(&house, &machine.credential).err().unwrap().0, 401);
    Agent::connect(&house, &again);
}

#[test]
fn frames_that_break_the_rules_close_the_connection_with_a_reason() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let greeting = serde_json::to_string(&Up::Hello(hello(&house))).unwrap();
    let bad_hello = greeting.replace("spool-1", "a b");
    let report = |seq: u64| {
        json!({ "type": "report", "seq": seq, "at": Timestamp::EPOCH, "what": { "kind": "lost", "count": 1 } }).to_string()
    };
    let findings = |seq: u64| {
        json!({ "type": "report", "seq": seq, "at": Timestamp::EPOCH, "what": { "kind": "findings", "findings": [] } }).to_string()
    };
    let (first, third, gap) = (findings(1), findings(3), report(9));
    let large = format!(r#"{{"type":"heartbeat","x":"{}"}}"#, "x".repeat(1_100_000));
    let deep = "[".repeat(200_000);
    let stories: &[(&[&str], &str)] = &[
        (&[r#"{"type":"heartbeat"}"#], "OUT_OF_ORDER"),
        (&["nonsense"], "MALFORMED"),
        (&[&bad_hello], "INVALID"),
        (&[&greeting, &greeting], "OUT_OF_ORDER"),
        (&[&greeting, "{"], "MALFORMED"),
        (&[&greeting, &deep], "MALFORMED"),
        (&[&greeting, r#"{"type":"result"}"#], "MALFORMED"),
        (&[&greeting, &large], "TOO_LARGE"),
        (&[&greeting, &first, &third], "OUT_OF_ORDER"),
        (&[&greeting, &first, &gap], "OUT_OF_ORDER"),
    ];
    for (frames, code) in stories {
        let mut agent = Agent::open(&house, &machine.credential).unwrap();
        for frame in *frames {
            agent.say_text(frame);
        }
        let told = agent.last_words();
        assert_eq!(
            told.map(|told| told.0).as_deref(),
            Some(*code),
            "{:.80}",
            frames[frames.len() - 1]
        );
        house.leap(Duration::from_secs(3));
    }
    let mut agent = Agent::open(&house, &machine.credential).unwrap();
    agent.socket.send(Message::Binary(vec![1, 2, 3].into())).unwrap();
    assert_eq!(agent.last_words().unwrap().0, "MALFORMED");
    // The node is none the worse for it, and what a newer agent says is no fault.
    let (mut agent, _) = Agent::connect(&house, &machine);
    agent.say_text(r#"{"type":"dance","steps":3}"#);
    agent.beat();
    assert_eq!(node(&house, &id).status, NodeStatus::Online);
}

#[test]
fn of_two_connections_with_one_key_the_newer_wins_and_the_event_says_so() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut old, first) = Agent::connect(&house, &machine);
    let (mut new, second) = Agent::connect(&house, &machine);
    assert!(second.generation > first.generation);
    // The older one is told and closed; that it closes after the newer opened takes nothing from it.
    assert_eq!(old.last_words(), Some(("CONNECTION_REPLACED".into(), true)));
    drop(old);
    assert!(kinds(&house, &id).contains(&"node.connection_replaced".to_owned()));
    new.say_text(r#"{"type":"heartbeat","resources":{"load1":7}}"#);
    until("the newer one is heard", || {
        let shown = node(&house, &id);
        match shown.resources.as_ref().map(|resources| resources.load1) {
            Some(7.0) if shown.connected && shown.status == NodeStatus::Online => Ok(()),
            _ => Err(Box::new(shown)),
        }
    });
    assert!(!kinds(&house, &id).contains(&"node.disconnected".to_owned()));
}

#[test]
fn two_machines_that_carry_one_credential_are_found_out() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let boots = ["boot-a", "boot-b", "boot-a"];
    let agents: Vec<_> = boots
        .iter()
        .map(|boot| Agent::connect_as(&house, &machine, |hello| hello.boot_id = (*boot).to_owned()))
        .collect();
    let findings = node(&house, &id).findings;
    assert_eq!(findings[0].code, "DUPLICATE_CREDENTIAL", "{findings:?}");
    assert!(kinds(&house, &id).contains(&"finding.opened".to_owned()));
    drop(agents);
}

#[test]
fn a_silent_node_goes_offline_and_comes_back_with_its_next_word() {
    let house = House::with(short(Duration::from_secs(2)));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, ack) = Agent::connect(&house, &machine);
    assert_eq!(ack.heartbeat_seconds, 1);
    let seen = node(&house, &id).last_seen.unwrap();
    until_status(&house, &id, NodeStatus::Offline);
    let told = events(&house, &id).pop().unwrap();
    assert_eq!(told["type"], "node.disconnected");
    assert_eq!(told["data"]["disconnectReason"], "heartbeat_timeout");
    assert_eq!(told["data"]["lastSeenAt"], json!(seen));
    assert_eq!(told["data"]["status"], "offline");
    assert_eq!(
        node(&house, &id).status_reason.as_deref(),
        Some("no heartbeat for 2 s")
    );
    // Its process hung, and goes on: the answers to pings were its library's, the heartbeat is its own.
    agent.beat();
    let mut returned = agent;
    if returned.socket.flush().is_err() || node(&house, &id).status == NodeStatus::Offline {
        returned = Agent::connect(&house, &machine).0;
    }
    until_status(&house, &id, NodeStatus::Online);
    drop(returned);
}

#[test]
fn a_node_that_says_farewell_is_offline_with_its_reason() {
    let house = House::with(short(Duration::from_secs(2)));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    agent.say(&Up::Bye {
        reason: "the host shuts down".into(),
    });
    agent.socket.close(None).unwrap();
    drop(agent);
    until_status(&house, &id, NodeStatus::Offline);
    let told = events(&house, &id).pop().unwrap();
    assert_eq!(told["data"]["disconnectReason"], "agent_stopped");
    let reason = node(&house, &id).status_reason.unwrap();
    assert_eq!(reason, "its agent stopped: the host shuts down");
}

#[test]
fn a_socket_with_nobody_at_the_other_end_is_closed() {
    let house = House::with(short(Duration::from_secs(2)));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    // It reads nothing, so it answers no ping either; the kernel still takes what is sent.
    let (agent, _) = Agent::connect(&house, &machine);
    until("the socket is given up", || match node(&house, &id).connected {
        false => Ok(()),
        true => Err("it counts as connected"),
    });
    until_status(&house, &id, NodeStatus::Offline);
    drop(agent);
}

#[test]
fn a_restart_is_no_reason_to_call_a_node_offline() {
    let house = House::with(short(Duration::from_secs(4)));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (gone, gone_id) = enrolled(&house, "gpu-02", 2);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let (other, _) = Agent::connect(&house, &gone);
    // Hearing and answering go on side by side, as in an agent: the farewell must be taken.
    let hearing = std::thread::spawn(move || {
        let mut spread = None;
        while let Some(frame) = agent.hear() {
            if let Down::Drain { spread_seconds } = frame {
                spread = Some(spread_seconds);
            }
        }
        spread
    });
    drop(other);
    let begun = Instant::now();
    let house = house.restart(short(Duration::from_secs(4)));
    assert_eq!(hearing.join().unwrap(), Some(1));
    // One comes back, the other does not: it has a whole timeout from the start.
    let (mut agent, _) = Agent::connect(&house, &machine);
    until("the one that stays away is offline", || {
        agent.beat();
        match node(&house, &gone_id).status {
            NodeStatus::Offline => Ok(()),
            other => Err(other),
        }
    });
    assert!(begun.elapsed() >= Duration::from_secs(4));
    assert!(!kinds(&house, &id).contains(&"node.disconnected".to_owned()));
    assert_eq!(node(&house, &id).status, NodeStatus::Online);
}

#[test]
fn a_maintenance_ends_by_the_clock_in_whatever_is_then_true() {
    let house = House::with(short(Duration::from_secs(2)));
    let (there, there_id) = enrolled(&house, "gpu-01", 1);
    let (gone, gone_id) = enrolled(&house, "gpu-02", 2);
    let (mut agent, _) = Agent::connect(&house, &there);
    let (other, _) = Agent::connect(&house, &gone);
    let until_time = aami_server::Clock::now(&*house.clock).plus(Duration::from_secs(3600));
    for id in [&there_id, &gone_id] {
        let body = json!({ "reason": "fans", "until": until_time });
        let path = format!("/api/v1/nodes/{id}/maintenance");
        let taken: NodeView = house.admin().post(&path, Some(&body)).unwrap();
        assert_eq!(
            (taken.maintenance_until, taken.expected_until),
            (Some(until_time), Some(until_time))
        );
        // Asked for again without an end, the end stays.
        let again: NodeView = house
            .admin()
            .post(&path, Some(&json!({ "reason": "belts" })))
            .unwrap();
        assert_eq!(again.maintenance_until, Some(until_time));
        // The event says why and until when.
        let told = events(&house, id);
        let told = told.iter().find(|event| event["type"] == "node.maintenance_mode");
        let data = &told.unwrap()["data"];
        assert_eq!(
            (&data["reason"], &data["until"]),
            (&json!("fans"), &json!(until_time))
        );
        let past = json!({ "until": Timestamp::EPOCH });
        assert_eq!(
            crate::house::code_of(house.admin().post::<_, Value>(&path, Some(&past))),
            "INVALID"
        );
    }
    // One stays connected, the other falls silent, which is no news during maintenance.
    drop(other);
    until("its silence is noticed", || {
        agent.beat();
        let shown = node(&house, &gone_id);
        let late = shown
            .last_seen
            .is_some_and(|seen| seen < aami_server::Clock::now(&*house.clock));
        (!shown.connected && !late).then_some(()).ok_or(Box::new(shown))
    });
    assert_eq!(node(&house, &gone_id).status, NodeStatus::Maintenance);
    house.forward(Duration::from_secs(3601));
    until("the one that is there is online", || {
        agent.beat();
        match node(&house, &there_id).status {
            NodeStatus::Online => Ok(()),
            other => Err(other),
        }
    });
    until("the one that is gone is offline", || {
        agent.beat();
        match node(&house, &gone_id).status {
            NodeStatus::Offline => Ok(()),
            other => Err(other),
        }
    });
    let last = kinds(&house, &there_id).pop().unwrap();
    assert_eq!(last, "node.resumed");
    assert_eq!(node(&house, &there_id).maintenance_until, None);
}

#[test]
fn a_control_plane_that_was_stopped_for_a_while_blames_nobody() {
    let timeout = Duration::from_secs(4);
    let house = House::with(short(timeout));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (gone, gone_id) = enrolled(&house, "gpu-02", 2);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let (other, _) = Agent::connect(&house, &gone);
    // Stopped for 30 s, many timeouts; meanwhile the other one left for good.
    drop(other);
    let begun = Instant::now();
    house.leap(Duration::from_secs(30));
    until("the one that left is offline", || {
        agent.beat();
        match node(&house, &gone_id).status {
            NodeStatus::Offline => Ok(()),
            other => Err(other),
        }
    });
    // It had a whole timeout anew, and the one that stayed was never called gone.
    assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
    assert!(!kinds(&house, &id).contains(&"node.disconnected".to_owned()));
}
