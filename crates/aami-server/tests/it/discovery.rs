//! What Prometheus is told.

use aami_api::client::Client;
use aami_api::discovery::TargetGroup;
use aami_api::key::CreateKey;
use aami_api::node::NodeView;
use aami_model::access::Scope;
use serde_json::json;

use crate::house::{House, Machine, until};

fn prometheus(house: &House) -> Client {
    let wanted = CreateKey {
        name: "prometheus".into(),
        scopes: vec![Scope::Discovery],
        ..CreateKey::default()
    };
    house
        .stranger()
        .with_bearer(&house.admin().create_key(&wanted).unwrap().key)
}

fn targets(client: &Client, path: &str) -> Vec<String> {
    let groups: Vec<TargetGroup> = client.get(&format!("/api/v1/sd/prometheus{path}")).unwrap();
    groups.into_iter().flat_map(|group| group.targets).collect()
}

#[test]
fn a_node_is_listed_with_its_labels_and_leaves_at_once_when_it_retires() {
    let house = House::new();
    let prometheus = prometheus(&house);
    assert_eq!(targets(&prometheus, ""), Vec::<String>::new());
    let token = house
        .token(|t| t.labels.0.extend([("rack".into(), "A\"1".into())]))
        .token;
    let node = Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap()
        .node;

    let groups: Vec<TargetGroup> = prometheus.get("/api/v1/sd/prometheus").unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].targets, ["127.9.2.10:9100"]);
    assert_eq!(groups[0].labels["node"], "gpu-01");
    assert_eq!(groups[0].labels["cluster"], "default");
    assert_eq!(groups[0].labels["rack"], "A\"1");

    house.admin().retire(&node.id).unwrap();
    assert_eq!(targets(&prometheus, ""), Vec::<String>::new());
}

