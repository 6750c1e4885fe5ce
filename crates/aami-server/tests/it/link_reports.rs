//! What connected nodes report, and what they are told to do.

use std::time::Duration;

use aami_api::command::{CommandView, Commands};
use aami_api::link::{CommandResult, Down, Order, Up};
use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::{NodeId, Timestamp};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::house::{House, code_of, until};
use crate::link::{Agent, enrolled, events, kinds, node};

fn report(agent: &mut Agent, seq: u64, what: &Value) {
    let frame = json!({ "type": "report", "seq": seq, "at": Timestamp::EPOCH, "what": what });
    agent.say_text(&frame.to_string());
}

fn received(agent: &mut Agent, through: u64) {
    loop {
        match agent.hear() {
            Some(Down::Received { seq }) if seq >= through => return,
            Some(Down::Received { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn finding(code: &str, severity: &str) -> Value {
    json!({ "code": code, "severity": severity, "summary": "a\u{1b}[31mb", "action": "look", "since": Timestamp::EPOCH })
}

fn told(house: &House, id: &NodeId, kind: &str) -> Vec<Value> {
    let events = events(house, id).into_iter();
    events.filter(|event| event["type"] == kind).collect()
}

#[test]
fn findings_open_and_close_once_however_often_they_are_said() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let two = json!({ "kind": "findings", "findings": [finding("GPU_LOST", "critical"), finding("DISK_FULL", "warning"), finding("not a code", "info")] });
    let one = json!({ "kind": "findings", "findings": [finding("DISK_FULL", "warning")] });
    report(&mut agent, 1, &two);
    // The same again, the same number again, then less.
    report(&mut agent, 2, &two);
    report(&mut agent, 2, &one);
    report(&mut agent, 3, &one);
    received(&mut agent, 3);
    let opened = told(&house, &id, "finding.opened");
    assert_eq!(opened.len(), 2, "{opened:?}");
    assert_eq!(opened[0]["data"]["code"], "GPU_LOST");
    assert_eq!(opened[0]["data"]["summary"], "a[31mb");
    assert_eq!(told(&house, &id, "finding.closed").len(), 1);
    let left = node(&house, &id).findings;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].code, "DISK_FULL");
    // Its status is another matter.
    assert_eq!(
        node(&house, &id).status,
        aami_model::node_status::NodeStatus::Online
    );
}

#[test]
fn more_findings_than_one_transaction_tells_are_all_told() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let many = |prefix: &str| {
        let all: Vec<Value> = (0..90)
            .map(|n| finding(&format!("{prefix}_{n}"), "warning"))
            .collect();
        json!({ "kind": "findings", "findings": all })
    };
    report(&mut agent, 1, &many("OLD"));
    report(&mut agent, 2, &many("NEW"));
    received(&mut agent, 2);
    // At most 64 are kept, and each of them is told.
    assert_eq!(told(&house, &id, "finding.opened").len(), 128);
    assert_eq!(told(&house, &id, "finding.closed").len(), 64);
    assert_eq!(node(&house, &id).findings.len(), 64);
}

#[test]
fn a_report_is_taken_once_also_over_a_restart_and_a_new_spool_begins_anew() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let lost = json!({ "kind": "lost", "count": 3 });
    report(&mut agent, 1, &lost);
    report(&mut agent, 2, &lost);
    received(&mut agent, 2);
    drop(agent);
    let house = house.restart(|_| {});
    let (mut agent, ack) = Agent::connect(&house, &machine);
    assert_eq!(ack.received, 2);
    // It was not told in time, and says the last two again.
    report(&mut agent, 1, &lost);
    report(&mut agent, 2, &lost);
    report(&mut agent, 3, &lost);
    received(&mut agent, 3);
    assert_eq!(told(&house, &id, "node.reports_lost").len(), 3);
    let (mut agent, ack) = Agent::connect_as(&house, &machine, |hello| hello.spool = "spool-2".into());
    assert_eq!(ack.received, 0);
    report(&mut agent, 1, &lost);
    received(&mut agent, 1);
    assert_eq!(told(&house, &id, "node.reports_lost").len(), 4);
}

