//! The commands that drive a control plane, against a real one.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::plane::{Plane, Said};

/// Registers a machine as plain curl would; answers with the node.
fn enrol(plane: &Plane, hostname: &str, port: u16) -> Value {
    let token = plane
        .aami(&[
            "tokens",
            "create",
            "--name",
            hostname,
            "-o",
            "json",
            "--show-secret",
        ])
        .json();
    let client = aami_api::client::Client::new(&aami_api::client::Settings::new(plane.address()))
        .unwrap()
        .with_bearer(token["token"].as_str().unwrap());
    let body = json!({
        "hostname": hostname,
        "ip_address": "127.0.0.1",
        "labels": {"rack": "A1"},
        "exporters": [{"type": "custom", "port": port}],
    });
    let registered: Value = client.post("/api/v1/bootstrap/register", Some(&body)).unwrap();
    registered["node"].clone()
}

/// A port nobody listens on: it was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn a_node_from_enrolment_to_retirement() {
    // Given a node in a group
    let plane = Plane::start();
    let node = enrol(&plane, "gpu-01", free_port());
    let id = node["id"].as_str().unwrap();
    let created = plane.aami(&[
        "groups",
        "create",
        "racks",
        "--description",
        "all racks",
        "--labels",
        "row=3,site=a",
    ]);
    assert_eq!(created.exit, 0, "{created:?}");

    // when it is listed, shown and labelled
    let listed = plane.aami(&["nodes", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["hostname"], "gpu-01");
    let shown = plane.aami(&["nodes", "show", id]);
    assert!(
        shown.out.contains("Hostname:") && shown.out.contains("rack=A1"),
        "{shown:?}"
    );
    let labelled = plane.aami(&["nodes", "label", "gpu-01", "rack-", "slot=7"]);
    assert_eq!(
        (labelled.exit, labelled.out.as_str()),
        (0, "gpu-01: slot=7\n"),
        "{labelled:?}"
    );
    let found = plane.aami(&["nodes", "list", "--label", "slot=7", "-o", "yaml"]);
    assert!(found.out.contains("hostname: gpu-01"), "{found:?}");
    assert_eq!(
        plane.aami(&["nodes", "list", "--label", "slot=8"]).out,
        "no nodes\n"
    );

    // then an exporter nobody answers for is named as not verified,
    let verified = plane.aami(&["nodes", "verify", "gpu-01"]);
    assert_eq!(verified.exit, 3, "{verified:?}");
    assert!(verified.err.contains("NOT_VERIFIED"), "{verified:?}");

    // and it can be retired and taken back, each told in words and in events.
    let retired = plane.aami(&["nodes", "retire", "gpu-01", "--reason", "sold"]);
    assert_eq!(retired.out, "gpu-01 is retired\n", "{retired:?}");
    let gone = plane
        .aami(&["nodes", "list", "--status", "inactive", "-o", "json"])
        .json();
    assert_eq!(gone[0]["status_reason"], "sold");
    let restored = plane.aami(&["nodes", "restore", "gpu-01"]);
    assert_eq!(restored.out, "gpu-01 is pending\n", "{restored:?}");
    let events = plane.aami(&["events", "list", "-o", "json"]).json();
    let kinds: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"node.decommissioned"), "{kinds:?}");
    let audit = plane.aami(&["audit", "list", "-o", "json"]).json();
    let actions: Vec<&str> = (audit.as_array().unwrap().iter())
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert!(actions.contains(&"node.retire"), "{actions:?}");
}

#[test]
fn groups_and_tokens_are_edited_by_name() {
    let plane = Plane::start();
    plane.aami(&["groups", "create", "racks", "--labels", "row=3"]);
    let edited = plane
        .aami(&[
            "groups", "edit", "racks", "--label", "row-", "--label", "site=b", "-o", "json",
        ])
        .json();
    assert_eq!(edited["labels"], json!({"site": "b"}));

    plane.aami(&["tokens", "create", "--name", "rack-a", "--group", "racks"]);
    let token = plane
        .aami(&[
            "tokens",
            "edit",
            "rack-a",
            "--max-uses",
            "5",
            "--ttl",
            "1h",
            "-o",
            "json",
        ])
        .json();
    assert_eq!(token["max_uses"], 5);
    let revoked = plane.aami(&["tokens", "revoke", "rack-a"]);
    assert_eq!(revoked.exit, 0, "{revoked:?}");
    assert!(plane.aami(&["tokens", "list"]).out.contains("revoked"));
    assert_eq!(plane.aami(&["groups", "delete", "racks"]).exit, 0);
}