#[test]
fn a_node_that_moved_is_scraped_where_it_is_now_and_that_is_told() {
    let house = House::new();
    let prometheus = prometheus(&house);
    let admin = house.admin();
    let token = house.token(|_| {}).token;
    let machine = Machine::new("gpu-01", 1);
    let node = machine.register(&house.stranger(), &token).unwrap().node;
    let moves = || {
        let told = admin.events(0, 100).unwrap().events;
        told.into_iter()
            .filter(|event| event.kind == "node.address_changed")
            .map(|event| {
                (
                    event.subject,
                    event.data["from"].clone(),
                    event.data["to"].clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let subject = format!("node:{}", node.id);
    let moved = |from: &str, to: &str| (subject.clone(), json!(from), json!(to));

    // Given a node that stays where it is, then there is nothing to tell.
    machine.register(&house.stranger(), &token).unwrap();
    assert_eq!(moves(), []);
    // When it enrols again from elsewhere, then Prometheus is told at once, and everybody else once;
    let elsewhere = machine.clone().with(|r| r.ip_address = "127.9.2.11".into());
    elsewhere.register(&house.stranger(), &token).unwrap();
    elsewhere.register(&house.stranger(), &token).unwrap();
    assert_eq!(targets(&prometheus, ""), ["127.9.2.11:9100"]);
    assert_eq!(moves(), [moved("127.9.2.10", "127.9.2.11")]);
    // when it says so itself, by its own credential, too;
    let again = machine.clone().with(|r| r.ip_address = "127.9.2.12".into());
    again.register(&house.stranger(), &machine.credential).unwrap();
    assert_eq!(targets(&prometheus, ""), ["127.9.2.12:9100"]);
    // and when an operator says where it is, that stays.
    let path = format!("/api/v1/nodes/{}", node.id);
    let _: NodeView = admin
        .patch(&path, &json!({ "ip_address": "127.9.2.20" }))
        .unwrap();
    machine.register(&house.stranger(), &token).unwrap();
    again.register(&house.stranger(), &machine.credential).unwrap();
    assert_eq!(targets(&prometheus, ""), ["127.9.2.20:9100"]);
    let told = [
        moved("127.9.2.10", "127.9.2.11"),
        moved("127.9.2.11", "127.9.2.12"),
        moved("127.9.2.12", "127.9.2.20"),
    ];
    assert_eq!(moves(), told);
}

#[test]
fn whoever_looks_at_what_prometheus_is_told_is_not_taken_for_prometheus() {
    let house = House::new();
    let prometheus = prometheus(&house);
    let admin = house.admin();
    let asked = || admin.status().unwrap().discovery_asked_seconds;
    assert_eq!(targets(&admin, ""), Vec::<String>::new());
    assert_eq!(targets(&admin, "/active"), Vec::<String>::new());
    assert_eq!(asked(), None);
    targets(&prometheus, "");
    assert!(asked().is_some());
}

#[test]
fn maintenance_leaves_only_the_active_list() {
    let house = House::new();
    let prometheus = prometheus(&house);
    let token = house.token(|_| {}).token;
    // The exporter is a real listener that speaks metrics, so that the node gets online.
    let exporter = metrics_server();
    let machine = Machine::new("gpu-01", 1).with(|r| {
        r.ip_address = "127.0.0.1".into();
        r.exporters[0].port = exporter;
    });
    let node = machine.register(&house.stranger(), &token).unwrap().node;
    until("the node is verified", || {
        let status = house.admin().node(&node.id).unwrap().body.status;
        if status.name() == "online" {
            Ok(())
        } else {
            Err(status)
        }
    });
    let target = vec![format!("127.0.0.1:{exporter}")];
    assert_eq!(targets(&prometheus, "/active"), target);
    let path = format!("/api/v1/nodes/{}/maintenance", node.id);
    let _: NodeView = house
        .admin()
        .post(&path, Some(&json!({ "reason": "new fans" })))
        .unwrap();
    assert_eq!(targets(&prometheus, "/active"), Vec::<String>::new());
    assert_eq!(targets(&prometheus, ""), target);
}

#[test]
fn a_group_lists_its_own_and_its_labels_reach_every_node() {
    let house = House::new();
    let prometheus = prometheus(&house);
    let admin = house.admin();
    let group: aami_model::group::Group = admin
        .post(
            "/api/v1/groups",
            Some(&json!({ "name": "a100", "labels": { "pool": "a" } })),
        )
        .unwrap();
    let token = house
        .token(|t| (t.group, t.max_uses) = (Some("a100".into()), Some(2)))
        .token;
    Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap();
    let other = house.token(|_| {}).token;
    Machine::new("gpu-02", 2)
        .with(|r| r.ip_address = "127.9.2.11".into())
        .register(&house.stranger(), &other)
        .unwrap();
    assert_eq!(targets(&prometheus, "/group/a100"), ["127.9.2.10:9100"]);
    assert_eq!(
        targets(&prometheus, &format!("/group/{}", group.id)),
        ["127.9.2.10:9100"]
    );
    let _: serde_json::Value = admin
        .patch(
            &format!("/api/v1/groups/{}", group.id),
            &json!({ "labels": { "pool": "b" } }),
        )
        .unwrap();
    let groups: Vec<TargetGroup> = prometheus.get("/api/v1/sd/prometheus/group/a100").unwrap();
    assert_eq!(groups[0].labels["pool"], "b");
}

#[test]
fn grouped_discovery_names_nodes_through_node_info() {
    let house = House::new();
    let prometheus = prometheus(&house);
    let token = house.token(|t| t.max_uses = Some(2)).token;
    for (name, seed, ip) in [("gpu-01", 1, "127.9.2.10"), ("gpu-02", 2, "127.9.2.11")] {
        Machine::new(name, seed)
            .with(|r| r.ip_address = ip.into())
            .register(&house.stranger(), &token)
            .unwrap();
    }
    let groups: Vec<TargetGroup> = prometheus.get("/api/v1/sd/prometheus?shape=grouped").unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].targets.len(), 2);
    let metrics = prometheus.text("/metrics").unwrap();
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("aami_node_info{") && line.contains("gpu-02")),
        "{metrics}"
    );
}

#[test]
fn the_target_file_follows_the_fleet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("targets.json");
    let house = House::with(|config| config.file_sd = Some(path.clone()));
    let token = house.token(|_| {}).token;
    Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap();
    until("the file names the node", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.contains("127.9.2.10:9100") {
            Ok(())
        } else {
            Err(text)
        }
    });
}

/// A listener that answers every connection with one sample.
pub fn metrics_server() -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nup 1\n");
        }
    });
    port
}
