//! What happens to nodes over time, what is told of it, and what a caller may rely on.

use std::net::TcpListener;
use std::time::Duration;

use aami_api::node::{Hop, NodeView};
use aami_api::register::ExporterInfo;
use aami_api::token::Validated;
use aami_model::exporter::ExporterKind;
use aami_model::node_status::NodeStatus;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome, StepSummary};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::discovery::metrics_server;
use crate::house::{House, Machine, code_of, until};

#[test]
fn verifying_names_the_hop_that_failed() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(9)).token;
    // A port nothing listens on, one that says nothing useful, and a real one.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let page = page_server();
    for (seed, port, hop) in [
        (1, closed, Some(Hop::Refused)),
        (2, page, Some(Hop::NotMetrics)),
        (3, metrics_server(), None),
    ] {
        let machine = Machine::new(&format!("gpu-{seed}"), seed).with(|r| {
            r.ip_address = "127.0.0.1".into();
            r.exporters[0].port = port;
        });
        let node = machine.register(&house.stranger(), &token).unwrap().node;
        let own = house.stranger().with_bearer(&machine.credential);
        let verified = own.verify(&node.id).unwrap();
        assert_eq!(verified.exporters[0].hop, hop, "{}", verified.exporters[0].detail);
        assert_eq!(verified.verified, hop.is_none());
        let status = house.admin().node(&node.id).unwrap().body;
        if hop.is_none() {
            assert_eq!(status.status, NodeStatus::Online);
        } else {
            assert_eq!(status.status, NodeStatus::Installing);
            assert_eq!(
                status.status_reason.as_deref(),
                Some(verified.exporters[0].detail.as_str())
            );
        }
    }
}

fn page_server() -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>",
            );
        }
    });
    port
}

#[test]
fn an_operator_takes_a_node_out_and_brings_it_back() {
    let house = House::new();
    let admin = house.admin();
    let token = house.token(|_| {}).token;
    let node = Machine::new("gpu-01", 1)
        .with(|r| r.exporters.clear())
        .register(&house.stranger(), &token)
        .unwrap()
        .node;
    let call = |verb: &str| {
        admin.post::<Value, NodeView>(
            &format!("/api/v1/nodes/{}/{verb}", node.id),
            Some(&json!({ "reason": "fans" })),
        )
    };
    assert_eq!(code_of(call("restore")), "TRANSITION_REFUSED");
    assert_eq!(call("maintenance").unwrap().status, NodeStatus::Maintenance);
    assert_eq!(
        call("maintenance").unwrap().status_reason.as_deref(),
        Some("fans")
    );
    assert_eq!(call("resume").unwrap().status, NodeStatus::Online);
    assert_eq!(call("decommission").unwrap().status, NodeStatus::Inactive);
    assert_eq!(code_of(call("maintenance")), "TRANSITION_REFUSED");
    assert_eq!(call("restore").unwrap().status, NodeStatus::Pending);
    let history: Value = admin.get(&format!("/api/v1/nodes/{}/history", node.id)).unwrap();
    let kinds: Vec<&str> = history["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "node.registered",
            "node.installation_started",
            "node.connected",
            "node.maintenance_mode",
            "node.resumed",
            "node.decommissioned",
            "node.registered"
        ]
    );
    // Retired and purged, it is gone and its name is free.
    admin.retire(&node.id).unwrap();
    admin.retire(&node.id).unwrap();
    assert_eq!(code_of(admin.node(&node.id)), "NOT_FOUND");
    let token = house.token(|_| {}).token;
    Machine::new("gpu-01", 2)
        .register(&house.stranger(), &token)
        .unwrap();
}

