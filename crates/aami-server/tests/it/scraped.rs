//! Nodes without an agent, judged by what a real Prometheus scrapes, and by one that talks nonsense.

use std::time::Duration;

use aami_api::node::NodeView;
use aami_model::NodeId;
use aami_model::node_status::NodeStatus;
use rig::Place;
use rig::engines::{NodeExporter, Prometheus};
use serde_json::{Value, json};

use crate::house::{House, Machine, until};
use crate::link::{Agent, node, until_status};
use crate::stand_in::{Manner, StandIn, json as answer, nonsense};

const TIMEOUT: Duration = Duration::from_secs(2);

fn house(url: &str) -> House {
    House::with(|config| {
        config.prometheus_url = Some(url.to_owned());
        config.heartbeat_timeout = TIMEOUT;
    })
}

/// Enrols a machine whose exporter is at `port`, and waits until it is online.
fn enrol(house: &House, hostname: &str, seed: u8, port: u16) -> (Machine, NodeId) {
    let token = house.token(|_| {}).token;
    let machine = Machine::new(hostname, seed).with(|r| {
        r.ip_address = "127.0.0.1".into();
        r.exporters[0].port = port;
    });
    let id = machine.register(&house.stranger(), &token).unwrap().node.id;
    until_status(house, &id, NodeStatus::Online);
    (machine, id)
}