#[test]
fn of_several_each_is_tried_and_the_exit_code_says_how_many_failed() {
    let plane = Plane::start();
    plane.aami(&["groups", "create", "a"]);
    plane.aami(&["groups", "create", "b"]);
    let some = plane.aami(&["groups", "delete", "a", "nobody", "b"]);
    assert_eq!(some.exit, 7, "{some:?}");
    assert_eq!(some.out, "group a is deleted\ngroup b is deleted\n");
    assert!(some.err.contains("NOT_FOUND"), "{some:?}");
    let none = plane.aami(&["groups", "delete", "x", "y"]);
    assert_eq!(none.exit, 5, "{none:?}");
}

#[test]
fn a_key_does_what_its_role_says() {
    let plane = Plane::start();
    let file = plane.folder.path().join("viewer.key");
    let made = plane.aami(&[
        "keys",
        "create",
        "--name",
        "v",
        "--role",
        "viewer",
        "--save-to",
        file.to_str().unwrap(),
    ]);
    assert_eq!(made.exit, 0, "{made:?}");
    let as_viewer = |arguments: &[&str]| {
        let mut command = crate::plane::aami(arguments);
        command
            .args(["--server", &plane.address(), "--key-file"])
            .arg(&file);
        Said::by(&mut command)
    };
    assert_eq!(as_viewer(&["nodes", "list"]).exit, 0);
    let refused = as_viewer(&["groups", "create", "racks"]);
    assert_eq!(refused.exit, 4, "{refused:?}");
    assert!(
        refused.err.contains("FORBIDDEN") && refused.err.contains("hint:"),
        "{refused:?}"
    );

    assert_eq!(plane.aami(&["keys", "revoke", "v"]).exit, 0);
    let revoked = as_viewer(&["nodes", "list", "-o", "json"]);
    assert_eq!(revoked.exit, 4, "{revoked:?}");
    let told: Value = serde_json::from_str(revoked.err.lines().last().unwrap()).unwrap();
    assert_eq!(told["code"], "UNAUTHENTICATED");
}

#[test]
fn what_is_not_there_is_said_by_name() {
    let plane = Plane::start();
    for arguments in [
        ["nodes", "show", "gpu-99"],
        ["nodes", "show", "no_such/id"],
        ["tokens", "show", "nothing"],
        ["groups", "show", "nothing"],
        ["keys", "revoke", "nothing"],
    ] {
        let said = plane.aami(&arguments);
        assert_eq!(said.exit, 5, "{arguments:?}: {said:?}");
        assert!(said.err.contains("NOT_FOUND"), "{said:?}");
    }
}

