//! Several control planes on one etcd, a real one.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use aami_api::client::ClientError;
use aami_api::link::Down;
use aami_model::Timestamp;
use aami_model::node_status::NodeStatus;
use aami_store::{Txn, TxnOutcome, keys};
use rig::Place;
use rig::engines::Etcd;
use serde_json::{Value, json};

use crate::house::{House, Machine, code_of, until};
use crate::link::{Agent, enrolled, events, node, until_status};

/// Two replicas; the second knows the first one's admin key.
pub fn two(etcd: &Etcd<'_>) -> (House, House) {
    let url = format!("etcd://{}", etcd.endpoint());
    let first = House::with(|config| config.store.clone_from(&url));
    let mut second = House::with(|config| config.store.clone_from(&url));
    second.admin_key.clone_from(&first.admin_key);
    (first, second)
}

#[test]
fn fifty_machines_race_over_two_replicas_for_one_use() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let (first, second) = two(&etcd);
    let token = first.token(|_| {}).token;
    until("the other replica knows the token", || {
        second
            .stranger()
            .with_bearer(&token)
            .validate_only()
            .map(drop)
            .map_err(|error| error.to_string())
    });
    let start = Arc::new(Barrier::new(50));
    let racers: Vec<_> = (0..50_u8)
        .map(|n| {
            let client = if n % 2 == 0 {
                first.stranger()
            } else {
                second.stranger()
            };
            let (token, start) = (token.clone(), start.clone());
            std::thread::spawn(move || {
                start.wait();
                Machine::new(&format!("gpu-{n:02}"), n + 1).register(&client, &token)
            })
        })
        .collect();
    let results: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for result in results.into_iter().filter(Result::is_err) {
        assert_eq!(code_of(result), "TOKEN_EXHAUSTED");
    }
    // Both show the one winner.
    for house in [&first, &second] {
        until("the replica shows the winner", || {
            match house.admin().nodes("").unwrap().items.len() {
                1 => Ok(()),
                other => Err(other),
            }
        });
    }
}

#[test]
fn what_one_replica_writes_the_other_can_be_asked_for() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let (first, second) = two(&etcd);
    let body = serde_json::json!({ "hostname": "gpu-01", "ip_address": "127.9.2.1" });
    let post = ureq::http::Method::POST;
    let created = first
        .admin()
        .call::<_, aami_api::node::NodeView>(post, "/api/v1/nodes", Some(&body), &[])
        .unwrap();
    // The other waits until it has seen that revision.
    let revision = created.revision.unwrap();
    let path = format!("/api/v1/nodes/{}", created.body.id);
    let get = ureq::http::Method::GET;
    let seen = second
        .admin()
        .call::<(), aami_api::node::NodeView>(get, &path, None, &[("AAMI-Min-Revision", &revision)])
        .unwrap();
    assert_eq!(seen.body.status, NodeStatus::Pending);
}

#[test]
fn etcd_gone_and_back_loses_nothing_that_was_acknowledged() {
    let mut etcd = Etcd::start(Place::Loopback).unwrap();
    let (first, second) = two(&etcd);
    let token = first.token(|t| t.max_uses = Some(50)).token;
    let mut known = Vec::new();
    for n in 0..5_u8 {
        let machine = Machine::new(&format!("gpu-{n}"), n + 1);
        known.push((
            machine.register(&first.stranger(), &token).unwrap().node.id,
            machine,
        ));
    }
    etcd.kill().unwrap();
    // Reads go on from memory, writes are refused with what to do.
    assert_eq!(first.admin().nodes("").unwrap().items.len(), 5);
    let refused = Machine::new("late", 99).register(&first.stranger(), &token);
    match refused {
        Err(ClientError::Refused(problem)) => {
            assert!(
                ["STORE_UNAVAILABLE", "OUTCOME_UNKNOWN"].contains(&problem.code.as_str()),
                "{problem:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    etcd.start_again().unwrap();
    // The same request, repeated until it is taken: once.
    let late = Machine::new("late", 99);
    let mut id = None;
    until("the late machine is registered", || {
        late.register(&first.stranger(), &token)
            .map(|answer| id = Some(answer.node.id))
            .map_err(|e| e.to_string())
    });
    known.push((id.unwrap(), late));
    for house in [&first, &second] {
        until("the replica has caught up", || {
            match house.admin().nodes("").unwrap().items.len() {
                6 => Ok(()),
                other => Err(other),
            }
        });
    }
    for (id, machine) in &known {
        let again = machine.register(&second.stranger(), &token).unwrap();
        assert_eq!(again.node.id, *id);
    }
    assert_eq!(first.admin().tokens("").unwrap().items[0].used, 6);
}

#[test]
fn a_connection_that_was_written_and_never_took_its_place_has_a_whole_timeout_and_no_more() {
    let timeout = Duration::from_secs(2);
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let url = format!("etcd://{}", etcd.endpoint());
    let house = House::with(|config| {
        config.store.clone_from(&url);
        config.heartbeat_timeout = timeout;
    });
    // Given a node that was connected, and is gone.
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    drop(Agent::connect(&house, &machine));
    until_status(&house, &id, NodeStatus::Offline);
    let before = events(&house, &id).len();
    // When its next connection is written, and whoever wrote it never learns that it was.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let begun = runtime.block_on(async {
        let store = aami_store::open(&url).await.unwrap();
        let conn = store.get(&keys::conn(&id)).await.unwrap().unwrap();
        let node = store.get(&keys::node(&id)).await.unwrap().unwrap();
        let mut online: Value = serde_json::from_slice(&node.value).unwrap();
        (online["status"], online["reachable"]) = (json!("online"), json!(true));
        let begun = Instant::now();
        let written = Txn::new()
            .put(keys::conn(&id), conn.value)
            .put(keys::node(&id), serde_json::to_vec(&online).unwrap());
        let wrote = store.txn(written).await.unwrap();
        assert!(matches!(wrote, TxnOutcome::Committed(_)));
        begun
    });
    // Then it is not judged by what was heard over the one before, and is gone after a timeout of its own.
    until("it is written off once more", || {
        let told = events(&house, &id).split_off(before);
        let last = told.last().map(|event| event["type"].clone());
        (last == Some(json!("node.disconnected")))
            .then_some(())
            .ok_or(told)
    });
    assert!(begun.elapsed() >= timeout, "{:?}", begun.elapsed());
}

#[test]
fn a_node_whose_report_cannot_be_kept_is_told_all_the_same_that_the_control_plane_stops() {
    let mut etcd = Etcd::start(Place::Loopback).unwrap();
    let url = format!("etcd://{}", etcd.endpoint());
    let mut house = House::with(|config| config.store.clone_from(&url));
    let (machine, id) = enrolled(&house, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&house, &machine);
    // Given a report that waits for a store that is away.
    etcd.kill().unwrap();
    let report = json!({ "kind": "lost", "count": 1 });
    let report = json!({ "type": "report", "seq": 1, "at": Timestamp::EPOCH, "what": report });
    agent.say_text(r#"{"type":"heartbeat","resources":{"load1":7}}"#);
    agent.say_text(&report.to_string());
    until("what was said just before it is heard", || {
        let load = node(&house, &id).resources.map(|resources| resources.load1);
        if load == Some(7.0) { Ok(()) } else { Err(load) }
    });
    // When the control plane stops,
    let hearing = std::thread::spawn(move || agent.hear());
    house.stop();
    // Then that is what the node is told, and not that its report could not be taken.
    let told = hearing.join().unwrap();
    assert!(matches!(told, Some(Down::Drain { .. })), "{told:?}");
}
