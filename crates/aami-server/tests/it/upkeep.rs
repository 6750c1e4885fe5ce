//! What is tidied away, and what a stop waits for.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use aami_api::register::ExporterInfo;
use aami_api::token::Validated;
use aami_model::exporter::ExporterKind;
use aami_model::run::{RunEvent, RunEventKind, RunStatus};
use serde_json::{Value, json};

use crate::house::{House, Machine, code_of, until};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Makes a group under an `Idempotency-Key`; answers the status.
fn make_group(house: &House, name: &str, key: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    agent
        .post(format!("{}/api/v1/groups", house.base))
        .header("authorization", format!("Bearer {}", house.admin_key))
        .header("idempotency-key", key)
        .send(json!({ "name": name }).to_string().as_bytes())
        .unwrap()
        .status()
        .as_u16()
}

#[test]
fn every_idempotency_key_is_forgotten_after_a_day_however_many_there_are() {
    let house = House::new();
    for n in 0..230 {
        assert_eq!(
            make_group(&house, &format!("first {n}"), &format!("key-{n:03}")),
            201
        );
    }
    assert_ne!(make_group(&house, "other", "key-229"), 201, "it is still known");
    house.forward(DAY + Duration::from_secs(1));
    // The round comes every five minutes of real time; a restart begins one at once.
    let house = house.restart(|_| {});
    for n in [0, 115, 229] {
        until("it is forgotten", || {
            match make_group(&house, &format!("second {n}"), &format!("key-{n:03}")) {
                201 => Ok(()),
                status => Err(status),
            }
        });
    }
}

#[test]
fn a_run_that_ended_is_kept_as_long_as_the_history_and_no_longer() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let client = house.stranger();
    let opened: Validated = client.with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let ended = RunEvent {
        seq: 1,
        at: aami_model::Timestamp::EPOCH,
        kind: RunEventKind::RunFinished {
            status: RunStatus::Completed,
            duration_ms: 1,
        },
    };
    client
        .with_bearer(&run.credential)
        .report(&run.id, vec![ended])
        .unwrap();
    let runs = |house: &House| -> usize {
        let page: Value = house.admin().get("/api/v1/runs").unwrap();
        page["items"].as_array().unwrap().len()
    };

    house.forward(DAY * 2);
    let house = house.restart(|config| config.history_keep = DAY * 3);
    assert_eq!(runs(&house), 1);
    house.forward(DAY * 2);
    let house = house.restart(|config| config.history_keep = DAY * 3);
    until("it is gone", || match runs(&house) {
        0 => Ok(()),
        left => Err(left),
    });
}

#[test]
fn a_token_leaves_no_more_runs_behind_than_it_may_have() {
    let house = House::with(|config| config.open_rate = 10_000);
    let token = house.token(|t| t.max_uses = Some(1)).token;
    let client = house.stranger();
    // Given somebody who opens runs with it and ends them, again and again
    let mut last = None;
    for _ in 0..130 {
        let run = client.with_bearer(&token).validate().unwrap().body.run.unwrap();
        let ended = RunEvent {
            seq: 1,
            at: aami_model::Timestamp::EPOCH,
            kind: RunEventKind::RunFinished {
                status: RunStatus::Completed,
                duration_ms: 1,
            },
        };
        let own = client.with_bearer(&run.credential);
        own.report(&run.id, vec![ended]).unwrap();
        last = Some(run.id);
    }
    // then as many are kept as it has uses, and a hundred, and the newest among them.
    let page: Value = house.admin().get("/api/v1/runs?limit=1000").unwrap();
    let kept = page["items"].as_array().unwrap();
    assert_eq!(kept.len(), 101);
    assert!(
        kept.iter()
            .any(|run| run["id"] == last.as_ref().unwrap().as_str())
    );
}

#[test]
fn a_clock_that_jumps_ahead_does_not_cost_the_history() {
    // Given a control plane with something to remember, whose clock is ten years ahead after a restart
    let house = House::new();
    assert_eq!(make_group(&house, "remember me", "key"), 201);
    house.forward(DAY * 3650);
    let house = house.restart(|_| {});

    // when it has tidied, which forgets idempotency keys after the history is pruned,
    until("it has tidied", || match make_group(&house, "other", "key") {
        201 => Ok(()),
        status => Err(status),
    });

    // then what was remembered still is.
    let events = house.admin().events(0, 100).unwrap();
    let text = serde_json::to_string(&events).unwrap();
    assert!(text.contains("remember me"), "{text}");
}

#[test]
fn a_report_repeated_under_its_key_gets_its_answer_again() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let opened: Validated = house.stranger().with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let event = RunEvent {
        seq: 7,
        at: aami_model::Timestamp::EPOCH,
        kind: RunEventKind::RunStarted {
            plan: "node".into(),
            steps: Vec::new(),
        },
    };
    let body = json!({ "events": [event] }).to_string();
    for _ in 0..2 {
        let told = ureq::post(format!("{}/api/v1/runs/{}/events", house.base, run.id))
            .header("authorization", format!("Bearer {}", run.credential))
            .header("idempotency-key", "once")
            .send(body.as_bytes())
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        assert_eq!(told, r#"{"accepted_through":7}"#);
    }
}

#[test]
fn a_node_is_verified_for_a_few_at_once_and_not_for_everybody_who_asks() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    // It takes connections and says nothing, for as long as it is asked.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let machine = Machine::new("gpu-01", 1).with(|r| {
        r.ip_address = "127.0.0.1".into();
        r.exporters = vec![ExporterInfo::new(ExporterKind::NodeExporter, port)];
    });
    let id = machine.register(&house.stranger(), &token).unwrap().node.id;
    let own = house.stranger().with_bearer(&machine.credential);
    let refused = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..6).map(|_| scope.spawn(|| code_of(own.verify(&id)))).collect();
        let codes = asking.into_iter().map(|asked| asked.join().unwrap());
        codes.filter(|code| code == "RATE_LIMITED").count()
    });
    assert_eq!(refused, 2);
}

#[test]
fn a_connection_that_says_nothing_does_not_hold_up_a_stop() {
    let mut house = House::new();
    let silent = TcpStream::connect(house.running().address()).unwrap();
    // Accepted in order: once this is answered, so is the one before it.
    house.stranger().health().unwrap();
    let began = Instant::now();
    house.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(silent);
}
