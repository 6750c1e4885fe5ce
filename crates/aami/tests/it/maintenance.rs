//! Nodes taken out for a while and brought back, as an operator does it.

use std::time::{Duration, Instant};

use aami_model::Timestamp;
use serde_json::{Value, json};

use crate::plane::{Plane, Said};

/// Registers machines without exporters as plain curl would, and waits until they are online.
fn online(plane: &Plane, hostnames: &[&str]) {
    let token = plane
        .aami(&[
            "tokens",
            "create",
            "--name",
            "rack",
            "--max-uses",
            "9",
            "-o",
            "json",
            "--show-secret",
        ])
        .json();
    let client = aami_api::client::Client::new(&aami_api::client::Settings::new(plane.address()))
        .unwrap()
        .with_bearer(token["token"].as_str().unwrap());
    for hostname in hostnames {
        let body = json!({ "hostname": hostname, "ip_address": "127.0.0.1", "labels": { "rack": "A1" } });
        let _: Value = client.post("/api/v1/bootstrap/register", Some(&body)).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let listed = plane
            .aami(&["nodes", "list", "--status", "online", "-o", "json"])
            .json();
        if listed.as_array().unwrap().len() == hostnames.len() {
            return;
        }
        assert!(Instant::now() < deadline, "they are not online: {listed}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn shown(plane: &Plane, hostname: &str) -> Value {
    plane.aami(&["nodes", "show", hostname, "-o", "json"]).json()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn is_fine(said: &Said) -> bool {
    said.exit == 0
}

#[test]
fn a_node_is_taken_out_for_two_hours_and_brought_back() {
    // Given a node that is online
    let plane = Plane::start();
    online(&plane, &["gpu-01"]);
    let since = time(&shown(&plane, "gpu-01")["status_since"]);

    // when it is taken out for two hours,
    let out = plane.aami(&[
        "nodes",
        "maintenance",
        "gpu-01",
        "--for",
        "2h",
        "--reason",
        "fans",
    ]);

    // then it says until when, and it is so;
    assert!(is_fine(&out), "{out:?}");
    let node = shown(&plane, "gpu-01");
    assert_eq!(
        (&node["status"], &node["status_reason"]),
        (&json!("maintenance"), &json!("fans"))
    );
    let until = time(&node["maintenance_until"]);
    let lasts = until.since(time(&node["status_since"]));
    let hours = Duration::from_secs(2 * 3600);
    assert!(
        lasts.abs_diff(hours) < Duration::from_secs(60),
        "it lasts {lasts:?}"
    );
    assert_eq!(out.out, format!("gpu-01 is in maintenance until {until}\n"));
    assert_eq!(node["expected_until"], node["maintenance_until"]);
    // people read the same,
    let page = plane.aami(&["nodes", "show", "gpu-01"]);
    for text in [
        "maintenance since".to_owned(),
        "fans".to_owned(),
        format!("until {until}"),
    ] {
        assert!(page.out.contains(&text), "{text}: {page:?}");
    }
    let listed = plane.aami(&["nodes", "list", "--status", "maintenance"]);
    assert!(
        listed.out.contains("gpu-01") && !listed.out.contains("stuck"),
        "{listed:?}"
    );
    // and brought back it is what is true, without reason or end: what a dry run says, though no agent is connected.
    let told = plane.aami(&["nodes", "resume", "gpu-01", "--dry-run"]);
    assert!(
        told.exit == 0 && told.out.contains("gpu-01 would be online instead of maintenance"),
        "{told:?}"
    );
    let back = plane.aami(&["nodes", "resume", "gpu-01"]);
    assert_eq!(
        (back.exit, back.out.as_str()),
        (0, "gpu-01 is online\n"),
        "{back:?}"
    );
    let node = shown(&plane, "gpu-01");
    assert_eq!(node["status"], "online");
    assert!(
        node["maintenance_until"].is_null() && node["status_reason"].is_null(),
        "{node}"
    );
    assert!(time(&node["status_since"]) > since);
    // Its history tells both, and the audit who did it.
    let history = plane.aami(&["nodes", "history", "gpu-01"]);
    assert!(
        history.out.contains("node.maintenance_mode") && history.out.contains("node.resumed"),
        "{history:?}"
    );
    let audit = plane.aami(&["audit", "list"]);
    assert!(
        audit.out.contains("node.maintenance") && audit.out.contains("node.resume"),
        "{audit:?}"
    );
}

#[test]
fn nodes_of_a_rack_are_taken_out_and_brought_back_together() {
    // Given nodes of a rack, which are online
    let plane = Plane::start();
    online(&plane, &["gpu-01", "gpu-02", "gpu-03"]);
    let statuses = || -> Vec<Value> {
        let listed = plane.aami(&["nodes", "list", "-o", "json"]).json();
        let nodes = listed.as_array().unwrap().iter();
        nodes.map(|node| node["status"].clone()).collect()
    };

    // when all of them are taken out, then all of them are, each with the reason and the end;
    let out = plane.aami(&[
        "nodes",
        "maintenance",
        "--selector",
        "rack=A1",
        "--for",
        "8h",
        "--reason",
        "power works",
    ]);
    assert_eq!(out.exit, 0, "{out:?}");
    assert!(
        out.out
            .contains("maintenance is completed: 3 done, 0 unchanged, 0 refused"),
        "{out:?}"
    );
    assert_eq!(statuses(), ["maintenance", "maintenance", "maintenance"]);
    let node = shown(&plane, "gpu-02");
    assert_eq!(node["status_reason"], "power works");
    assert!(!node["maintenance_until"].is_null(), "{node}");

    // by name, two of them are brought back, the third together with the rest of its rack, which are no change.
    let two = plane.aami(&["nodes", "resume", "gpu-01", "gpu-02"]);
    assert_eq!(two.exit, 0, "{two:?}");
    assert_eq!(statuses(), ["online", "online", "maintenance"]);
    let rest = plane.aami(&["nodes", "resume", "--selector", "rack=A1"]);
    assert!(rest.out.contains("1 done"), "{rest:?}");
    assert_eq!(statuses(), ["online", "online", "online"]);
    // A wrong duration is said before anything is done.
    let wrong = plane.aami(&["nodes", "maintenance", "gpu-01", "--for", "soon"]);
    assert_eq!(wrong.exit, 2, "{wrong:?}");
    assert_eq!(statuses(), ["online", "online", "online"]);
}
