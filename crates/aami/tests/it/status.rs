//! `aami status` of a declared fleet: what runs, what fires, and how it ends.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rig::Place;
use rig::engines::{Alertmanager, Prometheus};

use crate::file_fleet::Machine;
use crate::plane::{Said, aami, until};
use crate::web::Web;

/// A machine with a fleet, whose programs are looked for where a test has started them, and else where nobody is.
fn machine(prometheus: &str, alertmanager: &str, grafana: &str) -> Machine {
    let machine = Machine::with_fleet();
    for (field, url) in [
        ("prometheus.port", prometheus),
        ("alertmanager.port", alertmanager),
        ("grafana.port", grafana),
    ] {
        let port = url.rsplit_once(':').unwrap().1;
        let said = machine.aami(&["config", "set", field, port]);
        assert_eq!(said.exit, 0, "{said:?}");
    }
    machine
}

/// Ports of services that nobody has run for decades.
const NOBODY: [&str; 3] = ["nobody:9", "nobody:11", "nobody:13"];

/// What answers as Grafana does when it is asked how it is.
fn grafana() -> Web {
    Web::at("127.0.0.1", |_| {
        r#"{"commit":"x","database":"ok","version":"11.2.0"}"#.to_owned()
    })
}

fn line<'a>(said: &'a Said, name: &str) -> &'a str {
    let found = said.out.lines().find(|line| line.starts_with(name));
    found.unwrap_or_else(|| panic!("{name} in {said:?}"))
}

#[test]
fn where_nothing_runs_each_program_is_named() {
    let [prometheus, alertmanager, grafana] = NOBODY;
    let machine = machine(prometheus, alertmanager, grafana);
    let said = machine.aami(&["status"]);
    assert_eq!(said.exit, 3, "{said:?}");
    for name in ["Prometheus:", "Alertmanager:", "Grafana:"] {
        assert!(line(&said, name).ends_with("❌ not running"), "{said:?}");
    }
    assert!(said.out.contains("Not well:"), "{said:?}");
    let wide = machine.aami(&["status", "-o", "wide"]);
    assert_eq!(wide.exit, 3, "{wide:?}");
    assert!(
        line(&wide, "Prometheus:").contains("http://127.0.0.1:9"),
        "{wide:?}"
    );
}

#[test]
fn where_all_is_well_it_ends_well_and_wide_names_versions_and_addresses() {
    let prometheus = Prometheus::start(Place::Loopback, "scrape_configs: []\n").unwrap();
    let alertmanager = Alertmanager::start(Place::Loopback).unwrap();
    let grafana = grafana();
    let machine = machine(&prometheus.url(), &alertmanager.url(), &grafana.url());
    let said = machine.aami(&["status"]);
    assert_eq!(said.exit, 0, "{said:?}");
    assert!(line(&said, "Grafana:").ends_with("✅ running"), "{said:?}");
    assert!(!said.out.contains("Not well"), "{said:?}");
    // Wide says what each is and where, and programs are told the same.
    let wide = machine.aami(&["status", "-o", "wide"]);
    assert_eq!(wide.exit, 0, "{wide:?}");
    let told = machine.aami(&["status", "-o", "json"]).json();
    for (at, name) in ["Prometheus", "Alertmanager", "Grafana"].iter().enumerate() {
        let component = &told["components"][at];
        let (version, url) = (component["version"].as_str(), component["url"].as_str());
        let expected = format!(
            "✅ running, version {}, {}",
            version.unwrap_or_else(|| panic!("{name} in {told}")),
            url.unwrap()
        );
        assert!(line(&wide, &format!("{name}:")).ends_with(&expected), "{wide:?}");
    }
    assert_eq!(told["components"][2]["version"], "11.2.0");
}

#[test]
fn a_critical_alert_that_fires_is_named_and_decides() {
    // Given a Prometheus with a rule that always fires, and a node it knows nothing of,
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("rules.yaml"),
        "groups: [{name: t, rules: [{alert: GpuLost, expr: vector(1), labels: {severity: critical, node: gpu-07}}]}]\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("prometheus.yml"),
        format!(
            "global: {{evaluation_interval: 1s}}\nrule_files: ['{}/rules.yaml']\n",
            folder.path().display()
        ),
    )
    .unwrap();
    let prometheus = Prometheus::start_in(Place::Loopback, folder.path()).unwrap();
    let alertmanager = Alertmanager::start(Place::Loopback).unwrap();
    let grafana = grafana();
    let machine = machine(&prometheus.url(), &alertmanager.url(), &grafana.url());
    until("the alert", || {
        prometheus
            .query("ALERTS{alertstate=\"firing\"}")
            .is_ok_and(|found| !found.is_empty())
    });
    // when it is asked how it is, then the alert is named, with whose it is where every name is wanted;
    let said = machine.aami(&["status"]);
    assert_eq!(said.exit, 3, "{said:?}");
    assert!(line(&said, "Alerts firing:").ends_with("1: GpuLost"), "{said:?}");
    assert!(
        line(&said, "Not well:").contains("1 critical alert is firing"),
        "{said:?}"
    );
    let wide = machine.aami(&["status", "-o", "wide"]);
    assert!(
        line(&wide, "Firing:").ends_with("GpuLost (critical) on gpu-07"),
        "{wide:?}"
    );
    // and a node that is declared and that nobody watches stands there by name.
    let added = machine.aami(&["nodes", "add", "gpu-[07-08]", "--ip", "10.0.0.[7-8]"]);
    assert_eq!(added.exit, 0, "{added:?}");
    let wide = machine.aami(&["status", "-o", "wide"]);
    assert!(line(&wide, "Unknown:").ends_with("gpu-[07-08]"), "{wide:?}");
}

#[test]
fn it_is_shown_again_until_somebody_interrupts_it() {
    let [prometheus, alertmanager, grafana] = NOBODY;
    let machine = machine(prometheus, alertmanager, grafana);
    let mut child = aami(&["status", "--watch", "1", "--root"])
        .arg(machine.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = Instant::now();
    let shown = lines
        .map_while(Result::ok)
        .filter(|line| line.starts_with("Cluster:"))
        .take(3)
        .count();
    // The third comes two pauses after the first.
    assert!(shown == 3 && begun.elapsed() >= Duration::from_secs(2), "{shown}");
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut ended = None;
    until("its end", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    let ended = ended.unwrap();
    assert!(ended.signal() == Some(2) || ended.code().is_some(), "{ended:?}");
}
