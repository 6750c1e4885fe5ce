//! Exporters of a node, as an operator adds, changes and removes them, and what Prometheus is told of each.

use aami_api::discovery::TargetGroup;
use aami_api::page::Page;
use serde_json::{Value, json};

use crate::house::{House, Machine, code_of};

/// Every target with its labels, by address.
fn scraped(house: &House) -> Vec<(String, Value)> {
    let groups: Vec<TargetGroup> = house.admin().get("/api/v1/sd/prometheus").unwrap();
    let mut found: Vec<(String, Value)> = groups
        .into_iter()
        .flat_map(|group| {
            let labels = json!(group.labels);
            group
                .targets
                .into_iter()
                .map(move |target| (target, labels.clone()))
        })
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn addresses(house: &House) -> Vec<String> {
    scraped(house).into_iter().map(|(address, _)| address).collect()
}

#[test]
fn an_operator_adds_changes_and_removes_an_exporter_and_prometheus_follows() {
    let house = House::new();
    let admin = house.admin();
    let token = house.token(|_| {}).token;
    let node = Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap()
        .node;
    // Given an exporter that is added to a node,
    let wanted = json!({
        "node_id": node.id, "type": "custom", "port": 8000,
        "metrics_path": "/probe", "scrape_interval": "30s", "config": { "by": "hand" }
    });
    let added: Value = admin.post("/api/v1/exporters", Some(&wanted)).unwrap();
    let path = format!("/api/v1/exporters/{}", added["id"].as_str().unwrap());
    // then it is there as it was sent, alone and in the list,
    let read = || -> Value { admin.get(&path).unwrap() };
    for (member, value) in wanted.as_object().unwrap() {
        assert_eq!(&read()[member], value, "{member}");
    }
    assert_eq!(read(), added);
    let listed: Page<Value> = admin.get("/api/v1/exporters").unwrap();
    assert_eq!(listed.items.len(), 2);
    assert!(listed.items.contains(&added));
    // and scraped as it says.
    let found = scraped(&house);
    assert_eq!(addresses(&house), ["127.9.2.10:8000", "127.9.2.10:9100"]);
    assert_eq!(found[0].1["__metrics_path__"], "/probe");
    assert_eq!(found[0].1["__scrape_interval__"], "30s");

    // When it is changed, then each member that was given is, and no other;
    let change = |with: Value| admin.patch::<_, Value>(&path, &with);
    let other = change(json!({ "metrics_path": "/metrics", "scrape_interval": "1m" })).unwrap();
    assert_eq!(
        (&other["metrics_path"], &other["scrape_interval"], &other["port"]),
        (&json!("/metrics"), &json!("1m"), &json!(8000))
    );
    assert_eq!(scraped(&house)[0].1["__scrape_interval__"], "1m");
    change(json!({ "scrape_interval": "" })).unwrap();
    assert!(read().get("scrape_interval").is_none());
    // disabled, it is kept and not scraped;
    change(json!({ "enabled": false })).unwrap();
    assert_eq!(addresses(&house), ["127.9.2.10:9100"]);
    change(json!({ "enabled": true })).unwrap();
    assert_eq!(addresses(&house).len(), 2);
    // what breaks a rule changes nothing.
    for bad in [
        json!({ "metrics_path": "x" }),
        json!({ "scrape_interval": "soon" }),
    ] {
        assert_eq!(code_of(change(bad.clone())), "INVALID", "{bad}");
    }
    assert_eq!(read()["metrics_path"], "/metrics");

    // When it is removed, then it is gone, and so is what Prometheus scraped.
    admin.delete(&path).unwrap();
    assert_eq!(addresses(&house), ["127.9.2.10:9100"]);
    assert_eq!(code_of(admin.get::<Value>(&path)), "NOT_FOUND");
    assert_eq!(code_of(change(json!({ "enabled": true }))), "NOT_FOUND");
    assert_eq!(code_of(admin.delete(&path)), "NOT_FOUND");
    let told = admin.events(0, 100).unwrap().events;
    let told: Vec<&str> = told
        .iter()
        .map(|event| event.kind.as_str())
        .filter(|kind| kind.starts_with("exporter."))
        .collect();
    assert_eq!(
        told,
        [
            "exporter.created",
            "exporter.edited",
            "exporter.edited",
            "exporter.edited",
            "exporter.edited",
            "exporter.deleted"
        ]
    );
}

#[test]
fn an_exporter_that_cannot_be_is_not_added() {
    let house = House::new();
    let admin = house.admin();
    let token = house.token(|_| {}).token;
    let id = Machine::new("gpu-01", 1)
        .register(&house.stranger(), &token)
        .unwrap()
        .node
        .id;
    let add = |node: &str, port: u32, path: &str| {
        let wanted = json!({ "node_id": node, "type": "custom", "port": port, "metrics_path": path });
        admin.post::<_, Value>("/api/v1/exporters", Some(&wanted))
    };
    for (node, port, path, code) in [
        ("nobody", 8000, "/metrics", "NOT_FOUND"),
        (id.as_str(), 9100, "/metrics", "CONFLICT"),
        (id.as_str(), 0, "/metrics", "INVALID"),
        (id.as_str(), 65_536, "/metrics", "MALFORMED"),
        (id.as_str(), 8000, "//evil.example/", "INVALID"),
    ] {
        assert_eq!(code_of(add(node, port, path)), code, "{node} {port} {path}");
    }
    // A node has at most 32, the one it registered with among them.
    for port in 10_001..10_032 {
        add(id.as_str(), port, "/metrics").unwrap();
    }
    assert_eq!(code_of(add(id.as_str(), 10_032, "/metrics")), "INVALID");
    assert_eq!(admin.node(&id).unwrap().body.exporters.len(), 32);
    for unknown in ["nonsense", "nobody.custom-1", &format!("{id}.custom-1")] {
        let path = format!("/api/v1/exporters/{unknown}");
        assert_eq!(code_of(admin.get::<Value>(&path)), "NOT_FOUND", "{unknown}");
        assert_eq!(code_of(admin.delete(&path)), "NOT_FOUND", "{unknown}");
    }
}
