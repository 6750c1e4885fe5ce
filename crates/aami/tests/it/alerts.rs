//! Alert rules of a declared fleet: into the folder, into a real Prometheus, and back out when it refuses.

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
        // The lock of whoever writes is no rule and stays.
        .filter(|name| name != ".aami.lock")
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
