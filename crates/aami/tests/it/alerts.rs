//! Alert rules of a declared fleet: into the folder, into a real Prometheus, and back out when it refuses.
//! Whom a test alert reaches is [`passed_on`].

mod passed_on;

use std::fs;
use std::path::{Path, PathBuf};

use rig::Place;
use rig::engines::{Alertmanager, Prometheus};

use crate::plane::{Said, aami};

/// A machine with a declared fleet and, where it is asked for, a Prometheus that reads its rules.
struct Machine {
    root: tempfile::TempDir,
    prometheus: Option<Prometheus<'static>>,
}

impl Machine {
    fn bare() -> Self {
        let root = tempfile::tempdir().unwrap();
        let machine = Self {
            root,
            prometheus: None,
        };
        let said = machine.aami(&["init", "--no-install"]);
        assert_eq!(said.exit, 0, "{said:?}");
        // Nothing listens where a test has not started it: not even the machine's own Prometheus is asked.
        machine.set("prometheus.port", "9");
        machine.set("alertmanager.port", "10");
        machine
    }

    fn with_prometheus() -> Self {
        let mut machine = Self::bare();
        let rules = machine.rules();
        fs::create_dir_all(&rules).unwrap();
        let folder = machine.path("etc/prometheus");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("prometheus.yml"),
            format!("rule_files: ['{}/*.yaml']\n", rules.display()),
        )
        .unwrap();
        let prometheus = Prometheus::start_in(Place::Loopback, &folder).unwrap();
        let port = prometheus.url().rsplit_once(':').unwrap().1.to_owned();
        machine.set("prometheus.port", &port);
        machine.prometheus = Some(prometheus);
        machine
    }

    fn aami(&self, arguments: &[&str]) -> Said {
        let mut command = aami(arguments);
        command
            .arg("--root")
            .arg(self.root.path())
            .env("HOME", self.root.path());
        Said::by(&mut command)
    }

    fn set(&self, field: &str, value: &str) {
        let said = self.aami(&["config", "set", field, value]);
        assert_eq!(said.exit, 0, "{said:?}");
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn rules(&self) -> PathBuf {
        self.path("etc/aami/rules")
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path("etc/aami/config.yaml")).unwrap()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // The lock of whoever writes and the note of whose they are is no rule.
        .filter(|name| !name.starts_with(".aami"))
        .collect();
    names.sort();
    names
}

#[test]
fn without_a_prometheus_rules_are_in_place_and_that_is_said() {
    let machine = Machine::bare();
    let said = machine.aami(&["alerts", "apply-preset", "gpu-production"]);
    assert_eq!(
        (said.exit, said.out.as_str()),
        (0, "✅ Applied preset gpu-production (8 rules)\n"),
        "{said:?}"
    );
    assert!(said.err.contains("wait for Prometheus"), "{said:?}");
    assert!(names(&machine.rules()).contains(&"aami-preset-gpu-production.yaml".to_owned()));
    // What is loaded cannot be known where nobody answers.
    let listed = machine.aami(&["alerts", "list"]);
    assert_eq!(listed.exit, 1, "{listed:?}");
    assert!(
        listed.out.is_empty() && listed.err.contains("PROMETHEUS_UNREACHABLE"),
        "{listed:?}"
    );
}

