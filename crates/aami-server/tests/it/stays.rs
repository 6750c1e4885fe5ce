//! How long a node stays in a status, and that one that stays longer than is usual is shown as stuck.

use std::time::Duration;

use aami_model::node_status::NodeStatus;
use aami_model::run::{RunEvent, RunEventKind, RunStatus};
use aami_model::{NodeId, Timestamp};
use aami_server::Clock as _;
use serde_json::{Value, json};

use crate::house::{House, Machine};
use crate::link::{Agent, enrolled, node, until_status};
use crate::node_tokens::declared;

const MOMENT: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// One that enrolled and whose installation then failed.
fn failed(house: &House) -> NodeId {
    let token = house.token(|_| {}).token;
    let opened = house.stranger().with_bearer(&token).validate().unwrap().body;
    let run = opened.run.unwrap();
    let machine = Machine::new("gpu-failed", 7).with(|request| {
        request.run_id = Some(run.id.clone());
        request.exporters[0].port = 1;
    });
    let id = machine.register(&house.stranger(), &token).unwrap().node.id;
    let kind = RunEventKind::RunFinished {
        status: RunStatus::Failed,
        duration_ms: 1,
    };
    let event = RunEvent {
        seq: 1,
        at: house.clock.now(),
        kind,
    };
    let installer = house.stranger().with_bearer(&run.credential);
    installer.report(&run.id, vec![event]).unwrap();
    id
}

#[test]
fn a_node_that_stays_longer_than_is_usual_is_stuck_and_none_before() {
    // Given a node in every status there is, each since this moment
    let house = House::with(|config| {
        // One that installs is not given up here before it is stuck.
        config.install_silence = HOUR * 1000;
        config.heartbeat_timeout = Duration::from_secs(6);
    });
    let admin = house.admin();
    let (machine, offline) = enrolled(&house, "gpu-offline", 2);
    drop(Agent::connect(&house, &machine));
    until_status(&house, &offline, NodeStatus::Offline);
    let began = house.clock.now();
    let pending = declared(&house, "gpu-pending");
    let (_, installing) = enrolled(&house, "gpu-installing", 1);
    let error = failed(&house);
    let (machine, maintenance) = enrolled(&house, "gpu-maintenance", 3);
    let (mut out, _) = Agent::connect(&house, &machine);
    let (machine, online) = enrolled(&house, "gpu-online", 4);
    let (mut up, _) = Agent::connect(&house, &machine);
    let inactive = declared(&house, "gpu-inactive");
    for (id, verb) in [(&maintenance, "maintenance"), (&inactive, "decommission")] {
        let path = format!("/api/v1/nodes/{id}/{verb}");
        let _: Value = admin.post(&path, Some(&json!({}))).unwrap();
    }
    let expected = [
        (&pending, NodeStatus::Pending, Some(HOUR * 24)),
        (&installing, NodeStatus::Installing, Some(HOUR / 2)),
        (&error, NodeStatus::Error, Some(HOUR * 24)),
        (&offline, NodeStatus::Offline, Some(HOUR)),
        (&maintenance, NodeStatus::Maintenance, Some(HOUR * 24)),
        (&online, NodeStatus::Online, None),
        (&inactive, NodeStatus::Inactive, None),
    ];
    assert_eq!(expected.len(), NodeStatus::ALL.len());

    // then each says until when it is expected to be so, those that may stay for ever nothing;
    for (id, status, stay) in expected {
        let seen = node(&house, id);
        assert_eq!((seen.status, seen.status_since), (status, began));
        let until = stay.map(|stay| began.plus(stay));
        assert_eq!(seen.expected_until, until, "{}", status.name());
    }

    // and whenever a time is over, and not a moment before, those are stuck whose time it was.
    let mut now = began;
    for boundary in [HOUR / 2, HOUR, HOUR * 24] {
        for at in [boundary, boundary + MOMENT] {
            let moment: Timestamp = began.plus(at);
            house.forward(moment.since(now));
            now = moment;
            out.beat();
            up.beat();
            for (id, status, stay) in expected {
                let wanted = stay.is_some_and(|stay| at > stay);
                let seen = node(&house, id);
                assert_eq!(
                    (seen.status, seen.stuck),
                    (status, wanted),
                    "{} after {at:?}",
                    status.name()
                );
                // The list says the same as the node alone.
                let query = format!("?hostname={}", seen.hostname);
                let listed = admin.nodes(&query).unwrap().items;
                assert_eq!((listed.len(), listed[0].stuck), (1, wanted));
            }
        }
    }
}
