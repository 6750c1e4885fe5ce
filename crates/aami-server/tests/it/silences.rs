//! Alerts of nodes in maintenance, with a real Alertmanager and with one that misbehaves.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use aami_api::client::Client;
use aami_api::node::NodeView;
use aami_model::NodeId;
use aami_model::node_status::NodeStatus;
use aami_model::silence::{Silence, SilenceState};
use rig::Place;
use rig::engines::{Alertmanager, Etcd};
use serde_json::{Value, json};

use crate::house::{House, Machine, until};
use crate::stand_in::{Manner, StandIn, json as answer, nonsense};

/// A house that tells an Alertmanager, with one node at work.
fn house(url: &str) -> (House, Client, NodeId) {
    let house = House::with(|config| config.alertmanager_url = Some(url.to_owned()));
    let token = house.token(|_| {}).token;
    let machine = Machine::new("gpu-01", 1).with(|r| r.exporters.clear());
    let id = machine.register(&house.stranger(), &token).unwrap().node.id;
    let admin = house.admin();
    (house, admin, id)
}

fn ask(client: &Client, id: &NodeId, verb: &str, body: &Value) -> NodeView {
    client
        .post(&format!("/api/v1/nodes/{id}/{verb}"), Some(body))
        .unwrap()
}

fn silence(client: &Client, id: &NodeId) -> Option<Silence> {
    client.node(id).unwrap().body.silence
}

fn until_state(client: &Client, id: &NodeId, state: Option<SilenceState>) {
    until(&format!("the silence is {state:?}"), || {
        let silence = silence(client, id);
        match silence.as_ref().map(|silence| silence.state) == state {
            true => Ok(()),
            false => Err(silence),
        }
    });
}

/// One alert with the node's id, one that only says where it was scraped, and those of others, also at its address.
fn alerts(id: &NodeId) -> Value {
    json!([
        { "labels": { "alertname": "ById", "node_id": id, "cluster": "default" } },
        { "labels": { "alertname": "ByPlace", "instance": "127.9.2.10:9400", "cluster": "default" } },
        { "labels": { "alertname": "Other", "node_id": "other", "instance": "127.9.2.100:9400", "cluster": "default" } },
        { "labels": { "alertname": "Elsewhere", "instance": "127.9.2.10:9400", "cluster": "other" } },
        { "labels": { "alertname": "OtherThere", "node_id": "other", "instance": "127.9.2.10:9400", "cluster": "default" } },
        { "labels": { "alertname": "OtherOrg", "org": "acme", "instance": "127.9.2.10:9400", "cluster": "default" } },
    ])
}

