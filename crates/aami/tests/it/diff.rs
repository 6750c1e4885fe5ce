//! What is declared against what is applied, over the binary, with a real Prometheus.

use std::fs;
use std::path::{Path, PathBuf};

use aami_monitor::prometheus::Configuration;
use rig::Place;
use rig::engines::Prometheus;
use serde_json::Value;

use crate::plane::{Plane, Said, aami};

struct Machine {
    root: tempfile::TempDir,
    prometheus: Option<Prometheus<'static>>,
}

impl Machine {
    /// A declared fleet without nodes, its Prometheus running, its rules applied, its `prometheus.yml` in place.
    fn applied() -> Self {
        let mut machine = Self {
            root: tempfile::tempdir().unwrap(),
            prometheus: None,
        };
        machine.done(&["init", "--no-install"]);
        let rules = machine.path("etc/aami/rules");
        fs::create_dir_all(&rules).unwrap();
        let folder = machine.path("prometheus");
        fs::create_dir_all(&folder).unwrap();
        // It reads the rules below the root; what it is told on the disk is compared with what is declared for `/`.
        fs::write(
            folder.join("prometheus.yml"),
            format!("rule_files: ['{}/*.yaml']\n", rules.display()),
        )
        .unwrap();
        let prometheus = Prometheus::start_in(Place::Loopback, &folder).unwrap();
        let port: u16 = prometheus.url().rsplit_once(':').unwrap().1.parse().unwrap();
        machine.done(&["config", "set", "prometheus.port", &port.to_string()]);
        let declared = Configuration {
            rule_files: ["yaml", "yml"]
                .map(|end| format!("/etc/aami/rules/*.{end}"))
                .to_vec(),
            itself: Some(format!("127.0.0.1:{port}")),
            ..Configuration::of_lists("my-gpu-cluster", "/var/lib/aami/targets")
        };
        // As an installation places it.
        let text = format!(
            "# Written by AAMI (plan stack, cluster default).\n{}",
            declared.render().unwrap()
        );
        fs::write(machine.path("etc/aami/prometheus.yml"), text).unwrap();
        machine.prometheus = Some(prometheus);
        machine.done(&["alerts", "apply-preset", "gpu-production"]);
        machine
    }

    fn aami(&self, arguments: &[&str]) -> Said {
        let mut command = aami(arguments);
        command
            .arg("--root")
            .arg(self.root.path())
            .env("HOME", self.root.path())
            .env("SLACK", "https://hooks.slack.com/services/T/B/verysecret");
        Said::by(&mut command)
    }

