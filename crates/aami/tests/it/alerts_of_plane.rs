//! Alerts of a control plane: rule sets that are kept, brought to real Prometheuses by the control plane itself and by
//! the agent of a node, waited for, and seen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aami_api::client::{Client, Settings, Trust};
use aami_api::register::Registered;
use rig::Place;
use rig::engines::Prometheus;
use serde_json::{Value, json};

use crate::agent;
use crate::plane::{Plane, Said, until};

/// A Prometheus that reads the rules of a folder.
fn prometheus_of(folder: &Path, rules: &Path) -> Prometheus<'static> {
    fs::create_dir_all(rules).unwrap();
    fs::create_dir_all(folder).unwrap();
    let text = format!("rule_files: ['{}/*.yaml']\n", rules.display());
    fs::write(folder.join("prometheus.yml"), text).unwrap();
    Prometheus::start_in(Place::Loopback, folder).unwrap()
}

fn rules_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_preset_reaches_the_prometheus_beside_the_control_plane_and_what_it_refuses_is_told() {
    // Given a control plane with a Prometheus beside it,
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    let prometheus = prometheus_of(&folder.path().join("etc"), &rules);
    let plane = Plane::start_with(&[
        ("AAMI_PROMETHEUS_URL", &prometheus.url()),
        ("AAMI_PROMETHEUS_RULES", rules.to_str().unwrap()),
    ]);
    // when a preset is applied, then it is said in the same words as for a declared fleet, once it is loaded;
    let said = plane.aami(&["alerts", "apply-preset", "gpu-production"]);
    assert_eq!(
        (said.exit, said.out.as_str()),
        (0, "✅ Applied preset gpu-production (8 rules)\n"),
        "{said:?}"
    );
    let listed = plane.aami(&["alerts", "list", "-o", "json"]);
    assert_eq!(listed.exit, 0, "{listed:?}");
    let rows = listed.json();
    let rows = rows.as_array().unwrap();
    assert!(
        rows.len() > 8 && rows.iter().all(|row| row["state"] == "inactive"),
        "{rows:?}"
    );
    let all = plane.aami(&["prometheuses", "list", "-o", "json"]).json();
    assert_eq!(
        (&all[0]["state"], &all[0]["delivered_by"]),
        (&json!("loaded"), &json!("local"))
    );
    // for a group it stands beside that;
    assert_eq!(plane.aami(&["groups", "create", "h100"]).exit, 0);
    let said = plane.aami(&["alerts", "apply-preset", "thermal", "--group", "h100"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let sets = plane.aami(&["alerts", "rules", "list", "-o", "json"]).json();
    let scopes: Vec<&str> = sets
        .as_array()
        .unwrap()
        .iter()
        .map(|set| set["scope"].as_str().unwrap())
        .collect();
    assert_eq!(scopes.len(), 2, "{sets}");
    assert!(scopes.contains(&"global") && scopes.contains(&"h100"), "{sets}");
    // a dry run says what would be, and changes nothing.
    let before = rules_in(&rules);
    let said = plane.aami(&["alerts", "apply-preset", "storage", "--dry-run"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.err.contains("gpu-production, storage"), "{said:?}");
    assert_eq!(rules_in(&rules), before);
    // When Prometheus refuses, then that is told with who refused, and it goes on with what it had.
    let broken = rules.join("foreign.yaml");
    fs::write(&broken, "groups: [{name: a, rules: [{alert: B, expr: '((('}]}]\n").unwrap();
    let said = plane.aami(&["alerts", "apply-preset", "infiniband"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(
        said.err.contains("ALERT_RULES_NOT_LOADED") && said.err.contains("local: failed"),
        "{said:?}"
    );
    fs::remove_file(&broken).unwrap();
    assert_eq!(rules_in(&rules), before);
    let listed = plane.aami(&["alerts", "list"]);
    assert_eq!(listed.exit, 3, "{listed:?}");
    // Rules that are no longer wanted leave again.
    let said = plane.aami(&["alerts", "rules", "delete", "h100"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let said = plane.aami(&["alerts", "rules", "set", "--presets", "gpu-basic"]);
    assert_eq!(said.exit, 0, "{said:?}");
    let listed = plane.aami(&["alerts", "list", "-o", "json"]);
    assert_eq!(listed.exit, 0, "{listed:?}");
    assert!(listed.json().as_array().unwrap().len() < rows.len());
}

#[test]
fn rule_sets_say_what_is_wrong_with_them_and_keep_what_was_there() {
    let plane = Plane::start();
    // Without a Prometheus rules are kept, and that is said.
    let said = plane.aami(&["alerts", "apply-preset", "gpu-basic"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.err.contains("prometheuses add"), "{said:?}");
    let file = plane.folder.path().join("set.yaml");
    for (text, code) in [
        ("overides: []\n", "overides"),
        ("presets: [gpu-prod]\n", "ALERT_RULE_INVALID"),
        ("custom: [{name: Mine, expr: 'up =='}]\n", "ALERT_RULE_INVALID"),
    ] {
        fs::write(&file, text).unwrap();
        let said = plane.aami(&["alerts", "rules", "set", "--file", file.to_str().unwrap()]);
        assert!(said.exit != 0 && said.err.contains(code), "{text}: {said:?}");
    }
    let set = plane.aami(&["alerts", "rules", "show", "-o", "json"]).json();
    assert_eq!(set["presets"], json!(["gpu-basic"]));
    for arguments in [
        &["alerts", "rules", "delete", "nobody"][..],
        &["prometheuses", "show", "nobody"],
        &[
            "prometheuses",
            "add",
            "m",
            "--node",
            "nobody",
            "--url",
            "http://mon-1:9090",
        ],
        &["alerts", "apply-preset", "thermal", "--group", "nobody"],
        &["alerts", "test"],
    ] {
        let said = plane.aami(arguments);
        assert_eq!(said.exit, 5, "{arguments:?}: {said:?}");
    }
}

/// A node that is enrolled, as its files say, with the real agent's daemon.
struct Node {
    root: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Node {
    /// Enrols as plain curl does, with a credential that the control plane makes.
    fn enrolled(plane: &Plane, hostname: &str) -> Self {
        let made = plane
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
        let ca = fs::read_to_string(plane.data().join("tls/ca.pem")).unwrap();
        let client = Client::new(&Settings {
            trust: Trust::Only(ca.clone()),
            ..Settings::new(plane.address())
        })
        .unwrap();
        let token = made["token"].as_str().unwrap();
        let request =
            json!({"token": token, "hostname": hostname, "ip_address": "127.0.0.1", "exporters": []});
        let body = serde_json::to_vec(&request).unwrap();
        let registered: Registered = client
            .with_bearer(token)
            .register(&body, None, None)
            .unwrap_or_else(|error| panic!("{error}"));
        let root = tempfile::tempdir().unwrap();
        let agent = root.path().join("node/agent");
        fs::create_dir_all(&agent).unwrap();
        fs::write(agent.join("ca.pem"), ca).unwrap();
        let told = json!({"server": plane.address(), "request": {"hostname": hostname, "ip_address": "127.0.0.1",
            "exporters": [], "token": ""}});
        fs::write(agent.join("registration.json"), told.to_string()).unwrap();
        let credential = agent.join("credential");
        fs::write(&credential, registered.credential.unwrap()).unwrap();
        fs::set_permissions(&credential, fs::Permissions::from_mode(0o600)).unwrap();
        Self { root, daemon: None }
    }

    fn rules(&self) -> PathBuf {
        self.root.path().join("etc/aami/rules")
    }

    fn start(&mut self) {
        let log = fs::File::create(self.root.path().join("log")).unwrap();
        let daemon = Command::new(agent::agent())
            .args(["daemon", "--metrics", "127.0.0.1:0", "--root"])
            .arg(self.root.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
    }

    /// A command, and a daemon that begins meanwhile: then it asks at once, and from then on every few seconds.
    fn begins_during(&mut self, plane: &Plane, arguments: &[&str]) -> Said {
        self.kill();
        let mut command = plane.command(arguments);
        std::thread::scope(|scope| {
            let said = scope.spawn(move || Said::by(&mut command));
            self.start();
            said.join().unwrap()
        })
    }

    /// As a power cut ends it: nothing is said, and nothing put in order.
    fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn state(plane: &Plane, name: &str) -> Value {
    plane.aami(&["prometheuses", "show", name, "-o", "json"]).json()["state"].clone()
}

#[test]
fn an_agent_brings_rules_to_the_prometheus_of_its_node_whenever_it_dies() {
    // Given a node with a Prometheus, and an agent that delivers to it,
    let plane = Plane::start();
    let mut node = Node::enrolled(&plane, "mon-1");
    let prometheus = prometheus_of(&node.root.path().join("prometheus"), &node.rules());
    plane.add_prometheus("mon-1", &prometheus.url());
    // when a preset is applied, then it is loaded there, and the command says so.
    let said = node.begins_during(&plane, &["alerts", "apply-preset", "gpu-production"]);
    assert_eq!(
        (said.exit, said.out.as_str()),
        (0, "✅ Applied preset gpu-production (8 rules)\n"),
        "{said:?}\n{}",
        node.log()
    );
    let first = rules_in(&node.rules());
    assert!(!first.is_empty());
    // When the daemon is killed again and again while other rules are on their way, then they arrive all the same, and
    // nothing else lies there.
    for (presets, pause) in [
        ("gpu-basic,infiniband", 0),
        ("gpu-production,thermal", 3),
        ("storage", 20),
        ("gpu-production,nvlink,checks", 80),
        ("gpu-production", 200),
    ] {
        let note = node.rules().join(".aami-rules.json");
        let before = fs::read(&note).unwrap();
        let set = ["alerts", "rules", "set", "--presets", presets, "--within", "0"];
        node.kill();
        let said = plane.aami(&set);
        assert_eq!(said.exit, 0, "{said:?}");
        node.start();
        // It dies somewhere between the note of what was there and the note of what is.
        until("a change", || fs::read(&note).unwrap_or_default() != before);
        let moment = Instant::now() + Duration::from_millis(pause);
        until("its moment", || Instant::now() >= moment);
        node.kill();
        node.start();
        until("the rules", || state(&plane, "mon-1") == "loaded");
    }
    assert_eq!(rules_in(&node.rules()), first);
    let drafts = fs::read_dir(node.rules()).unwrap().flatten();
    let drafts = drafts.filter(|entry| entry.path().extension().is_some_and(|end| end == "new"));
    assert_eq!(drafts.count(), 0);
    // What its Prometheus refuses is told here, with why.
    let broken = node.rules().join("foreign.yaml");
    fs::write(&broken, "groups: [{name: a, rules: [{alert: B, expr: '((('}]}]\n").unwrap();
    let said = node.begins_during(&plane, &["alerts", "apply-preset", "storage"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(
        said.err.contains("ALERT_RULES_NOT_LOADED") && said.err.contains("mon-1: failed"),
        "{said:?}"
    );
    fs::remove_file(&broken).unwrap();
    // A Prometheus that is forgotten loses the rules that were brought there.
    node.kill();
    assert_eq!(plane.aami(&["prometheuses", "remove", "mon-1"]).exit, 0);
    node.start();
    until("an empty folder", || rules_in(&node.rules()).is_empty());
}

#[test]
fn a_node_without_a_folder_for_rules_says_what_is_missing() {
    let plane = Plane::start();
    let mut node = Node::enrolled(&plane, "mon-1");
    plane.add_prometheus("mon-1", "http://mon-1:9090");
    node.start();
    let said = plane.aami(&["alerts", "apply-preset", "gpu-basic"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(said.err.contains("/etc/aami/rules"), "{said:?}");
    assert!(!node.rules().exists());
}

#[test]
fn somebody_who_is_not_heard_is_named_when_the_time_is_up() {
    let plane = Plane::start();
    let _node = Node::enrolled(&plane, "mon-1");
    plane.add_prometheus("mon-1", "http://mon-1:9090");
    let said = plane.aami(&["alerts", "apply-preset", "gpu-basic", "--within", "1"]);
    assert_eq!(said.exit, 8, "{said:?}");
    assert!(
        said.err.contains("ALERT_RULES_PENDING") && said.err.contains("the agent of mon-1"),
        "{said:?}"
    );
}
