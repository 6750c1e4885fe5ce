//! What the control plane exports about itself: what the rules about AAMI look at, as it is recorded for their test.

use std::collections::BTreeSet;

use aami_model::NodeId;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepSummary};
use aami_model::{RunId, Timestamp};
use serde_json::{Value, json};

use crate::deliveries::{declare, webhook};
use crate::house::{House, Machine, until};
use crate::link::{Agent, enrolled, node};
use crate::receiver::Receiver;

/// What aami-monitor's tests believe that a control plane exports.
const RECORDED: &str = include_str!("../../../aami-monitor/tests/it/fixtures/control_plane_metrics.txt");

/// The value of the one sample that has this name and no label.
fn value(house: &House, name: &str) -> Option<String> {
    let text = house.admin().text("/metrics").unwrap();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map(str::to_owned)
}

fn until_is(house: &House, name: &str, wanted: &str) {
    until(&format!("{name} is {wanted}"), || match value(house, name) {
        Some(found) if found == wanted => Ok(()),
        other => Err(other),
    });
}

#[test]
fn connections_of_agents_are_counted_as_they_are_and_each_return_once() {
    // Given a control plane that nobody has connected to: both stand at 0 from the beginning
    let house = House::new();
    until_is(&house, "aami_agent_connections", "0");
    until_is(&house, "aami_agent_reconnects_total", "0");

    // when agents connect, then as many are connected, and none has come back;
    let (first, first_id) = enrolled(&house, "gpu-01", 1);
    let (second, _) = enrolled(&house, "gpu-02", 2);
    let (agent, _) = Agent::connect(&house, &first);
    let (_other, _) = Agent::connect(&house, &second);
    until_is(&house, "aami_agent_connections", "2");
    until_is(&house, "aami_agent_reconnects_total", "0");

    // one that goes is no longer counted,
    drop(agent);
    until_is(&house, "aami_agent_connections", "1");
    // one that comes back is, and its return too,
    let (_agent, _) = Agent::connect(&house, &first);
    until_is(&house, "aami_agent_connections", "2");
    until_is(&house, "aami_agent_reconnects_total", "1");
    // and where it comes anew while it seems to be there, it has one connection all the same.
    let (_newer, _) = Agent::connect(&house, &first);
    until_is(&house, "aami_agent_connections", "2");
    until_is(&house, "aami_agent_reconnects_total", "2");
    assert!(node(&house, &first_id).connected);
}

/// A sample's name and the names of its labels.
fn shape(line: &str) -> (String, Vec<String>) {
    let (head, _) = line.rsplit_once(' ').unwrap();
    let (name, labels) = head.split_once('{').unwrap_or((head, ""));
    let labels = labels
        .trim_end_matches('}')
        .split("\",")
        .filter(|one| !one.is_empty());
    let mut names: Vec<String> = labels
        .map(|one| one.split_once('=').unwrap().0.to_owned())
        .collect();
    names.sort();
    (name.to_owned(), names)
}

#[test]
fn what_the_rules_look_at_is_exported_by_a_control_plane_at_work() {
    // Given a fleet at work: a node that is connected, one whose installation failed, a destination that was told,
    let house = House::new();
    let admin = house.admin();
    let (machine, _) = enrolled(&house, "gpu-01", 1);
    let (_agent, _) = Agent::connect(&house, &machine);
    installation_fails(&house);
    let receiver = Receiver::new();
    webhook(&house, |wanted| {
        wanted.url = receiver.url();
        wanted.events = vec!["node.registered".into()];
    });
    declare(&house, "gpu-03");
    // an update of a group's agents, and a Prometheus that rules go to,
    let group: Value = admin
        .post("/api/v1/groups", Some(&json!({ "name": "g" })))
        .unwrap();
    let path = format!("/api/v1/groups/{}/rollout", group["id"].as_str().unwrap());
    let plan = json!({ "version": "9.9.9" });
    admin
        .call::<_, Value>(ureq::http::Method::PUT, &path, Some(&plan), &[])
        .unwrap();
    let prometheus = json!({ "name": "p", "url": "http://127.0.0.1:1", "node": "gpu-01" });
    let _: Value = admin.post("/api/v1/prometheuses", Some(&prometheus)).unwrap();

    // then everything that is recorded is exported, with these labels.
    until("all of it is exported", || {
        let text = admin.text("/metrics").unwrap();
        let exported: BTreeSet<_> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(shape)
            .collect();
        let recorded = RECORDED.lines().filter(|line| !line.starts_with('#'));
        let missing: Vec<_> = recorded
            .map(shape)
            .filter(|one| !exported.contains(one))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    });
    // The failure is counted under its code, once, and what was told under its destination.
    let text = admin.text("/metrics").unwrap();
    for line in [
        "aami_install_failures_total{code=\"CHECKSUM_MISMATCH\"} 1",
        "aami_deliveries_total{destination=\"hook\",result=\"delivered\"} ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// Declares a node, and has its installation fail as its script reports it.
fn installation_fails(house: &House) {
    let token = house.token(|_| {}).token;
    let run = house
        .stranger()
        .with_bearer(&token)
        .validate()
        .unwrap()
        .body
        .run
        .unwrap();
    let installer = house.stranger().with_bearer(&run.credential);
    let machine = Machine::new("gpu-02", 2).with(|request| {
        request.run_id = Some(run.id.clone());
        request.exporters[0].port = 1;
    });
    let _: NodeId = machine.register(&house.stranger(), &token).unwrap().node.id;
    let kinds = [
        RunEventKind::RunStarted {
            plan: "node".into(),
            steps: vec![StepSummary {
                id: "integrity".into(),
                title: "Verifying the download".into(),
            }],
        },
        RunEventKind::StepStarted {
            step: "integrity".into(),
            attempt: 1,
        },
        RunEventKind::StepFailed {
            step: "integrity".into(),
            code: "CHECKSUM_MISMATCH".into(),
            message: "Downloaded binary checksum does not match".into(),
            hint: String::new(),
            details: [].into(),
            duration_ms: 5,
        },
        RunEventKind::RunFinished {
            status: RunStatus::Failed,
            duration_ms: 9,
        },
    ];
    report(house, &installer, &run.id, kinds.into());
}

fn report(house: &House, installer: &aami_api::client::Client, run: &RunId, kinds: Vec<RunEventKind>) {
    let at: Timestamp = aami_server::Clock::now(&*house.clock);
    let numbered = (1..).zip(kinds);
    let events = numbered.map(|(seq, kind)| RunEvent { seq, at, kind }).collect();
    installer.report(run, events).unwrap();
}