#[test]
fn of_reports_that_come_in_one_piece_each_is_taken() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    for seq in 1..=100 {
        let what = json!({ "kind": "lost", "count": 1 });
        let frame = json!({ "type": "report", "seq": seq, "at": Timestamp::EPOCH, "what": what });
        agent.socket.write(frame.to_string().into()).unwrap();
    }
    agent.socket.flush().unwrap();
    received(&mut agent, 100);
    assert_eq!(told(&house, &id, "node.reports_lost").len(), 100);
}

#[test]
fn a_storm_of_xids_is_folded_and_counted() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let xid = json!({ "kind": "xid", "code": 79, "pci": "0000:3b:00.0", "name": "GPU has fallen off the bus",
        "action": "Restart the node", "severity": "critical", "line": "NVRM: Xid 79", "count": 1 });
    for seq in 1..=25 {
        report(&mut agent, seq, &xid);
    }
    received(&mut agent, 25);
    assert_eq!(told(&house, &id, "node.xid").len(), 10);
    // When the storm is over, the next one says how many were folded.
    house.forward(Duration::from_secs(700));
    report(&mut agent, 26, &xid);
    received(&mut agent, 26);
    let last = told(&house, &id, "node.xid").pop().unwrap();
    assert_eq!(
        (&last["data"]["folded"], &last["data"]["code"]),
        (&json!(15), &json!(79))
    );
}

#[test]
fn a_check_is_news_when_its_status_changes() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let check = |name: &str, status: &str| json!({ "kind": "checks", "checks": [{ "name": name, "status": status, "message": "m", "at": Timestamp::EPOCH }] });
    for (seq, status) in ["ok", "ok", "critical", "critical", "bogus", "ok"]
        .iter()
        .enumerate()
    {
        report(&mut agent, seq as u64 + 1, &check("mounts", status));
    }
    report(&mut agent, 7, &check("nvme", "ok"));
    // Reports that say nothing new are acknowledged with the next one that does.
    report(&mut agent, 8, &check("nvme", "warning"));
    received(&mut agent, 8);
    let changes: Vec<(String, String)> = told(&house, &id, "check.changed")
        .iter()
        .map(|event| {
            (
                event["data"]["check"].to_string(),
                event["data"]["to"].to_string(),
            )
        })
        .collect();
    let expected = [("mounts", "critical"), ("mounts", "ok"), ("nvme", "warning")];
    let expected: Vec<_> = expected
        .iter()
        .map(|(a, b)| (format!("{a:?}"), format!("{b:?}")))
        .collect();
    assert_eq!(changes, expected);
}

/// What the events of this kind about a node say, however many there are.
fn all_told(house: &House, id: &NodeId, kind: &str) -> Vec<Value> {
    let (mut all, mut after, subject) = (Vec::new(), 0, format!("node:{id}"));
    loop {
        let page = house.admin().events(after, 500).unwrap();
        let mine = page.events.iter().filter(|event| event.subject == subject);
        let about = mine.filter(|event| event.kind == kind);
        all.extend(about.map(|event| event.data.clone()));
        if page.events.len() < 500 {
            return all;
        }
        after = page.last_seq;
    }
}

#[test]
fn a_check_that_is_told_many_times_at_once_is_told_by_its_last_word() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    // Given one frame that says fifty times something else of one check, and something unknown in the end.
    let statuses = (0..50).map(|n| if n % 2 == 0 { "critical" } else { "warning" });
    let checks: Vec<Value> = statuses
        .chain(["bogus"])
        .map(|status| json!({ "name": "a\u{7}", "status": status, "at": Timestamp::EPOCH }))
        .collect();
    report(&mut agent, 1, &json!({ "kind": "checks", "checks": checks }));
    report(&mut agent, 2, &json!({ "kind": "lost", "count": 1 }));
    // Then it is taken to its end, and what follows as well.
    received(&mut agent, 2);
    let changes = told(&house, &id, "check.changed");
    assert_eq!(changes.len(), 1, "{changes:?}");
    let data = &changes[0]["data"];
    assert_eq!((&data["check"], &data["to"]), (&json!("a"), &json!("warning")));
}