    fn done(&self, arguments: &[&str]) {
        let said = self.aami(arguments);
        assert_eq!(said.exit, 0, "{said:?}");
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// What differs: part, kind, and which.
    fn differs(&self) -> Vec<(String, String, String)> {
        differs(&self.aami(&["diff", "-o", "json"]))
    }
}

fn differs(said: &Said) -> Vec<(String, String, String)> {
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let all = json["differences"].as_array().unwrap();
    assert_eq!(
        (said.exit, json["same"].as_bool()),
        (if all.is_empty() { 0 } else { 3 }, Some(all.is_empty()))
    );
    let text = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
    all.iter()
        .map(|one| (text(one, "part"), text(one, "kind"), text(one, "what")))
        .collect()
}

fn is(one: &(String, String, String), part: &str, kind: &str, which: &str) -> bool {
    one.0 == part && one.1 == kind && Path::new(&one.2).ends_with(which)
}

#[test]
fn nothing_differs_until_somebody_changes_something() {
    let machine = Machine::applied();
    assert_eq!(machine.differs(), []);
    let said = machine.aami(&["diff"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.out.contains("nothing differs"), "{said:?}");
    // A node that is declared and not installed, and one that is installed and was taken out by hand,
    machine.done(&["nodes", "add", "gpu[1-3]", "--ip", "10.0.0.[1-3]"]);
    machine.done(&["alerts", "apply-preset", "gpu-production"]);
    let note = serde_json::json!({
        "version": 1, "config": "/etc/aami/config.yaml", "cluster": "my-gpu-cluster",
        "nodes": {"gpu1": [{"type": "node_exporter", "port": 9100}], "old7": [{"type": "node_exporter", "port": 9100}]},
    });
    fs::write(machine.path("var/lib/aami/fleet.json"), note.to_string()).unwrap();
    let found = machine.differs();
    assert!(
        found.iter().any(|one| is(one, "nodes", "missing", "gpu[2-3]")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|one| is(one, "nodes", "extra", "old7")),
        "{found:?}"
    );
    // and the list that Prometheus would need of the one that is installed.
    assert!(
        found
            .iter()
            .any(|one| is(one, "targets", "missing", "nodes.json")),
        "{found:?}"
    );
    assert_eq!(found.len(), 3, "{found:?}");
    let said = machine.aami(&["diff"]);
    assert!(said.out.contains("aami nodes install 'gpu[2-3]'"), "{}", said.out);
}

#[test]
fn rules_and_configurations_are_told_with_what_changed_and_no_secret() {
    let machine = Machine::applied();
    let rule = machine.path("etc/aami/rules/aami-preset-gpu-production.yaml");
    // Given a rule that somebody changed, one that is no longer declared, and a prometheus.yml with a password in it,
    let text = fs::read_to_string(&rule).unwrap();
    fs::write(&rule, text.replacen("severity: critical", "severity: info", 1)).unwrap();
    fs::write(
        machine.path("etc/aami/rules/aami-preset-storage.yaml"),
        "groups: []\n",
    )
    .unwrap();
    fs::write(machine.path("etc/aami/rules/mine.yaml"), "groups: []\n").unwrap();
    let prometheus = machine.path("etc/aami/prometheus.yml");
    let text = fs::read_to_string(&prometheus).unwrap();
    fs::write(
        &prometheus,
        format!("{text}remote_write:\n  - url: https://ada:hunter2@mimir/push?key=hunter2\n    basic_auth:\n      password: hunter2\n"),
    )
    .unwrap();
    // when all of it is compared, then each is told; what is the operator's own is not ours to judge,
    let found = machine.differs();
    assert!(
        found
            .iter()
            .any(|one| is(one, "rules", "changed", "aami-preset-gpu-production.yaml")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|one| is(one, "rules", "extra", "aami-preset-storage.yaml")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|one| is(one, "prometheus", "changed", "prometheus.yml")),
        "{found:?}"
    );
    assert!(!found.iter().any(|one| one.2.ends_with("mine.yaml")), "{found:?}");
    // and what differs is shown without what lets somebody in.
    for form in ["table", "json", "yaml"] {
        let said = machine.aami(&["diff", "--full", "-o", form]);
        assert_eq!(said.exit, 3, "{said:?}");
        assert!(said.out.contains("severity: critical"), "{}", said.out);
        assert!(
            said.out.contains("(hidden)") && !said.out.contains("hunter2"),
            "{}",
            said.out
        );
    }
}

#[test]
fn what_is_on_the_disk_and_not_loaded_is_told() {
    let machine = Machine::applied();
    // Given rules that were written, and a Prometheus that was not told of them,
    let rules = machine.path("etc/aami/rules");
    let hidden = machine.path("hidden");
    fs::rename(&rules, &hidden).unwrap();
    fs::create_dir(&rules).unwrap();
    let url = machine.prometheus.as_ref().unwrap().url();
    let reloaded = std::process::Command::new("curl")
        .args([
            "-sS",
            "--fail",
            "--max-time",
            "20",
            "-X",
            "POST",
            &format!("{url}/-/reload"),
        ])
        .status()
        .unwrap();
    assert!(reloaded.success());
    fs::remove_dir(&rules).unwrap();
    fs::rename(&hidden, &rules).unwrap();
    // then the files are as they should be, and what is loaded is not.
    let found = machine.differs();
    assert!(
        found
            .iter()
            .any(|one| one.0 == "rules" && one.1 == "not_loaded" && one.2 == url),
        "{found:?}"
    );
    assert!(!found.iter().any(|one| one.1 == "changed"), "{found:?}");
    // Rules that are loaded, and were taken away without Prometheus being told,
    let left = rules.join("aami-preset-storage.yaml");
    let group = "groups: [{name: left, rules: [{alert: Left, expr: vector(1)}]}]\n";
    fs::write(&left, group).unwrap();
    let reloaded = std::process::Command::new("curl")
        .args(["-sS", "--fail", "--max-time", "20", "-X", "POST"])
        .arg(format!("{url}/-/reload"))
        .status()
        .unwrap();
    assert!(reloaded.success());
    fs::remove_file(&left).unwrap();
    // are told, as they still alert.
    let found = machine.differs();
    assert!(
        found
            .iter()
            .any(|one| is(one, "rules", "extra", "aami-preset-storage.yaml")),
        "{found:?}"
    );
    // Without a Prometheus what it has cannot be known, and that is said.
    machine.done(&["config", "set", "prometheus.port", "9"]);
    let found = machine.differs();
    assert!(
        found
            .iter()
            .any(|one| one.0 == "prometheus" && one.1 == "unknown"),
        "{found:?}"
    );
}

#[test]
fn notifications_are_compared_and_their_secrets_stay_hidden() {
    let machine = Machine::applied();
    let config = machine.path("etc/aami/config.yaml");
    machine.done(&["config", "set", "notifications.slack.webhook_url", "${SLACK}"]);
    machine.done(&["config", "set", "notifications.slack.enabled", "true"]);
    machine.done(&["config", "set", "notifications.slack.channel", "#gpu"]);
    assert!(!fs::read_to_string(&config).unwrap().contains("verysecret"));
    fs::write(
        machine.path("etc/aami/alertmanager.yml"),
        "route: {receiver: nobody}\n",
    )
    .unwrap();
    let said = machine.aami(&["diff", "--full", "-o", "json"]);
    let found = differs(&said);
    assert!(
        found
            .iter()
            .any(|one| is(one, "alertmanager", "changed", "alertmanager.yml")),
        "{found:?}"
    );
    // Its secret lies in a file of its own, which is not there.
    assert!(
        found
            .iter()
            .any(|one| one.0 == "alertmanager" && one.1 == "missing"),
        "{found:?}"
    );
    assert!(
        !said.out.contains("verysecret") && !said.err.contains("verysecret"),
        "{said:?}"
    );
}

#[test]
fn another_configurations_note_and_a_broken_one_are_told() {
    let machine = Machine::applied();
    machine.done(&["nodes", "add", "gpu1", "--ip", "10.0.0.1"]);
    let note = machine.path("var/lib/aami/fleet.json");
    fs::write(&note, "{\"version\": 99}").unwrap();
    let said = machine.aami(&["diff", "-o", "json"]);
    assert!(
        differs(&said)
            .iter()
            .any(|one| one.0 == "nodes" && one.1 == "unknown"),
        "{said:?}"
    );
    assert!(said.out.contains("version 99"), "{said:?}");
}

#[test]
fn with_a_control_plane_its_wishes_are_compared_with_its_nodes() {
    let plane = Plane::start();
    let said = plane.aami(&["diff", "-o", "json"]);
    assert!(!differs(&said).iter().any(|one| one.0 == "nodes"), "{said:?}");
    plane.aami(&["nodes", "add", "gpu[1-2]", "--ip", "10.0.0.[1-2]"]);
    let found = differs(&plane.aami(&["diff", "-o", "json"]));
    assert!(
        found.iter().any(|one| is(one, "nodes", "missing", "gpu[1-2]")),
        "{found:?}"
    );
}