/// The alerts that are silenced.
fn silenced(alertmanager: &Alertmanager<'_>) -> Vec<String> {
    let mut alerts = alertmanager.alerts().unwrap();
    assert_eq!(alerts.len(), 6);
    alerts.retain(|(_, silenced)| *silenced);
    let mut names: Vec<String> = alerts.into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn a_node_is_silent_while_it_is_in_maintenance_and_no_longer() {
    // Given alerts of a node and of others, and a silence that an operator made
    let alertmanager = Alertmanager::start(Place::Loopback).unwrap();
    let (_house, admin, id) = house(&alertmanager.url());
    alertmanager.raise(&alerts(&id)).unwrap();
    let own = json!({
        "matchers": [{ "name": "node_id", "value": id, "isRegex": false, "isEqual": true },
                     { "name": "alertname", "value": "Mine", "isRegex": false, "isEqual": true }],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2100-01-01T00:00:00Z",
        "createdBy": "alice", "comment": "mine",
    });
    alertmanager.silence(&own).unwrap();

    // when the node is taken out for an hour
    let hour = aami_model::Timestamp::from_millis(1_800_000_000_000).plus(Duration::from_secs(3600));
    let node = ask(
        &admin,
        &id,
        "maintenance",
        &json!({ "reason": "fans", "until": hour }),
    );
    assert_eq!(node.silence.unwrap().state, SilenceState::Pending);
    until_state(&admin, &id, Some(SilenceState::Active));

    // then its alerts and no others are silenced, for that hour by Alertmanager's own clock, and people read why.
    until("its alerts are silenced", || match silenced(&alertmanager) {
        names if names == ["ById", "ByPlace"] => Ok(()),
        names => Err(names),
    });
    let ours = |state: &str| -> Vec<Value> {
        let mut ours = alertmanager.silences(state).unwrap();
        ours.retain(|silence| silence["createdBy"] == "aami");
        ours
    };
    let lasting = |silence: &Value| {
        let at = |name: &str| -> aami_model::Timestamp { silence[name].as_str().unwrap().parse().unwrap() };
        at("endsAt").since(at("startsAt")).as_secs()
    };
    assert_eq!(ours("active").len(), 2);
    for silence in ours("active") {
        assert_eq!(silence["comment"], "gpu-01 is in maintenance: fans");
        assert!((3500..3700).contains(&lasting(&silence)), "{silence}");
    }
    assert_eq!(silence(&admin, &id).unwrap().until, Some(hour));

    // Another end moves it, another reason is told, and there are never more.
    let later = hour.plus(Duration::from_secs(3600));
    ask(
        &admin,
        &id,
        "maintenance",
        &json!({ "reason": "fans and dust", "until": later }),
    );
    until("it is extended", || {
        let all = ours("active");
        let fits = |one: &Value| {
            (7100..7300).contains(&lasting(one)) && one["comment"].as_str().unwrap().ends_with("dust")
        };
        match all.len() == 2 && all.iter().all(fits) {
            true => Ok(()),
            false => Err(all),
        }
    });

    // And back at work it is heard again at once, while the operator's own silence stands.
    let node = ask(&admin, &id, "resume", &json!({}));
    assert_eq!(node.status, NodeStatus::Online);
    until_state(&admin, &id, None);
    assert!(ours("active").is_empty());
    assert_eq!(alertmanager.silences("active").unwrap().len(), 1);
    until("its alerts are heard", || {
        match silenced(&alertmanager).is_empty() {
            true => Ok(()),
            false => Err(()),
        }
    });
}

#[test]
fn an_alert_that_may_be_about_another_node_is_heard() {
    // Given a node in maintenance
    let alertmanager = Alertmanager::start(Place::Loopback).unwrap();
    let (house, admin, id) = house(&alertmanager.url());
    alertmanager.raise(&alerts(&id)).unwrap();
    ask(&admin, &id, "maintenance", &json!({}));
    until_state(&admin, &id, Some(SilenceState::Active));
    until("its alerts are silenced", || match silenced(&alertmanager) {
        names if names == ["ById", "ByPlace"] => Ok(()),
        names => Err(names),
    });
    // when another one has its address,
    let token = house.token(|_| {}).token;
    let other = Machine::new("gpu-02", 2).with(|r| r.exporters.clear());
    let other = other.register(&house.stranger(), &token).unwrap().node.id;
    // then what says no node is heard, and people read so;
    until("what may be another's is heard", || {
        match silenced(&alertmanager) {
            names if names == ["ById"] => Ok(()),
            names => Err(names),
        }
    });
    until("it says so", || match silence(&admin, &id) {
        Some(silence)
            if silence
                .reason
                .as_deref()
                .unwrap_or_default()
                .contains("same address") =>
        {
            Ok(())
        }
        silence => Err(silence),
    });
    // and it is silenced again once the other is gone.
    admin.delete(&format!("/api/v1/nodes/{other}")).unwrap();
    until("its alerts are silenced again", || {
        match silenced(&alertmanager) {
            names if names == ["ById", "ByPlace"] => Ok(()),
            names => Err(names),
        }
    });
}

#[test]
fn what_a_replica_tells_too_late_is_taken_back() {
    // Given a replica that is about to tell of a maintenance, to an Alertmanager that takes its time
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let alertmanager = Alertmanager::start(Place::Loopback).unwrap();
    let store = format!("etcd://{}", etcd.endpoint());
    let house = House::with(|config| {
        config.store.clone_from(&store);
        config.alertmanager_url = Some(alertmanager.url());
    });
    let admin = house.admin();
    let token = house.token(|_| {}).token;
    let machine = Machine::new("gpu-01", 1).with(|r| r.exporters.clear());
    let id = machine.register(&house.stranger(), &token).unwrap().node.id;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(aami_store::open(&store)).unwrap();
    let key = aami_store::keys::silence(&id);
    alertmanager.freeze().unwrap();
    ask(&admin, &id, "maintenance", &json!({}));
    until("it is noted", || {
        match runtime.block_on(store.get(&key)).unwrap() {
            Some(_) => Ok(()),
            None => Err("not yet"),
        }
    });
    // when another one has ended that silence meanwhile,
    ask(&admin, &id, "resume", &json!({}));
    let txn = aami_store::Txn::new().delete(key);
    let _ = runtime.block_on(store.txn(txn)).unwrap();
    alertmanager.thaw().unwrap();
    // then what was told all the same is ended, as nobody else would.
    until("it was told, and taken back", || {
        let count = |state: &str| alertmanager.silences(state).unwrap().len();
        match (count("active"), count("expired")) {
            (0, 2) => Ok(()),
            silences => Err(silences),
        }
    });
    assert_eq!(silence(&admin, &id), None);
}

#[test]
fn an_alertmanager_that_is_away_delays_nothing_and_is_told_when_it_is_back() {
    // Given an address where nobody listens
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (_house, admin, id) = house(&format!("http://127.0.0.1:{port}"));
    // when a node is taken out
    let begun = Instant::now();
    let node = ask(&admin, &id, "maintenance", &json!({ "reason": "fans" }));
    // then it is out at once, and it shows that and why its alerts are not silenced.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(node.status, NodeStatus::Maintenance);
    until_state(&admin, &id, Some(SilenceState::Failed));
    let why = silence(&admin, &id).unwrap().reason.unwrap();
    assert!(why.starts_with("Alertmanager cannot be reached"), "{why}");
    // Once it is there it is told,
    let alertmanager = Alertmanager::start_at(Place::Loopback, port).unwrap();
    until_state(&admin, &id, Some(SilenceState::Active));
    assert_eq!(alertmanager.silences("active").unwrap().len(), 2);
    // and one that says nothing delays nothing either.
    alertmanager.freeze().unwrap();
    let begun = Instant::now();
    let node = ask(&admin, &id, "resume", &json!({}));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(node.status, NodeStatus::Online);
    assert_eq!(node.silence.unwrap().state, SilenceState::Ending);
    alertmanager.thaw().unwrap();
    until_state(&admin, &id, None);
    assert!(alertmanager.silences("active").unwrap().is_empty());
}

#[test]
fn a_silence_outlives_neither_a_stop_of_the_control_plane_nor_a_loss_in_alertmanager() {
    let mut alertmanager = Alertmanager::start(Place::Loopback).unwrap();
    let url = alertmanager.url();
    let (house, admin, id) = house(&url);
    let soon = aami_model::Timestamp::from_millis(1_800_000_000_000).plus(Duration::from_secs(7200));
    ask(&admin, &id, "maintenance", &json!({ "until": soon }));
    until_state(&admin, &id, Some(SilenceState::Active));

    // Alertmanager forgot everything: it is told again when it is looked at next.
    alertmanager.start_empty().unwrap();
    assert!(alertmanager.silences("active").unwrap().is_empty());
    house.leap(Duration::from_secs(660));
    until("it is told again", || {
        match alertmanager.silences("active").unwrap().len() {
            2 => Ok(()),
            silences => Err(silences),
        }
    });

    // The maintenance ended while no control plane was there: the next start ends the silence.
    house.forward(Duration::from_secs(7200));
    let house = house.restart(|config| config.alertmanager_url = Some(url.clone()));
    let admin = house.admin();
    until_state(&admin, &id, None);
    assert_eq!(admin.node(&id).unwrap().body.status, NodeStatus::Online);
    assert!(alertmanager.silences("active").unwrap().is_empty());
}

#[test]
fn whatever_alertmanager_answers_the_node_is_in_maintenance_and_says_what_is_wrong() {
    let elsewhere = StandIn::new(answer("200 OK", "[]"));
    for manner in nonsense(elsewhere.port) {
        let stand_in = StandIn::new(manner);
        let (_house, admin, id) = house(&stand_in.url());
        let node = ask(&admin, &id, "maintenance", &json!({}));
        assert_eq!(node.status, NodeStatus::Maintenance);
        until_state(&admin, &id, Some(SilenceState::Failed));
        let why = silence(&admin, &id).unwrap().reason.unwrap();
        assert!(why.starts_with("Alertmanager ") && why.len() < 400, "{why}");
        // It is asked again, and not all the time.
        let asked = stand_in.asked();
        assert!((1..20).contains(&asked), "{asked}");
        assert_eq!(ask(&admin, &id, "resume", &json!({})).status, NodeStatus::Online);
    }
    assert_eq!(elsewhere.asked(), 0, "a redirect was followed");
    // One that says nothing is waited for, and nobody else waits.
    let stand_in = StandIn::new(Manner::Silence);
    let (_house, admin, id) = house(&stand_in.url());
    assert_eq!(
        ask(&admin, &id, "maintenance", &json!({})).status,
        NodeStatus::Maintenance
    );
    until("it is asked", || match stand_in.asked() {
        0 => Err(()),
        _ => Ok(()),
    });
    assert_eq!(silence(&admin, &id).unwrap().state, SilenceState::Pending);
    assert_eq!(ask(&admin, &id, "resume", &json!({})).status, NodeStatus::Online);
}