#[test]
fn checks_that_take_the_place_of_others_are_told_once_each() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let many = |prefix: &str| {
        let all: Vec<Value> = (0..256)
            .map(|n| json!({ "name": format!("{prefix}-{n}"), "status": "failed", "at": Timestamp::EPOCH }))
            .collect();
        json!({ "kind": "checks", "checks": all })
    };
    // The clock of this control plane stands: all are equally old.
    report(&mut agent, 1, &many("old"));
    report(&mut agent, 2, &many("new"));
    report(&mut agent, 3, &json!({ "kind": "configured", "revision": "r1" }));
    received(&mut agent, 3);
    // As many as a node may tell in this time, and then no more.
    assert_eq!(all_told(&house, &id, "check.changed").len(), 500);
    assert_eq!(all_told(&house, &id, "node.configured").len(), 0);
    // When the time is over the next one says how many were not told.
    house.forward(Duration::from_secs(700));
    report(&mut agent, 4, &json!({ "kind": "configured", "revision": "r2" }));
    received(&mut agent, 4);
    let configured = all_told(&house, &id, "node.configured").pop().unwrap();
    assert_eq!(
        (&configured["revision"], &configured["events_folded"]),
        (&json!("r2"), &json!(13))
    );
}

#[test]
fn an_inventory_is_asked_for_when_it_is_not_known_and_read_back() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let path = format!("/api/v1/nodes/{id}/inventory");
    assert_eq!(code_of(house.admin().get::<Value>(&path)), "NOT_FOUND");
    let (mut agent, ack) = Agent::connect(&house, &machine);
    assert!(ack.wants_inventory);
    let inventory = json!({ "hostname": "gpu-01", "gpus": { "gpus": [{ "model": "H100", "memory_bytes": 85_899_345_920_u64 }] } });
    report(
        &mut agent,
        1,
        &json!({ "kind": "inventory", "sha256": "a".repeat(64), "inventory": inventory }),
    );
    received(&mut agent, 1);
    let read: Value = house.admin().get(&path).unwrap();
    assert_eq!(read["inventory"], inventory);
    let (_agent, ack) = Agent::connect(&house, &machine);
    assert!(!ack.wants_inventory, "it is known already");
    // Somebody who looked in another way may say it as well.
    let put = house.admin().call::<Value, Value>(
        Method::PUT,
        &path,
        Some(&json!({ "hostname": "gpu-01", "disks": [] })),
        &[],
    );
    put.unwrap();
    let read: Value = house.admin().get(&path).unwrap();
    assert_eq!(read["inventory"]["disks"], json!([]));
    let (_agent, ack) = Agent::connect(&house, &machine);
    assert!(ack.wants_inventory, "the node has another");
}

fn give(house: &House, id: &NodeId, body: &Value) -> Result<CommandView, aami_api::client::ClientError> {
    house
        .admin()
        .post(&format!("/api/v1/nodes/{id}/commands"), Some(body))
}

fn ordered(agent: &mut Agent) -> Order {
    loop {
        match agent.hear() {
            Some(Down::Command(order)) => return order,
            Some(_) => {}
            None => panic!("the connection ended"),
        }
    }
}

fn status(house: &House, id: &NodeId, command: &CommandView) -> CommandView {
    let path = format!("/api/v1/nodes/{id}/commands/{}", command.id);
    house.admin().get(&path).unwrap()
}

fn until_is(house: &House, id: &NodeId, command: &CommandView, wanted: CommandStatus) -> CommandView {
    until("the command's status", || {
        let now = status(house, id, command);
        if now.status == wanted {
            Ok(())
        } else {
            Err(Box::new(now))
        }
    });
    status(house, id, command)
}

