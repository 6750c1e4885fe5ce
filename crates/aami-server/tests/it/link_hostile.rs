//! What somebody with a node's credential may try over its socket, and what it costs the others: nothing.

use std::io::Write as _;
use std::time::Duration;

use aami_api::command::CommandView;
use aami_api::link::{Down, LARGEST_UP, Up};
use aami_model::command::CommandStatus;
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, Timestamp};
use serde_json::{Value, json};

use crate::house::{House, Machine, until};
use crate::link::{Agent, enrolled, events, hello, kinds, node, until_status};

const FIN: u8 = 0x80;
const TEXT: u8 = 0x1;

/// A frame by hand (RFC 6455, 5.2), its mask all zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        middle @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(long).unwrap().to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Bytes for the socket itself; that it is closed meanwhile is what some of the stories are about.
fn push(agent: &mut Agent, bytes: &[u8]) {
    let stream = agent.socket.get_mut();
    let _ = stream.write_all(bytes);
}

fn report(seq: u64, what: &Value) -> String {
    json!({ "type": "report", "seq": seq, "at": Timestamp::EPOCH, "what": what }).to_string()
}

#[test]
fn bytes_that_are_no_frames_end_the_connection_and_harm_nobody() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (other, other_id) = enrolled(&house, "gpu-02", 2);
    let (mut healthy, _) = Agent::connect(&house, &other);
    let mut endless = frame(FIN | TEXT, b"");
    endless.truncate(1);
    endless.extend([0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let mut unmasked = vec![FIN | TEXT, 20];
    unmasked.extend(b"{\"type\":\"heartbeat\"}");
    let stories: &[(&str, Vec<u8>)] = &[
        ("not masked", unmasked),
        ("compressed", frame(FIN | 0x40 | TEXT, b"{}")),
        ("an opcode of nobody", frame(FIN | 0x3, b"{}")),
        ("a ping in pieces", frame(0x9, b"")),
        ("a ping that is too long", frame(FIN | 0x9, &[0; 126])),
        ("a piece of nothing", frame(FIN, b"{}")),
        ("no text", frame(FIN | TEXT, &[0xc0, 0xff])),
        ("longer than anything", endless),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ];
    for greeted in [false, true] {
        for (what, bytes) in stories {
            let mut agent = Agent::open(&house, &machine.credential).unwrap();
            if greeted {
                agent.say(&Up::Hello(hello(&house)));
                assert!(matches!(agent.hear(), Some(Down::ConnectionAck(_))), "{what}");
            }
            push(&mut agent, bytes);
            // It ends, with words or without; that it does not would be noticed here.
            agent.last_words();
            house.leap(Duration::from_secs(3));
            healthy.beat();
        }
    }
    // Nor does a frame that begins and never ends: the pieces count together.
    let (mut agent, _) = Agent::connect(&house, &machine);
    let piece = vec![b' '; 64 * 1024];
    push(&mut agent, &frame(TEXT, &piece));
    for _ in 0..=LARGEST_UP / piece.len() {
        push(&mut agent, &frame(0, &piece));
    }
    assert_eq!(
        agent.last_words().map(|told| told.0).as_deref(),
        Some("TOO_LARGE")
    );
    // The other node never noticed, and the node itself may come back.
    Agent::connect(&house, &machine);
    assert!(node(&house, &other_id).connected);
    assert!(!kinds(&house, &id).contains(&"node.disconnected".to_owned()));
}

#[test]
fn whoever_opens_a_socket_and_says_nothing_is_let_go() {
    let house = House::new();
    let (machine, _) = enrolled(&house, "gpu-01", 1);
    let mut silent: Vec<Agent> = (0..10)
        .map(|_| Agent::open(&house, &machine.credential).unwrap())
        .collect();
    // One credential opens no more than these at once.
    let refused = Agent::open(&house, &machine.credential).err().unwrap();
    assert_eq!(refused, (429, "RATE_LIMITED".to_owned()));
    // One of them begins a frame and leaves it at that.
    push(&mut silent[0], &[FIN | TEXT, 0x80 | 126]);
    for agent in &mut silent {
        assert_eq!(agent.last_words(), Some(("TIMED_OUT".into(), true)));
    }
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_no_sign_of_life() {
    let house = House::with(|config| config.heartbeat_timeout = Duration::from_secs(2));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    push(&mut agent, &[FIN | TEXT, 0x80 | 126, 0x0f, 0xff, 0, 0, 0, 0]);
    until("the connection is given up", || {
        push(&mut agent, b" ");
        match node(&house, &id).connected {
            false => Ok(()),
            true => Err("it counts as connected"),
        }
    });
}

#[test]
fn what_a_node_says_of_itself_is_shown_without_what_moves_a_terminal_and_never_in_full_length() {
    let house = House::with(|config| config.heartbeat_timeout = Duration::from_secs(2));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let evil = format!("\u{1b}[2J\u{7}\r\n\u{202e}{}", "x".repeat(5_000));
    let xid = json!({ "kind": "xid", "code": u32::MAX, "pci": evil, "name": evil, "action": evil,
        "severity": "critical", "line": evil, "count": u64::MAX });
    let finding = json!({ "code": "EVIL", "subject": evil, "severity": "critical", "summary": evil, "action": evil,
        "since": "9999-12-01T00:00:00.000Z" });
    let check = json!({ "name": evil, "status": "critical", "message": evil, "at": Timestamp::EPOCH });
    let gpu = json!({ "vendor": "nvidia", "model": evil, "memory_bytes": "much" });
    for (seq, what) in [
        xid.clone(),
        xid,
        json!({ "kind": "findings", "findings": [finding] }),
        json!({ "kind": "checks", "checks": [check] }),
        json!({ "kind": "lost", "count": u64::MAX }),
        json!({ "kind": "configured", "revision": evil, "refused": evil }),
        json!({ "kind": "inventory", "sha256": "b".repeat(64), "inventory": { "gpus": { "gpus": [gpu, 7, gpu] } } }),
    ]
    .iter()
    .enumerate()
    {
        agent.say_text(&report(u64::try_from(seq).unwrap() + 1, what));
    }
    agent.say_text(&json!({ "type": "heartbeat", "resources": { "gpus": [{ "pci": evil }] } }).to_string());
    agent.say_text(&report(8, &json!({ "kind": "lost", "count": 1 })));
    loop {
        match agent.hear() {
            Some(Down::Received { seq: 8 }) => break,
            Some(Down::Error { code, message, .. }) => panic!("{code}: {message}"),
            None => panic!("it was closed"),
            Some(_) => {}
        }
    }
    agent.say(&Up::Bye { reason: evil });
    let _ = agent.socket.close(None);
    // It goes and is back, which tells its GPUs.
    until_status(&house, &id, NodeStatus::Offline);
    let (_agent, _) = Agent::connect(&house, &machine);
    let shown = format!("{:?}", (events(&house, &id), node(&house, &id)));
    for moving in ["\\u{1b}", "\\u{7}", "\\r", "\u{1b}", "\u{7}"] {
        assert!(!shown.contains(moving), "{moving:?} is shown");
    }
    assert!(
        !shown.contains(&"x".repeat(1_000)),
        "a text of thousands is shown"
    );
}

#[test]
fn a_node_speaks_for_itself_alone() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (other, _) = enrolled(&house, "gpu-02", 2);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let (mut stranger, _) = Agent::connect(&house, &other);
    let path = format!("/api/v1/nodes/{id}/commands");
    let run = json!({ "command": { "kind": "run_checks" } });
    let given: CommandView = house.admin().post(&path, Some(&run)).unwrap();
    // Another node takes the command, and says how it ended.
    stranger.say(&Up::Accepted {
        command_id: given.id.clone(),
    });
    stranger.say_text(
        &json!({ "type": "result", "commandId": given.id, "ok": true, "message": "mine" }).to_string(),
    );
    stranger.say_text(r#"{"type":"heartbeat","resources":{"load1":3}}"#);
    until("the stranger was heard", || {
        // Its words are taken in order, or it is closed at the first that is not its own.
        let page = house.admin().nodes("?hostname=gpu-02").unwrap();
        let node = &page.items[0];
        let load = node.resources.as_ref().map(|resources| resources.load1);
        if load == Some(3.0) || !node.connected {
            Ok(())
        } else {
            Err(load)
        }
    });
    let now: CommandView = house.admin().get(&format!("{path}/{}", given.id)).unwrap();
    assert_eq!(now.status, CommandStatus::Sent);
    agent.say(&Up::Accepted {
        command_id: given.id.clone(),
    });
    until("the node itself takes it", || {
        let now: CommandView = house.admin().get(&format!("{path}/{}", given.id)).unwrap();
        if now.status == CommandStatus::Accepted {
            Ok(())
        } else {
            Err(now.status)
        }
    });
}

#[test]
fn a_node_that_makes_news_without_end_is_held_back_and_the_others_are_heard() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (other, other_id) = enrolled(&house, "gpu-02", 2);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let many = |prefix: &str| {
        let finding = |n: usize| json!({ "code": format!("{prefix}_{n}"), "severity": "warning", "summary": "s", "action": "a", "since": Timestamp::EPOCH });
        json!({ "kind": "findings", "findings": (0..64).map(finding).collect::<Vec<_>>() })
    };
    // Given a node whose findings are others with each report, a hundred and more events each time,
    for seq in 1..=40 {
        agent.say_text(&report(seq, &many(if seq % 2 == 0 { "EVEN" } else { "ODD" })));
    }
    // when another node has something to say,
    let (mut healthy, _) = Agent::connect(&house, &other);
    healthy.say_text(&report(1, &json!({ "kind": "lost", "count": 1 })));
    until("the other node's news are told", || {
        match kinds(&house, &other_id).contains(&"node.reports_lost".to_owned()) {
            true => Ok(()),
            false => Err(()),
        }
    });
    // then it is heard; and the one that does not end has had its share.
    while !matches!(agent.hear(), Some(Down::Received { seq: 40 })) {}
    assert!((1..=500).contains(&told(&house, &id)), "{}", told(&house, &id));
}

/// How many events about its findings were told.
fn told(house: &House, id: &NodeId) -> usize {
    let (mut after, mut count) = (0, 0);
    let subject = format!("node:{id}");
    loop {
        let page = house.admin().events(after, 500).unwrap();
        let own = page.events.iter().filter(|event| event.subject == subject);
        count += own.filter(|event| event.kind.starts_with("finding.")).count();
        if page.events.len() < 500 {
            return count;
        }
        after = page.last_seq;
    }
}

#[test]
fn credentials_that_are_over_open_nothing() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let token = house.token(|t| t.ttl_seconds = Some(3600)).token;
    let run = house
        .stranger()
        .with_bearer(&token)
        .validate()
        .unwrap()
        .body
        .run
        .unwrap()
        .credential;
    let refused = |who: &str| Agent::open(&house, who).err().map_or(0, |(status, _)| status);
    house.forward(Duration::from_secs(25 * 3600));
    assert_eq!((refused(&token), refused(&run)), (401, 401), "what expired");
    // A node's own lasts until somebody ends it.
    Agent::connect(&house, &machine);
    house.admin().retire(&id).unwrap();
    assert_eq!(refused(&machine.credential), 409, "a retired node's");
    let _: Value = house
        .admin()
        .post(&format!("/api/v1/nodes/{id}/restore"), Some(&json!({})))
        .unwrap();
    assert_eq!(refused(&machine.credential), 401, "a restored node's former one");
    // One of another control plane, for a node of the same name.
    let elsewhere = House::new();
    let stranger = Machine::new("gpu-01", 7);
    let there = elsewhere.token(|_| {}).token;
    stranger.register(&elsewhere.stranger(), &there).unwrap();
    assert_eq!(refused(&stranger.credential), 401, "a foreign one");
}