#[test]
fn every_change_is_audited_and_events_are_numbered_without_repeats() {
    let house = House::new();
    let admin = house.admin();
    let token = house.token(|t| t.max_uses = Some(30));
    for n in 0..20_u8 {
        Machine::new(&format!("gpu-{n}"), n + 1)
            .register(&house.stranger(), &token.token)
            .unwrap();
    }
    // Read while the history is being written: in pieces of seven, nothing missing, nothing twice.
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = admin.events(after, 7).unwrap();
        if page.events.is_empty() {
            break;
        }
        seen.extend(page.events.into_iter().map(|event| (event.seq, event.kind)));
        after = page.last_seq;
    }
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "{seen:?}");
    assert_eq!(
        seen.iter().filter(|(_, kind)| kind == "node.registered").count(),
        20
    );
    let audit = admin.audit(0, 1000).unwrap().entries;
    assert_eq!(
        audit
            .iter()
            .filter(|entry| entry.action == "node.register")
            .count(),
        20
    );
    let created = audit.iter().find(|entry| entry.action == "token.create").unwrap();
    assert!(created.actor.starts_with("key:"), "{created:?}");
    // No secret in any of it.
    let all = serde_json::to_string(&audit).unwrap();
    assert!(!all.contains(&token.token) && !all.contains(&house.admin_key));
}

#[test]
fn what_was_told_outlives_a_restart() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let node = Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap()
        .node;
    let before = house.admin().events(0, 100).unwrap().events;
    let (pin, key) = (house.running().pin().unwrap().to_owned(), house.admin_key.clone());
    let house = house.restart(|_| {});
    assert_eq!(house.running().pin(), Some(pin.as_str()));
    assert_eq!(house.admin_key, key);
    assert_eq!(house.admin().node(&node.id).unwrap().body.hostname, "gpu-01");
    let after = house.admin().events(0, 100).unwrap().events;
    assert_eq!(after[..before.len()], before[..]);
}

