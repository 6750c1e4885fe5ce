//! What is live at one control plane, shown by another on the same etcd, a real one.

use aami_api::dashboard::What;
use aami_api::token::Validated;
use aami_model::Timestamp;
use aami_model::run::{RunEvent, RunEventKind, StepSummary};
use rig::Place;
use rig::engines::Etcd;

use crate::dashboards::Dashboard;
use crate::house::{House, until};
use crate::link::{Agent, enrolled};
use crate::replicas::two;

#[test]
fn a_node_that_is_connected_to_one_is_shown_as_busy_as_it_is_by_the_other() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let (first, second) = two(&etcd);
    let (machine, id) = enrolled(&first, "gpu-01", 1);
    let (mut agent, _) = Agent::connect(&first, &machine);
    let shown = |load: f32| {
        let node = second.admin().node(&id).map(|node| node.body);
        match &node {
            Ok(node) if node.connected && node.last_seen.is_some() => match &node.resources {
                Some(resources) if resources.load1 == load => Ok(()),
                _ => Err(format!("{node:?}")),
            },
            other => Err(format!("{other:?}")),
        }
    };
    // What it said before the other one listened, and what it says from then on.
    agent.say_text(r#"{"type":"heartbeat","resources":{"load1":7}}"#);
    until("the other one shows what was said before", || shown(7.0));
    agent.say_text(r#"{"type":"heartbeat","resources":{"load1":9}}"#);
    until("the other one shows what is said now", || shown(9.0));
}

#[test]
fn how_far_a_run_is_that_reports_to_one_is_seen_on_a_dashboard_of_the_other() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let (first, second) = two(&etcd);
    let mut there = Dashboard::of_admin(&second);
    there.sync();
    let token = first.token(|_| {}).token;
    let opened: Validated = first.stranger().with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let installer = first.stranger().with_bearer(&run.credential);
    let mut seq = 0;
    let mut say = |kind| {
        seq += 1;
        let at = Timestamp::from_millis(1_800_000_000_000);
        let event = RunEvent { seq, at, kind };
        installer.report(&run.id, vec![event]).unwrap();
    };
    say(RunEventKind::RunStarted {
        plan: "node".into(),
        steps: vec![StepSummary {
            id: "one".into(),
            title: "Doing one".into(),
        }],
    });
    say(RunEventKind::StepStarted {
        step: "one".into(),
        attempt: 1,
    });
    say(RunEventKind::StepProgress {
        step: "one".into(),
        fraction: 0.4,
        message: "two of five".into(),
    });
    // The store knows nothing of the fraction: it came from the other one itself.
    there.through(
        |what| matches!(what, What::Progress(p) if p.percentage == 40 && p.message == "two of five"),
    );
}

#[test]
fn a_stranger_is_told_nothing_by_a_control_plane() {
    let house = House::new();
    for badge in [
        None,
        Some(""),
        Some("a.1.00"),
        Some(&*format!("a.1.{}", "0".repeat(128))),
    ] {
        let headers: Vec<_> = badge.map(|badge| ("AAMI-Peer", badge)).into_iter().collect();
        let get = ureq::http::Method::GET;
        let answer = house
            .admin()
            .call::<(), serde_json::Value>(get, "/ws/peer", None, &headers);
        assert_eq!(crate::house::code_of(answer), "UNAUTHENTICATED");
    }
}