struct Following(Child);

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn events_are_followed_as_they_happen() {
    let plane = Plane::start();
    let mut command = plane.command(&["events", "follow", "--after", "0", "-o", "json"]);
    let mut following = Following(command.stdout(Stdio::piped()).spawn().unwrap());
    plane.aami(&["groups", "create", "racks"]);
    // The read ends with the line, or with the test's own time limit.
    let lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let created = lines
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find(|event| event["type"] == "group.created")
        .unwrap();
    assert_eq!(created["data"]["name"], "racks");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut command = crate::plane::aami(&["explain", "list"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_prometheus_configuration_is_written_with_a_key_of_its_own() {
    let plane = Plane::start();
    let folder = plane.folder.path().join("prometheus");
    let wrote = plane.aami(&["config", "prometheus", "--write", folder.to_str().unwrap()]);
    assert_eq!(wrote.exit, 0, "{wrote:?}");
    let text = std::fs::read_to_string(folder.join("prometheus.yml")).unwrap();
    assert!(
        text.contains("/api/v1/sd/prometheus?shape=flat") && text.contains("credentials_file: aami.key"),
        "{text}"
    );

    // The key allows discovery and nothing else.
    let with_key = |path: &str| {
        let key = std::fs::read_to_string(folder.join("aami.key")).unwrap();
        aami_api::client::Client::new(&aami_api::client::Settings::new(plane.address()))
            .unwrap()
            .with_bearer(key.trim())
            .get::<Value>(path)
    };
    assert_eq!(with_key("/api/v1/sd/prometheus").unwrap(), json!([]));
    assert!(with_key("/api/v1/nodes").is_err());

    // A second time nothing is overwritten, and no key is made.
    let keys = plane
        .aami(&["keys", "list", "-o", "json"])
        .json()
        .as_array()
        .unwrap()
        .len();
    assert_eq!(
        plane
            .aami(&["config", "prometheus", "--write", folder.to_str().unwrap()])
            .exit,
        1
    );
    assert_eq!(
        plane
            .aami(&["keys", "list", "-o", "json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        keys
    );
}

#[test]
fn lost_admin_keys_are_made_anew_in_the_store_itself() {
    // Given a control plane whose admin key is lost
    let mut plane = Plane::start();
    let store = format!("sqlite:{}", plane.data().join("store.db").display());
    let file = plane.folder.path().join("new.key");
    let recover = || {
        let arguments = ["keys", "create", "--name", "me", "--store", &store, "--save-to"];
        Said::by(crate::plane::aami(&arguments).arg(&file))
    };

    // when a new one is made while it runs, that is refused, and nothing is left;
    let running = recover();
    assert_eq!(running.exit, 6, "{running:?}");
    assert!(
        running.err.contains("STORE_LOCKED") && !file.exists(),
        "{running:?}"
    );

    // when it is stopped, a key is made
    plane.stop();
    let made = recover();
    assert_eq!(made.exit, 0, "{made:?}");

    // that allows everything, and the audit knows of it.
    plane.start_again();
    let mut command = crate::plane::aami(&["audit", "list", "-o", "json", "--key-file"]);
    command.arg(&file).args(["--server", &plane.address()]);
    let audit = Said::by(&mut command).json();
    assert!(
        audit
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["action"] == "key.recover"),
        "{audit}"
    );
}

#[test]
fn a_name_that_is_mistyped_is_told_the_one_that_is_like_it() {
    let plane = Plane::start();
    enrol(&plane, "gpu-01", free_port());
    plane.aami(&["groups", "create", "racks"]);
    plane.add_prometheus("gpu-01", "http://127.9.4.1:9090");
    for (words, meant) in [
        ("nodes show gpu-10", Some("gpu-01")),
        ("nodes test gpu-0l", Some("gpu-01")),
        ("groups show rakcs", Some("racks")),
        ("groups delete rack", Some("racks")),
        ("tokens show gpu-02", Some("gpu-01")),
        ("tokens show something-else", None),
        ("prometheuses show gpu-10", Some("gpu-01")),
        (
            "prometheuses edit gpu-0l --url http://127.9.4.1:9091",
            Some("gpu-01"),
        ),
        ("prometheuses remove something-else", None),
        ("alerts test --prometheus gpu-10", Some("gpu-01")),
        // What one is to be told of is not there.
        ("prometheuses edit gpu-01 --groups rakcs", Some("racks")),
        ("prometheuses edit gpu-01 --node gpu-10 --dry-run", Some("gpu-01")),
        (
            "prometheuses add m --node gpu-10 --url http://127.9.4.1:9092",
            Some("gpu-01"),
        ),
    ] {
        let said = plane.aami(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(said.exit, 5, "{said:?}");
        match meant {
            Some(meant) => assert!(said.err.contains(&format!("Did you mean `{meant}`?")), "{said:?}"),
            None => assert!(!said.err.contains("Did you mean"), "{said:?}"),
        }
    }
}
