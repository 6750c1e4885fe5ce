//! Rules brought to the Prometheus on the control plane's own machine: a real one, that takes them, refuses them, goes
//! and comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use aami_api::client::Client;
use aami_api::prometheus::PrometheusView;
use aami_api::rules::{AlertState, CreateRuleSet};
use aami_model::prometheus::RuleState;
use aami_server::Config;
use rig::Place;
use rig::engines::Prometheus;
use serde_json::{Value, json};

use crate::house::{House, until, until_within};
use crate::rules::{custom, group, wish};
use crate::stand_in::{Manner, StandIn, json as answer, nonsense};

/// A folder with the configuration of a Prometheus, and the folder its rules are brought to.
pub struct Seat {
    folder: tempfile::TempDir,
    port: u16,
}

impl Seat {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seat = Self {
            folder,
            port: Place::Loopback.port(0).unwrap(),
        };
        fs::create_dir(seat.rules()).unwrap();
        let configuration = json!({
            "global": { "scrape_interval": "500ms", "evaluation_interval": "500ms" },
            "rule_files": [format!("{}/*.yaml", seat.rules().display())],
            "scrape_configs": [{
                "job_name": "prometheus",
                "static_configs": [{ "targets": [format!("127.0.0.1:{}", seat.port)] }],
            }],
        });
        fs::write(
            seat.folder.path().join("prometheus.yml"),
            configuration.to_string(),
        )
        .unwrap();
        seat
    }

    fn rules(&self) -> std::path::PathBuf {
        self.folder.path().join("rules")
    }

    pub fn start(&self) -> Prometheus<'static> {
        Prometheus::start_at(Place::Loopback, self.folder.path(), self.port).unwrap()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn house(&self) -> House {
        self.house_with(|_| {})
    }

    /// A control plane beside it.
    pub fn house_with(&self, change: impl FnOnce(&mut Config)) -> House {
        House::with(|config| {
            config.prometheus_url = Some(self.url());
            config.prometheus_rules = Some(self.rules());
            change(config);
        })
    }
}

fn local(admin: &Client) -> PrometheusView {
    admin.prometheus("local").unwrap().body
}

/// Waits until the rules stand so.
fn until_state(admin: &Client, state: RuleState) {
    until_within(
        Duration::from_secs(60),
        &format!("the rules are {state:?}"),
        || match admin.prometheus("local") {
            Ok(seen) if seen.body.state == state => Ok(()),
            Ok(seen) => Err(format!("{:?}", seen.body)),
            Err(error) => Err(error.to_string()),
        },
    );
}

fn is_placed(folder: &Path, name: &str) -> bool {
    folder.join(name).exists()
}