/// How often Prometheus was asked with this result.
fn questions(house: &House, result: &str) -> u64 {
    let metrics = house.admin().text("/metrics").unwrap();
    let wanted = format!("aami_service_requests_total{{service=\"prometheus\",result=\"{result}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&wanted));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Waits until so many more questions had this result.
fn until_asked(house: &House, result: &str, more: u64) {
    let before = questions(house, result);
    until(
        &format!("{more} more questions are {result}"),
        || match questions(house, result) {
            asked if asked >= before + more => Ok(()),
            asked => Err(asked - before),
        },
    );
}

fn configuration(ports: &[u16]) -> String {
    let targets: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    json!({
        "global": { "scrape_interval": "500ms", "scrape_timeout": "500ms" },
        "scrape_configs": [{
            "job_name": "node",
            "static_configs": [{ "targets": targets, "labels": { "cluster": "default" } }],
        }],
    })
    .to_string()
}

fn free_port() -> u16 {
    Place::Loopback.port(0).unwrap()
}

#[test]
fn a_node_without_an_agent_goes_and_comes_with_its_scrapes() {
    // Given a node without an agent that Prometheus scrapes, one it does not know, and one with an agent that it cannot
    // scrape
    let (port, unknown, unscraped) = (free_port(), free_port(), free_port());
    let mut exporter = NodeExporter::start_at(Place::Loopback, port).unwrap();
    let stranger = NodeExporter::start_at(Place::Loopback, unknown).unwrap();
    let mut third = NodeExporter::start_at(Place::Loopback, unscraped).unwrap();
    let prometheus = Prometheus::start(Place::Loopback, &configuration(&[port, unscraped])).unwrap();
    let house = house(&prometheus.url());
    let admin = house.admin();
    let (_, id) = enrol(&house, "gpu-01", 1, port);
    let (_, nobody) = enrol(&house, "gpu-02", 2, unknown);
    let (machine, connected) = enrol(&house, "gpu-03", 3, unscraped);
    until("it was seen", || {
        node(&house, &id).last_seen.map(drop).ok_or("never")
    });
    third.stop().unwrap();
    let (mut agent, _) = Agent::connect(&house, &machine);

    // when the exporters stop
    agent.beat();
    exporter.stop().unwrap();
    agent.beat();
    drop(stranger);

    // then the node is offline, and says why and since when it was not seen,
    until("the node is offline", || {
        agent.beat();
        match node(&house, &id) {
            node if node.status == NodeStatus::Offline => Ok(()),
            node => Err(node.status),
        }
    });
    let reason = node(&house, &id).status_reason.unwrap();
    assert_eq!(reason, "no exporter of it was scraped for 2 s");
    let told = admin.events(0, 1000).unwrap().events;
    let told: Vec<_> = (told.iter())
        .filter(|event| event.kind == "node.disconnected")
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].data["disconnectReason"], "scrape_down");
    assert!(told[0].data["lastSeenAt"].is_string());
    // while the one nobody scrapes, and the one whose agent is heard, stay as they are.
    assert_eq!(node(&house, &nobody).status, NodeStatus::Online);
    agent.beat();
    assert_eq!(node(&house, &connected).status, NodeStatus::Online);

    // Taken out and brought back while it is down, it is what it is.
    let ask = |verb: &str| -> NodeView {
        let path = format!("/api/v1/nodes/{id}/{verb}");
        admin.post(&path, Some(&json!({}))).unwrap()
    };
    let out = ask("maintenance");
    assert_eq!((out.status, out.reachable), (NodeStatus::Maintenance, false));
    assert_eq!(ask("resume").status, NodeStatus::Offline);
    // And when its exporter answers again it is online, in maintenance too.
    assert_eq!(ask("maintenance").status, NodeStatus::Maintenance);
    let _exporter = NodeExporter::start_at(Place::Loopback, port).unwrap();
    until("it is scraped again", || {
        match prometheus.query(&format!("up{{instance=\"127.0.0.1:{port}\"}}")) {
            Ok(samples) if samples.iter().any(|(_, up)| *up == 1.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    until_asked(&house, "ok", 2);
    let held = node(&house, &id);
    assert_eq!((held.status, held.reachable), (NodeStatus::Maintenance, true));
    assert_eq!(ask("resume").status, NodeStatus::Online);
}

#[test]
fn what_an_exporter_calls_up_says_nothing_of_its_node_nor_of_others() {
    // Given an exporter, and one that has a metric `up` of its own, which stays when the exporter goes
    let port = free_port();
    let mut honest = NodeExporter::start_at(Place::Loopback, port).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let text = format!("up{{x=\"1\"}} 5 {now}\nup{{x=\"2\"}} 1 {now}\n");
    let odd = StandIn::new(Manner::Bytes(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        )
        .into_bytes(),
    ));
    let prometheus = Prometheus::start(Place::Loopback, &configuration(&[port, odd.port])).unwrap();
    let house = house(&prometheus.url());
    let (_, one) = enrol(&house, "gpu-01", 1, port);
    let (_, other) = enrol(&house, "gpu-02", 2, odd.port);
    until("its own metric is there", || {
        match prometheus.query("up{x=\"1\"} == 5").map(|samples| samples.len()) {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // when the one goes, it is found out;
    honest.stop().unwrap();
    until_status(&house, &one, NodeStatus::Offline);
    assert_eq!(node(&house, &other).status, NodeStatus::Online);
    // and when the other goes, that is too.
    odd.behave(Manner::Bytes(Vec::new()));
    until_status(&house, &other, NodeStatus::Offline);
    assert_eq!(questions(&house, "failed"), 0);
}

#[test]
fn prometheus_is_asked_by_the_name_the_cluster_was_founded_with() {
    // Given a cluster whose configuration came to name it otherwise
    let port = free_port();
    let mut exporter = NodeExporter::start_at(Place::Loopback, port).unwrap();
    let prometheus = Prometheus::start(Place::Loopback, &configuration(&[port])).unwrap();
    let founded = house(&prometheus.url());
    let (_, id) = enrol(&founded, "gpu-01", 1, port);
    let house = founded.restart(|config| {
        config.cluster = "renamed".to_owned();
        config.prometheus_url = Some(prometheus.url());
        config.heartbeat_timeout = TIMEOUT;
    });
    // when an exporter goes, then it is known as before.
    until("it is seen", || {
        node(&house, &id).last_seen.map(drop).ok_or("never")
    });
    exporter.stop().unwrap();
    until_status(&house, &id, NodeStatus::Offline);
}

#[test]
fn a_prometheus_that_is_gone_takes_no_node_with_it() {
    let port = free_port();
    let mut exporter = NodeExporter::start_at(Place::Loopback, port).unwrap();
    let prometheus = Prometheus::start(Place::Loopback, &configuration(&[port])).unwrap();
    let house = house(&prometheus.url());
    let admin = house.admin();
    let (_, id) = enrol(&house, "gpu-01", 1, port);
    until_asked(&house, "ok", 1);
    drop(prometheus);
    exporter.stop().unwrap();
    // As many questions as the timeout takes, twice over.
    until_asked(&house, "failed", 16);
    assert_eq!(node(&house, &id).status, NodeStatus::Online);
    let told = admin.events(0, 1000).unwrap().events;
    assert!(
        told.iter().all(|event| event.kind != "node.disconnected"),
        "{told:?}"
    );
}

#[test]
fn whatever_prometheus_answers_no_node_is_judged_by_nonsense() {
    let exporter = crate::discovery::metrics_server();
    let up = |value: &str| {
        let body = json!({ "status": "success", "data": { "resultType": "vector", "result": [
            { "metric": { "instance": format!("127.0.0.1:{exporter}") }, "value": [1.5, value] }
        ] } });
        answer("200 OK", &body.to_string())
    };
    let elsewhere = StandIn::new(up("0"));
    let stand_in = StandIn::new(up("1"));
    let house = house(&stand_in.url());
    let admin = house.admin();
    let (_, id) = enrol(&house, "gpu-01", 1, exporter);
    until_asked(&house, "ok", 1);
    for manner in nonsense(elsewhere.port) {
        stand_in.behave(manner);
        until_asked(&house, "failed", 2);
    }
    // Nor by what is no verdict on it.
    let of_nobody = json!({ "status": "success", "data": { "resultType": "vector", "result": [] } });
    stand_in.behave(answer("200 OK", &of_nobody.to_string()));
    until_asked(&house, "ok", 12);
    assert_eq!(node(&house, &id).status, NodeStatus::Online);
    assert_eq!(elsewhere.asked(), 0, "a redirect was followed");
    // A verdict that lasts is one.
    stand_in.behave(up("0"));
    until_status(&house, &id, NodeStatus::Offline);
    // Its silence afterwards is none that it is back.
    stand_in.behave(Manner::Bytes(Vec::new()));
    until_asked(&house, "failed", 4);
    assert_eq!(node(&house, &id).status, NodeStatus::Offline);
    stand_in.behave(up("1"));
    until_status(&house, &id, NodeStatus::Online);
    let history: Value = admin.get(&format!("/api/v1/nodes/{id}/history")).unwrap();
    let kinds: Vec<&str> = (history["events"].as_array().unwrap().iter())
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds[kinds.len() - 2..], ["node.disconnected", "node.connected"]);
}

#[test]
fn a_machine_that_was_only_declared_is_watched_once_it_is_verified() {
    // Given a machine that will never enrol, declared with its exporter
    let stand_in = StandIn::new(answer("200 OK", "{}"));
    let house = house(&stand_in.url());
    let admin = house.admin();
    let exporter = crate::discovery::metrics_server();
    let declare = |hostname: &str, exporters: Value| -> NodeId {
        let body = json!({ "hostname": hostname, "ip_address": "127.0.0.1", "exporters": exporters });
        admin
            .post::<_, NodeView>("/api/v1/nodes", Some(&body))
            .unwrap()
            .id
    };
    let id = declare("win-01", json!([{ "type": "custom", "port": exporter }]));
    let dead = declare("win-02", json!([{ "type": "custom", "port": free_port() }]));
    let bare = declare("win-03", json!([]));

    // when somebody only looks, it stays as it is, whatever is seen;
    let looked = admin.look(&id).unwrap();
    assert_eq!((looked.verified, looked.status), (true, NodeStatus::Pending));
    assert!(!admin.look(&dead).unwrap().verified);
    let node = admin.node(&id).unwrap().body;
    assert_eq!((node.status, node.status_reason), (NodeStatus::Pending, None));

    // when an operator has it verified, it is online; what does not answer, or has nothing to answer with, is not.
    assert_eq!(admin.verify(&id).unwrap().status, NodeStatus::Online);
    assert_eq!(admin.verify(&dead).unwrap().status, NodeStatus::Pending);
    assert_eq!(admin.verify(&bare).unwrap().status, NodeStatus::Pending);

    // From then on its scrapes tell.
    let instance = format!("127.0.0.1:{exporter}");
    let said = json!({ "status": "success", "data": { "resultType": "vector", "result": [
        { "metric": { "instance": instance }, "value": [1.5, "0"] }
    ] } });
    stand_in.behave(answer("200 OK", &said.to_string()));
    until_status(&house, &id, NodeStatus::Offline);
}