#[test]
fn a_reader_may_demand_what_it_wrote_and_a_writer_what_it_read() {
    let house = House::new();
    let admin = house.admin();
    let created = admin
        .call::<Value, NodeView>(
            Method::POST,
            "/api/v1/nodes",
            Some(&json!({ "hostname": "a", "ip_address": "127.9.2.1" })),
            &[],
        )
        .unwrap();
    let revision = created.revision.unwrap();
    let path = format!("/api/v1/nodes/{}", created.body.id);
    let read =
        |min: &str| admin.call::<Value, NodeView>(Method::GET, &path, None, &[("AAMI-Min-Revision", min)]);
    let etag = read(&revision).unwrap().etag.unwrap();
    let (epoch, number) = revision.rsplit_once('.').unwrap();
    let ahead = format!("{epoch}.{}", number.parse::<u64>().unwrap() + 1000);
    assert_eq!(code_of(read(&ahead)), "VIEW_BEHIND");
    assert_eq!(code_of(read(&format!("another.{number}"))), "EPOCH_CHANGED");
    assert_eq!(code_of(read("nonsense")), "INVALID");

    let edit = |etag: &str, rack: &str| {
        let body = json!({ "labels": { "rack": rack } });
        admin.call::<Value, NodeView>(Method::PATCH, &path, Some(&body), &[("If-Match", etag)])
    };
    edit(&etag, "A1").unwrap();
    // The second writer had read the same.
    match edit(&etag, "B2") {
        Err(aami_api::client::ClientError::Refused(problem)) => {
            assert_eq!(problem.code, "PRECONDITION_FAILED");
            assert_eq!(problem.current.unwrap()["labels"]["rack"], "A1");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_request_under_one_key_is_made_once() {
    let house = House::new();
    let admin = house.admin();
    let declare = |key: &str, host: &str| {
        let body = json!({ "hostname": host, "ip_address": "127.9.2.1" });
        admin
            .call::<Value, NodeView>(
                Method::POST,
                "/api/v1/nodes",
                Some(&body),
                &[("Idempotency-Key", key)],
            )
            .map(|a| a.body)
    };
    let first = declare("k1", "gpu-01").unwrap();
    let again = declare("k1", "gpu-01").unwrap();
    assert_eq!(first.id, again.id);
    assert_eq!(code_of(declare("k1", "gpu-02")), "IDEMPOTENCY_REUSED");
    assert_eq!(code_of(declare("k2", "gpu-01")), "CONFLICT");
    assert_eq!(admin.nodes("").unwrap().items.len(), 1);
}

fn event(seq: u64, kind: RunEventKind) -> RunEvent {
    RunEvent {
        seq,
        at: aami_model::Timestamp::EPOCH,
        kind,
    }
}

#[test]
fn an_installation_is_followed_and_its_failure_moves_the_node() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(2)).token;
    let stranger = house.stranger();
    let opened: Validated = stranger.with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let installer = stranger.with_bearer(&run.credential);
    let machine = Machine::new("gpu-01", 1).with(|r| r.run_id = Some(run.id.clone()));
    let steps = ["preflight", "register", "verify"].map(|id| StepSummary {
        id: id.into(),
        title: id.into(),
    });
    let started = vec![
        event(
            1,
            RunEventKind::RunStarted {
                plan: "node".into(),
                steps: steps.to_vec(),
            },
        ),
        event(
            2,
            RunEventKind::StepStarted {
                step: "preflight".into(),
                attempt: 1,
            },
        ),
        event(
            3,
            RunEventKind::StepCompleted {
                step: "preflight".into(),
                outcome: StepOutcome::AlreadySo,
                duration_ms: 1,
            },
        ),
    ];
    assert_eq!(
        installer
            .report(&run.id, started.clone())
            .unwrap()
            .accepted_through,
        3
    );
    assert_eq!(installer.report(&run.id, started).unwrap().accepted_through, 3);
    let node = machine.register(&stranger, &token).unwrap().node;
    let failed = RunEventKind::StepFailed {
        step: "verify".into(),
        code: "NOT_VERIFIED".into(),
        message: "port 9100 refused".into(),
        hint: String::new(),
        details: std::collections::BTreeMap::new(),
        duration_ms: 5,
    };
    let ended = RunEventKind::RunFinished {
        status: RunStatus::Failed,
        duration_ms: 9,
    };
    installer
        .report(&run.id, vec![event(4, failed), event(5, ended)])
        .unwrap();
    let view = house.admin().node(&node.id).unwrap().body;
    assert_eq!(view.status, NodeStatus::Error);
    assert_eq!(
        view.status_reason.as_deref(),
        Some("NOT_VERIFIED: port 9100 refused")
    );
    let shown: Value = house.admin().get(&format!("/api/v1/runs/{}", run.id)).unwrap();
    assert_eq!(shown["node_id"], node.id.as_str());
    assert_eq!(shown["steps"][2]["error"], "NOT_VERIFIED: port 9100 refused");
    // Resumed and finished, its credential opens nothing any more.
    let again = |seq, status| {
        installer.report(
            &run.id,
            vec![event(
                seq,
                RunEventKind::RunFinished {
                    status,
                    duration_ms: 1,
                },
            )],
        )
    };
    again(6, RunStatus::Completed).unwrap();
    assert_eq!(code_of(again(7, RunStatus::Failed)), "UNAUTHENTICATED");
}

#[test]
fn what_cannot_be_true_of_a_run_is_refused_and_changes_nothing() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let opened: Validated = house.stranger().with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let installer = house.stranger().with_bearer(&run.credential);
    let shown = || -> Value { house.admin().get(&format!("/api/v1/runs/{}", run.id)).unwrap() };
    let ended = |seq, status| {
        event(
            seq,
            RunEventKind::RunFinished {
                status,
                duration_ms: 1,
            },
        )
    };
    let started = RunEventKind::RunStarted {
        plan: "node".into(),
        steps: Vec::new(),
    };
    installer
        .report(&run.id, vec![event(1, started.clone())])
        .unwrap();
    // Given a run at work, when it says that it ended as something that is no end, or that an operator called it off,
    for status in [RunStatus::Pending, RunStatus::Running, RunStatus::Cancelled] {
        let refused = installer.report(&run.id, vec![ended(2, status)]);
        assert_eq!(code_of(refused), "TRANSITION_REFUSED", "{status:?}");
    }
    // or that it went on after its end,
    let after = vec![ended(2, RunStatus::Completed), event(3, started)];
    assert_eq!(code_of(installer.report(&run.id, after)), "TRANSITION_REFUSED");
    // then nothing of that is kept, and it goes on.
    assert_eq!(
        (&shown()["status"], &shown()["last_event"]),
        (&json!("running"), &json!(1))
    );
    installer
        .report(&run.id, vec![ended(2, RunStatus::Completed)])
        .unwrap();
    // What is over cannot be called off, and what was called off can be again.
    let cancel = |id: &aami_model::RunId| {
        let path = format!("/api/v1/runs/{id}/cancel");
        house.admin().post::<Value, Value>(&path, Some(&json!({})))
    };
    assert_eq!(code_of(cancel(&run.id)), "TRANSITION_REFUSED");
    let other: Validated = house.stranger().with_bearer(&token).validate().unwrap().body;
    let other = other.run.unwrap().id;
    for _ in 0..2 {
        assert_eq!(cancel(&other).unwrap()["status"], "cancelled");
    }
}