/// The alerts a Prometheus has rules for.
pub fn loaded(prometheus: &Prometheus<'_>) -> Vec<String> {
    let agent = ureq::Agent::new_with_defaults();
    let text = agent
        .get(format!("{}/api/v1/rules", prometheus.url()))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let groups = answer["data"]["groups"].as_array().unwrap().clone();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .filter_map(|rule| Some(rule["name"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn what_is_wanted_is_loaded_and_what_is_wanted_no_longer_is_gone() {
    // Given a control plane beside a Prometheus,
    let seat = Seat::new();
    let prometheus = seat.start();
    let house = seat.house();
    let admin = house.admin();
    // when nobody said anything yet, then it has the rules about the control plane itself, and no others of ours.
    until_state(&admin, RuleState::Loaded);
    let first = local(&admin);
    assert_eq!(first.last.unwrap().loaded.as_deref(), Some(first.wanted.as_str()));
    assert!(loaded(&prometheus).contains(&"AamiRulesNotLoaded".to_owned()));

    // When rules are made for everybody and for two groups, one of which has one otherwise,
    let (lab, train) = (group(&admin, "lab"), group(&admin, "training"));
    admin
        .create_rule_set(&CreateRuleSet {
            presets: vec!["gpu-production".into()],
            custom: vec![custom("Always", "up == 1")],
            ..CreateRuleSet::default()
        })
        .unwrap();
    for (name, alert) in [("lab", "LabOnly"), ("training", "TrainOnly")] {
        admin
            .create_rule_set(&CreateRuleSet {
                group: Some(name.into()),
                custom: vec![custom(alert, "up == 0")],
                overrides: vec![aami_model::rules::RuleOverride {
                    disabled: name == "lab",
                    ..wish("Always")
                }],
                ..CreateRuleSet::default()
            })
            .unwrap();
    }
    // then Prometheus has them all, each group's in a file of its own,
    until_state(&admin, RuleState::Loaded);
    let alerts = loaded(&prometheus);
    for alert in ["NodeDown", "Always", "LabOnly", "TrainOnly"] {
        assert!(alerts.iter().any(|known| known == alert), "{alert}: {alerts:?}");
    }
    assert!(is_placed(&seat.rules(), &format!("aami-rules-{}.yaml", lab.id)));
    // and says what fires, as the control plane does.
    until("an alert is pending", || {
        let active = admin.active_alerts("?state=pending").unwrap();
        let found = active.items.iter().find(|alert| alert.alert == "Always");
        found.map(drop).ok_or(active)
    });
    assert!(admin.active_alerts("?state=firing").unwrap().items.is_empty());

    // When a group's rules go, then its file goes, and the others stay.
    admin.delete_rule_set("lab").unwrap();
    until_state(&admin, RuleState::Loaded);
    assert!(!is_placed(&seat.rules(), &format!("aami-rules-{}.yaml", lab.id)));
    assert!(is_placed(&seat.rules(), &format!("aami-rules-{}.yaml", train.id)));
    assert!(!loaded(&prometheus).contains(&"LabOnly".to_owned()));

    // The control plane's own Prometheus is its configuration's, not somebody's to change.
    let refused = admin.delete("/api/v1/prometheuses/local");
    assert_eq!(crate::house::code_of(refused), "CONFLICT");
}

#[test]
fn a_prometheus_that_refuses_keeps_what_it_had_and_is_tried_again() {
    // Given a Prometheus that has its rules, and a file of somebody else's that no Prometheus would load,
    let seat = Seat::new();
    let prometheus = seat.start();
    let house = seat.house();
    let admin = house.admin();
    until_state(&admin, RuleState::Loaded);
    let before = local(&admin).wanted;
    let bad = seat.rules().join("mine.yaml");
    fs::write(&bad, "groups: [{name: x, rules: [{alert: X, expr: 'up =='}]}]\n").unwrap();

    // when other rules are wanted, then it is told that they are not loaded, and why, and the old ones lie there.
    admin
        .create_rule_set(&CreateRuleSet {
            presets: vec!["gpu-basic".into()],
            ..CreateRuleSet::default()
        })
        .unwrap();
    until_state(&admin, RuleState::Failed);
    let failed = local(&admin);
    let last = failed.last.unwrap();
    assert_ne!(failed.wanted, before);
    assert_eq!(last.loaded.as_deref(), Some(before.as_str()));
    assert_eq!(last.code.as_deref(), Some("ALERT_RULES_NOT_LOADED"));
    assert!(last.sentence.unwrap().contains("refuses"));
    assert!(!is_placed(&seat.rules(), "aami-rules-global.yaml"));
    assert!(!loaded(&prometheus).contains(&"NodeDown".to_owned()));

    // When the file is mended, then they come by themselves.
    fs::remove_file(&bad).unwrap();
    until_state(&admin, RuleState::Loaded);
    assert!(loaded(&prometheus).contains(&"NodeDown".to_owned()));
    let told = admin.events(0, 1000).unwrap().events;
    let failures = told.iter().filter(|event| event.kind == "rules.failed").count();
    assert_eq!(failures, 1, "what fails again the same way is told once");
}

#[test]
fn what_promtool_refuses_touches_nothing() {
    // Given a promtool that has something against everything,
    let seat = Seat::new();
    let programs = seat.folder.path().join("programs");
    let promtool = programs.join("prometheus-9.0.0/promtool");
    fs::create_dir_all(promtool.parent().unwrap()).unwrap();
    let says = |script: &str| {
        let draft = promtool.with_extension("new");
        fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&draft, &promtool).unwrap();
    };
    says("echo 'not these' >&2; exit 1");
    let prometheus = seat.start();
    let house = House::with(|config| {
        config.prometheus_url = Some(seat.url());
        config.prometheus_rules = Some(seat.rules());
        config.programs = programs.clone();
    });
    let admin = house.admin();
    // then its words are told, and nothing is placed.
    until_state(&admin, RuleState::Failed);
    let last = local(&admin).last.unwrap();
    assert_eq!(last.code.as_deref(), Some("ALERT_RULE_INVALID"));
    assert!(last.sentence.unwrap().contains("not these"));
    assert!(!is_placed(&seat.rules(), "aami-agents.yaml"));
    assert!(loaded(&prometheus).is_empty());
    // When it is mended, then what is wanted is tried again.
    says("exit 0");
    until_state(&admin, RuleState::Loaded);
    assert!(is_placed(&seat.rules(), "aami-agents.yaml"));
}

#[test]
fn rules_wait_for_a_prometheus_that_is_away() {
    // Given a control plane whose Prometheus does not run,
    let seat = Seat::new();
    let house = seat.house();
    let admin = house.admin();
    admin
        .create_rule_set(&CreateRuleSet {
            presets: vec!["gpu-basic".into()],
            ..CreateRuleSet::default()
        })
        .unwrap();
    // then the rules lie there and wait, and who asks what fires is told that nobody answers.
    until_state(&admin, RuleState::Waiting);
    assert!(is_placed(&seat.rules(), "aami-rules-global.yaml"));
    let active = admin.active_alerts("").unwrap();
    assert!(
        active.items.is_empty() && active.prometheuses[0].error.is_some(),
        "{active:?}"
    );
    // When it comes, it has them.
    let prometheus = seat.start();
    until_state(&admin, RuleState::Loaded);
    assert!(loaded(&prometheus).contains(&"NodeDown".to_owned()));
    // Whoever takes a file away finds it there again when it is next looked at.
    let house = house.restart(|config| {
        config.prometheus_url = Some(seat.url());
        config.prometheus_rules = Some(seat.rules());
        fs::remove_file(seat.rules().join("aami-rules-global.yaml")).unwrap();
    });
    until("the file is back", || {
        is_placed(&seat.rules(), "aami-rules-global.yaml")
            .then_some(())
            .ok_or("gone")
    });
    until_state(&house.admin(), RuleState::Loaded);
}

#[test]
fn one_prometheus_that_talks_nonsense_keeps_no_other_from_being_heard() {
    // Given one Prometheus that tells of an alert, and one that says whatever it likes,
    let good = StandIn::new(answer(
        "200 OK",
        r#"{"status":"success","data":{"alerts":[
            {"labels":{"alertname":"A","severity":"warning","node":"gpu-01"},"annotations":{},"state":"firing",
             "activeAt":"2026-01-01T00:00:00.123456789Z","value":"1e+00"},
            {"labels":{"alertname":"B","severity":"critical","org":"other"},"annotations":{},"state":"firing",
             "activeAt":"nonsense","value":"1"},
            {"labels":{"alertname":"C"},"annotations":{},"state":"asleep","value":"1"}]}}"#,
    ));
    let bad = StandIn::new(Manner::Silence);
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(|config| {
        config.prometheus_url = Some(good.url());
        config.prometheus_rules = Some(folder.path().join("rules"));
    });
    let admin = house.admin();
    let foreign = house.admin_of("other");
    until("the local one is noted", || {
        admin.prometheus("local").map(drop).map_err(|e| e.to_string())
    });
    let token = house.token(|_| {}).token;
    crate::house::Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap();
    let wanted = json!({ "name": "bad", "url": bad.url(), "node": "gpu-01", "alertmanager_url": bad.url() });
    let _: Value = admin.post("/api/v1/prometheuses", Some(&wanted)).unwrap();
    for manner in nonsense(good.port) {
        bad.behave(manner);
        // when somebody asks what fires,
        let active = admin.active_alerts("").unwrap();
        // then the good one is heard, the graver first, and the bad one is said to be bad,
        let names: Vec<&str> = active.items.iter().map(|alert| alert.alert.as_str()).collect();
        assert_eq!(names, ["B", "A"]);
        assert_eq!(active.items[1].state, AlertState::Firing);
        assert!(active.items[1].since.is_some() && active.items[0].since.is_none());
        let bad = active.prometheuses.iter().find(|one| one.name == "bad").unwrap();
        assert!(
            bad.error.is_some() && bad.alertmanager_error.is_some(),
            "{active:?}"
        );
        assert!(!bad.error.as_ref().unwrap().contains("sign in"), "{active:?}");
    }
    // and each organisation is told of its own nodes alone.
    let theirs = foreign.active_alerts("").unwrap();
    let names: Vec<&str> = theirs.items.iter().map(|alert| alert.alert.as_str()).collect();
    assert_eq!(names, ["B"]);
    assert_eq!(theirs.prometheuses.len(), 1);
    assert_eq!(theirs.prometheuses[0].url, "");
    let of_node = admin.active_alerts("?node=gpu-01").unwrap();
    assert_eq!(of_node.items.len(), 1);
}