#[test]
fn a_real_prometheus_takes_a_preset_over_and_shows_what_fires() {
    let machine = Machine::with_prometheus();
    let said = machine.aami(&["alerts", "apply-preset", "gpu-production", "infiniband"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(!said.err.contains("wait for"), "{said:?}");
    let listed = machine.aami(&["alerts", "list", "-o", "json"]);
    assert_eq!(listed.exit, 0, "{listed:?}");
    let rows = listed.json();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 8, "{rows:?}");
    assert!(rows.iter().all(|row| row["state"] == "inactive"), "{rows:?}");
    // Both stand in the configuration, and doing it again changes nothing.
    assert!(machine.config().contains("infiniband"), "{}", machine.config());
    let before = (machine.config(), names(&machine.rules()));
    let said = machine.aami(&["alerts", "apply-preset", "infiniband"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!((machine.config(), names(&machine.rules())), before);
}

#[test]
fn what_prometheus_refuses_is_taken_back_whole() {
    // Given a Prometheus with a preset, and then a foreign file in its folder that it cannot load,
    let machine = Machine::with_prometheus();
    assert_eq!(machine.aami(&["alerts", "apply-preset", "gpu-basic"]).exit, 0);
    let before = (machine.config(), names(&machine.rules()));
    let broken = machine.rules().join("foreign.yaml");
    fs::write(&broken, "groups: [{name: a, rules: [{alert: B, expr: '((('}]}]\n").unwrap();
    // when another preset is applied, then it is refused,
    let said = machine.aami(&["alerts", "apply-preset", "infiniband"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(said.err.contains("ALERT_RULES_NOT_LOADED"), "{said:?}");
    // configuration and rules are as before, and the foreign file is nobody's business but its owner's.
    fs::remove_file(&broken).unwrap();
    assert_eq!((machine.config(), names(&machine.rules())), before);
    // With the file gone it goes through.
    assert_eq!(machine.aami(&["alerts", "apply-preset", "infiniband"]).exit, 0);
}

#[test]
fn presets_nobody_knows_and_rules_that_cannot_be_change_nothing() {
    let machine = Machine::bare();
    let before = machine.config();
    let said = machine.aami(&["alerts", "apply-preset", "gpu-prod"]);
    assert_eq!(said.exit, 5, "{said:?}");
    assert!(said.err.contains("list-presets"), "{said:?}");
    let said = machine.aami(&["alerts", "apply-preset", "gpu-prodction"]);
    assert!(said.err.contains("Did you mean `gpu-production`?"), "{said:?}");
    assert_eq!(machine.config(), before);

    let broken = before.replace(
        "\n  custom: []",
        "\n  custom:\n    - {name: Mine, expr: 'up ==', severity: warning}",
    );
    assert_ne!(broken, before);
    fs::write(machine.path("etc/aami/config.yaml"), &broken).unwrap();
    let said = machine.aami(&["alerts", "apply-preset", "gpu-basic"]);
    assert_eq!(said.exit, 2, "{said:?}");
    assert!(said.err.contains("Mine"), "{said:?}");
    assert!(!machine.rules().exists() || names(&machine.rules()).is_empty());
}

#[test]
fn a_dry_run_judges_and_writes_nothing() {
    let machine = Machine::bare();
    let before = machine.config();
    let said = machine.aami(&["alerts", "apply-preset", "storage", "--dry-run"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.err.contains("aami-preset-storage.yaml"), "{said:?}");
    assert!(!machine.rules().join("aami-preset-storage.yaml").exists());
    assert_eq!(machine.config(), before);
}

#[test]
fn somebody_else_on_the_port_of_prometheus_is_given_no_rules() {
    // Given a program that is no Prometheus where one should be,
    let machine = Machine::bare();
    let alertmanager = Alertmanager::start(Place::Loopback).unwrap();
    let port = alertmanager.url().rsplit_once(':').unwrap().1.to_owned();
    machine.set("prometheus.port", &port);
    let before = machine.config();
    // when a preset is applied, then it fails, and neither rules nor the configuration have changed.
    let said = machine.aami(&["alerts", "apply-preset", "gpu-basic"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(said.err.contains("ALERT_RULES_NOT_LOADED"), "{said:?}");
    assert_eq!(machine.config(), before);
    assert_eq!(names(&machine.rules()), Vec::<String>::new());
}

#[test]
fn a_test_alert_that_arrives_nowhere_is_a_failure() {
    // Given an Alertmanager whose only way leads to a port where nobody listens,
    let machine = Machine::bare();
    let alertmanager = Alertmanager::start_with(
        Place::Loopback,
        "route: {receiver: hook, group_wait: 0s}\n\
         receivers: [{name: hook, webhook_configs: [{url: 'http://127.0.0.1:9/'}]}]\n",
    )
    .unwrap();
    let port = alertmanager.url().rsplit_once(':').unwrap().1.to_owned();
    machine.set("alertmanager.port", &port);
    // when a test alert is sent, then it is counted as failed and not as sent.
    let said = machine.aami(&["alerts", "test", "--within", "30", "-o", "json"]);
    assert_eq!(said.exit, 3, "{said:?}");
    let ways: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&ways[0]["way"], &ways[0]["sent"]),
        (&"webhook".into(), &0.into()),
        "{said:?}"
    );
}

#[test]
fn a_test_alert_without_an_alertmanager_says_so() {
    let machine = Machine::bare();
    let said = machine.aami(&["alerts", "test"]);
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(said.err.contains("ALERTMANAGER_SILENT"), "{said:?}");
}

#[test]
fn another_configuration_never_replaces_the_rules_of_this_one() {
    // Given rules of this machine's configuration,
    let machine = Machine::with_prometheus();
    assert_eq!(
        machine.aami(&["alerts", "apply-preset", "gpu-production"]).exit,
        0
    );
    let before = names(&machine.rules());
    // when somebody tries something with another one, then that is refused, with whose they are and the way out;
    let other = machine.path("home/try.yaml");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, machine.config()).unwrap();
    let other = other.to_str().unwrap();
    for arguments in [
        &["alerts", "apply-preset", "infiniband", "--config", other][..],
        &[
            "alerts",
            "apply-preset",
            "infiniband",
            "--dry-run",
            "--config",
            other,
        ],
    ] {
        let said = machine.aami(arguments);
        assert_eq!(said.exit, 6, "{said:?}");
        assert!(
            said.err.contains("ALERT_RULES_ELSEWHERE")
                && said.err.contains("/etc/aami/config.yaml")
                && said.err.contains(".aami-rules.json"),
            "{said:?}"
        );
    }
    assert_eq!(names(&machine.rules()), before);
    assert!(!fs::read_to_string(other).unwrap().contains("infiniband"));
    // nor do nodes of the other one change them.
    let said = machine.aami(&["nodes", "add", "gpu-77", "--ip", "10.9.9.9", "--config", other]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert_eq!(names(&machine.rules()), before);
    // A configuration that was moved takes its rules along,
    let moved = machine.path("etc/aami/moved.yaml");
    fs::rename(machine.path("etc/aami/config.yaml"), &moved).unwrap();
    let said = machine.aami(&[
        "alerts",
        "apply-preset",
        "storage",
        "--config",
        moved.to_str().unwrap(),
    ]);
    assert_eq!(said.exit, 0, "{said:?}");
    // and the way out is one.
    fs::remove_file(machine.rules().join(".aami-rules.json")).unwrap();
    let said = machine.aami(&["alerts", "apply-preset", "infiniband", "--config", other]);
    assert_eq!(said.exit, 0, "{said:?}");
}

#[test]
fn rules_follow_the_nodes_that_are_declared() {
    // Given rules in place,
    let machine = Machine::with_prometheus();
    let declared = || fs::read_to_string(machine.rules().join("aami-declared.yaml")).unwrap_or_default();
    let said = machine.aami(&["nodes", "add", "gpu-01", "--ip", "10.0.0.1"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(
        !machine.rules().join("aami-declared.yaml").exists(),
        "nobody applied any yet"
    );
    assert_eq!(machine.aami(&["alerts", "apply-preset", "gpu-basic"]).exit, 0);
    assert!(declared().contains("gpu-01"), "{}", declared());
    // when nodes come, then Prometheus is told of them;
    let said = machine.aami(&["nodes", "add", "gpu-02", "--ip", "10.0.0.2"]);
    assert_eq!(
        (said.exit, said.err.contains("alert rules")),
        (0, false),
        "{said:?}"
    );
    assert!(declared().contains("gpu-02"), "{}", declared());
    assert_eq!(machine.aami(&["alerts", "list"]).exit, 0);
    // when one goes, then it is missed by nobody any more.
    let said = machine.aami(&["nodes", "remove", "gpu-01", "--yes"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(!declared().contains("gpu-01"), "{}", declared());
    // A Prometheus that takes nothing keeps nobody from declaring nodes, and that is said.
    fs::write(
        machine.rules().join("foreign.yaml"),
        "groups: [{name: a, rules: [{alert: B, expr: '((('}]}]\n",
    )
    .unwrap();
    let said = machine.aami(&["nodes", "add", "gpu-03", "--ip", "10.0.0.3"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(said.err.contains("still know the nodes from before"), "{said:?}");
    assert!(!declared().contains("gpu-03"), "{}", declared());
}

#[test]
fn what_only_a_control_plane_knows_is_said_to_need_one() {
    let machine = Machine::bare();
    for arguments in [
        &["alerts", "apply-preset", "thermal", "--group", "h100"][..],
        &["alerts", "test", "--prometheus", "mon-1"],
        &["alerts", "rules", "list"],
    ] {
        let said = machine.aami(arguments);
        assert!(
            said.exit != 0 && said.err.contains("NEEDS_CONTROL_PLANE"),
            "{said:?}"
        );
    }
    assert!(!machine.rules().join("aami-preset-thermal.yaml").exists());
}