#[test]
fn an_installation_nobody_reports_of_is_given_up() {
    let house = House::with(|config| config.install_silence = Duration::from_secs(600));
    let token = house.token(|_| {}).token;
    let node = Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap()
        .node;
    house.forward(Duration::from_secs(601));
    // The round comes every 20 seconds of real time; a restart begins one at once.
    let house = house.restart(|_| {});
    until("the node is given up", || {
        let view = house.admin().node(&node.id).unwrap().body;
        if view.status == NodeStatus::Error {
            Ok(())
        } else {
            Err(view.status)
        }
    });
}

#[test]
fn a_failure_reported_while_a_node_is_being_verified_stands() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let opened: Validated = house.stranger().with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    // Given an exporter that takes connections and says nothing yet.
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = slow.local_addr().unwrap().port();
    let node = Machine::new("gpu-01", 1)
        .with(|r| {
            r.ip_address = "127.0.0.1".into();
            r.exporters = vec![ExporterInfo::new(ExporterKind::NodeExporter, port)];
            r.run_id = Some(run.id.clone());
        })
        .register(&house.stranger(), &token)
        .unwrap()
        .node;
    let (waiting, _) = slow.accept().unwrap();

    // When the installer gives up while the control plane still waits for the exporter,
    let installer = house.stranger().with_bearer(&run.credential);
    let ended = RunEventKind::RunFinished {
        status: RunStatus::Failed,
        duration_ms: 9,
    };
    installer.report(&run.id, vec![event(1, ended)]).unwrap();
    let status = || house.admin().node(&node.id).unwrap().body.status;
    assert_eq!(status(), NodeStatus::Error);
    drop(slow);
    drop(waiting);

    // then what the control plane found out afterwards does not put the node back into installation.
    let verified = house.admin().verify(&node.id).unwrap();
    assert!(!verified.verified);
    until("both verifications have ended", || {
        let metrics = house.admin().text("/metrics").unwrap();
        let failed = "aami_verifications_total{result=\"failed\"} 2";
        if metrics.contains(failed) {
            Ok(())
        } else {
            Err(metrics)
        }
    });
    assert_eq!(status(), NodeStatus::Error);
}

#[test]
fn no_token_may_pile_up_runs() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let client = house.stranger().with_bearer(&token);
    let codes: Vec<String> = (0..110).map(|_| code_of(client.validate())).collect();
    assert_eq!(codes.iter().filter(|code| *code == "TOO_MANY_RUNS").count(), 9);
}