#[test]
fn a_command_is_sent_taken_and_answered() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let run = json!({ "command": { "kind": "run_checks" } });
    assert_eq!(code_of(give(&house, &id, &run)), "NODE_NOT_CONNECTED");
    let (mut agent, _) = Agent::connect(&house, &machine);
    let given = give(&house, &id, &run).unwrap();
    assert_eq!(given.status, CommandStatus::Sent);
    let order = ordered(&mut agent);
    assert_eq!(
        (&order.command_id, &order.command),
        (&given.id, &NodeCommand::RunChecks)
    );
    agent.say(&Up::Accepted {
        command_id: order.command_id.clone(),
    });
    until_is(&house, &id, &given, CommandStatus::Accepted);
    let result = CommandResult {
        command_id: order.command_id,
        ok: true,
        code: None,
        message: "done".into(),
        output: "line\n".repeat(10_000),
    };
    agent.say(&Up::Result(result.clone()));
    // Said twice it is the same.
    agent.say(&Up::Result(CommandResult { ok: false, ..result }));
    let ended = until_is(&house, &id, &given, CommandStatus::Completed);
    assert_eq!(ended.output.unwrap().len(), 50_000);
    let kinds = kinds(&house, &id);
    let about: Vec<_> = kinds.iter().filter(|kind| kind.starts_with("command.")).collect();
    assert_eq!(about, ["command.sent", "command.accepted", "command.completed"]);
    let audit = house.admin().audit(0, 500).unwrap();
    assert!(
        audit
            .entries
            .iter()
            .any(|entry| entry.action == "node.command" && entry.actor.starts_with("key:"))
    );
    let all: Commands = house
        .admin()
        .get(&format!("/api/v1/nodes/{id}/commands"))
        .unwrap();
    assert_eq!(all.commands.len(), 1);
    assert_eq!(all.commands[0].output, None);
}

#[test]
fn a_command_that_nobody_answers_ends_as_unknown_and_a_late_answer_is_taken() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    let given = give(
        &house,
        &id,
        &json!({ "command": { "kind": "diagnose" }, "timeout_seconds": 60 }),
    )
    .unwrap();
    let order = ordered(&mut agent);
    // The connection breaks before the node took it: over the next one it is told again.
    drop(agent);
    let (mut agent, _) = Agent::connect(&house, &machine);
    assert_eq!(ordered(&mut agent).command_id, order.command_id);
    agent.say(&Up::Accepted {
        command_id: order.command_id.clone(),
    });
    until_is(&house, &id, &given, CommandStatus::Accepted);
    house.forward(Duration::from_secs(100));
    let ended = until_is(&house, &id, &given, CommandStatus::Unknown);
    assert!(ended.message.contains("may or may not"), "{ended:?}");
    agent.say(&Up::Result(CommandResult {
        command_id: order.command_id,
        ok: false,
        code: Some("DISK_FULL".into()),
        message: "no room".into(),
        output: String::new(),
    }));
    let ended = until_is(&house, &id, &given, CommandStatus::Failed);
    assert_eq!(ended.code.as_deref(), Some("DISK_FULL"));
}

#[test]
fn there_is_no_free_form_command_and_no_end_of_commands() {
    let house = House::new();
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (_agent, _) = Agent::connect(&house, &machine);
    for command in [
        json!({ "kind": "run", "program": "/bin/sh" }),
        json!({ "kind": "update_agent", "version": "../../evil" }),
        json!({ "kind": "update_agent", "version": "http://evil/" }),
        json!({ "kind": "restart_exporter", "exporter": "sshd" }),
    ] {
        let code = code_of(give(&house, &id, &json!({ "command": command })));
        assert!(
            ["MALFORMED", "INVALID"].contains(&code.as_str()),
            "{code} {command}"
        );
    }
    let refresh = json!({ "command": { "kind": "refresh_inventory" } });
    for _ in 0..8 {
        give(&house, &id, &refresh).unwrap();
    }
    assert_eq!(code_of(give(&house, &id, &refresh)), "COMMANDS_WAITING");
}
