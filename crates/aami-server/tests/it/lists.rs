//! Every list, in pages of one, and the nodes that a list is asked for.

use std::collections::BTreeSet;

use aami_api::client::Client;
use aami_api::page::Page;
use aami_model::{NodeId, Timestamp};
use serde_json::{Value, json};

use crate::house::{House, Machine, code_of, until};
use crate::link::{Agent, enrolled};

/// What is listed in pages, and what tells one item from another.
const LISTS: &[(&str, &[&str])] = &[
    ("/api/v1/alerts/rules", &["id"]),
    ("/api/v1/batches", &["id"]),
    ("/api/v1/batches/{id}/results", &["hostname"]),
    ("/api/v1/bootstrap-tokens", &["id"]),
    ("/api/v1/checks", &["id"]),
    ("/api/v1/deliveries", &["id"]),
    ("/api/v1/exporters", &["id"]),
    ("/api/v1/exporters/found", &["node_id", "port"]),
    ("/api/v1/groups", &["id"]),
    ("/api/v1/nodes", &["id"]),
    ("/api/v1/prometheuses", &["id"]),
    ("/api/v1/runs", &["id"]),
    ("/api/v1/targets", &["id"]),
];

/// A control plane with three of everything, and the batch over its nodes.
fn three_of_each() -> (House, String, Vec<Agent>) {
    let house = House::with(|config| config.open_rate = 10_000);
    let admin = house.admin();
    let post = |path: &str, body: Value| -> Value { admin.post(path, Some(&body)).unwrap() };
    let mut agents = Vec::new();
    for n in 1..=3_u8 {
        let (machine, id) = enrolled(&house, &format!("gpu-0{n}"), n);
        let (mut agent, _) = Agent::connect(&house, &machine);
        let found = json!([
            { "exporter": "custom", "name": "smartctl_exporter", "port": 9633 },
            { "exporter": "dcgm_exporter", "name": "dcgm-exporter", "port": 9400 },
        ]);
        let frame = json!({ "type": "report", "seq": 1, "at": Timestamp::EPOCH,
            "what": { "kind": "discovered", "exporters": found } });
        agent.say_text(&frame.to_string());
        agents.push(agent);
        post(
            "/api/v1/exporters",
            json!({ "node_id": id, "type": "custom", "port": 8000 }),
        );
        let group = post("/api/v1/groups", json!({ "name": format!("g{n}") }));
        let rules = aami_api::rules::CreateRuleSet {
            group: Some(group["name"].as_str().unwrap().to_owned()),
            ..Default::default()
        };
        admin.create_rule_set(&rules).unwrap();
        post(
            "/api/v1/checks",
            json!({ "name": format!("c{n}"), "script": "exit 0" }),
        );
        post(
            "/api/v1/prometheuses",
            json!({ "name": format!("p{n}"), "url": format!("http://127.0.0.1:{n}"), "node": format!("gpu-0{n}") }),
        );
        let token = house.token(|_| {}).token;
        house.stranger().with_bearer(&token).validate().unwrap();
    }
    let webhook = post(
        "/api/v1/webhooks",
        json!({ "name": "w", "url": "http://127.0.0.1:1/" }),
    );
    let webhook = webhook["id"].as_str().unwrap();
    let batch = json!({ "action": { "kind": "resume" }, "all": true });
    let mut batches = Vec::new();
    for _ in 0..3 {
        post(&format!("/api/v1/webhooks/{webhook}/test"), json!({}));
        batches.push(post("/api/v1/batches", batch.clone())["id"].clone());
    }
    let batch = batches[2].as_str().unwrap().to_owned();
    until("everything is listed", || {
        let short = |path: &str| {
            let page: Value = admin.get(path).unwrap();
            page["items"].as_array().unwrap().len() < 3
        };
        let results = format!("/api/v1/batches/{batch}/results");
        let missing = ["/api/v1/exporters/found", &results].map(str::to_owned);
        let missing: Vec<String> = missing.into_iter().filter(|path| short(path)).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    });
    (house, batch, agents)
}

fn page(client: &Client, path: &str, limit: usize, token: Option<&str>) -> Page<Value> {
    let token = token.map_or_else(String::new, |token| format!("&page_token={token}"));
    client.get(&format!("{path}?limit={limit}{token}")).unwrap()
}

#[test]
fn every_list_comes_in_pages_that_leave_nothing_out_and_tell_nothing_twice() {
    let (house, batch, _agents) = three_of_each();
    let admin = house.admin();
    for (path, named_by) in LISTS {
        let asked = path.replace("{id}", &batch);
        let name = |item: &Value| {
            let named = named_by.iter().filter_map(|member| item.get(*member));
            let named: Vec<String> = named.map(Value::to_string).collect();
            assert!(!named.is_empty(), "{path}: {item}");
            named.join(" ")
        };
        let whole = page(&admin, &asked, 1000, None);
        assert_eq!(whole.next_page_token, None, "{path}");
        let whole: Vec<String> = whole.items.iter().map(name).collect();
        assert!(whole.len() >= 3, "{path}: {whole:?}");
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "{path}");
        // Exporters come by node: a page ends with a whole one.
        let most = if path.starts_with("/api/v1/exporters") {
            2
        } else {
            1
        };
        let (mut seen, mut token) = (Vec::new(), None);
        for _ in 0..=whole.len() {
            let next = page(&admin, &asked, 1, token.as_deref());
            assert!(
                (1..=most).contains(&next.items.len()),
                "{path}: {}",
                next.items.len()
            );
            seen.extend(next.items.iter().map(name));
            token = next.next_page_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!((&seen, &token), (&whole, &None), "{path}");
        // What is no page is refused.
        for query in ["limit=0", "limit=1001", "limit=x"] {
            let refused = admin.get::<Value>(&format!("{asked}?{query}"));
            let code = code_of(refused);
            assert!(
                matches!(code.as_str(), "INVALID" | "MALFORMED"),
                "{path}?{query}: {code}"
            );
        }
    }
}

#[test]
fn every_list_that_has_pages_is_known_here() {
    let document = aami_server::openapi();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let parameters = operations["get"]["parameters"].as_array();
        let paged = parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "page_token"));
        let known = LISTS.iter().any(|(known, _)| known == path);
        assert_eq!(paged, known, "{path}");
    }
}

#[test]
fn events_and_audit_entries_come_one_at_a_time_in_their_order() {
    let (house, _, _agents) = three_of_each();
    let admin = house.admin();
    let whole: Vec<u64> = admin
        .events(0, 1000)
        .unwrap()
        .events
        .iter()
        .map(|event| event.seq)
        .collect();
    let (mut seen, mut after) = (Vec::new(), 0);
    while seen.len() < whole.len() {
        let page = admin.events(after, 1).unwrap();
        assert_eq!(page.events.len(), 1, "after {after}");
        seen.extend(page.events.iter().map(|event| event.seq));
        assert_eq!(page.last_seq, page.events[0].seq);
        after = page.last_seq;
    }
    assert_eq!(seen, whole);
    assert!(whole.len() > 10 && whole.is_sorted(), "{whole:?}");

    let audit = |after, limit| admin.audit(after, limit).unwrap();
    let whole = audit(0, 1000).entries;
    let (mut seen, mut after) = (Vec::new(), 0);
    for _ in 0..whole.len() {
        let page = audit(after, 1);
        assert_eq!(page.entries.len(), 1);
        after = page.entries[0].seq;
        seen.extend(page.entries);
    }
    assert_eq!(seen, whole);
}

#[test]
fn nodes_are_found_by_name_address_status_group_and_labels() {
    // Given nodes that differ in everything a list can be asked for
    let house = House::new();
    let admin = house.admin();
    let mut ids: Vec<NodeId> = Vec::new();
    for group in ["train", "serve"] {
        let _: Value = admin
            .post("/api/v1/groups", Some(&json!({ "name": group })))
            .unwrap();
    }
    let token = house
        .token(|t| (t.max_uses, t.group) = (Some(9), Some("train".into())))
        .token;
    let machines = [
        ("gpu-01.example.com", "127.9.2.10", "A1", "prod"),
        ("gpu-02.example.com", "127.9.2.11", "A1", "test"),
        ("login", "127.9.3.10", "B1", "prod"),
    ];
    for (seed, (name, address, rack, env)) in (1..).zip(machines) {
        let machine = Machine::new(name, seed).with(|r| {
            r.ip_address = address.into();
            let labels = [
                ("rack".to_owned(), rack.to_owned()),
                ("env".to_owned(), env.to_owned()),
            ];
            r.labels.0.extend(labels);
        });
        // One after the other, by their ids as well.
        house.forward(std::time::Duration::from_millis(1));
        ids.push(machine.register(&house.stranger(), &token).unwrap().node.id);
    }
    let serve = json!({ "groups": ["serve"] });
    let _: Value = admin.patch(&format!("/api/v1/nodes/{}", ids[2]), &serve).unwrap();
    admin.retire(&ids[1]).unwrap();
    // when they are asked for, then those come that fit all of it, in their order, and no other.
    let id = ids[2].to_string();
    let by_id = format!("q={}", id.to_uppercase());
    for (query, found) in [
        ("", &["gpu-01.example.com", "gpu-02.example.com", "login"][..]),
        ("q=gpu", &["gpu-01.example.com", "gpu-02.example.com"]),
        ("q=GPU-01", &["gpu-01.example.com"]),
        ("q=127.9.3", &["login"]),
        (&by_id, &["login"]),
        ("q=nothing", &[]),
        ("hostname=login", &["login"]),
        ("hostname=LOGIN.", &["login"]),
        ("hostname=gpu-01", &[]),
        ("status=inactive", &["gpu-02.example.com"]),
        ("status=installing", &["gpu-01.example.com", "login"]),
        ("status=online", &[]),
        ("group=train", &["gpu-01.example.com", "gpu-02.example.com"]),
        ("group=serve", &["login"]),
        ("group=nobody", &[]),
        ("label=rack%3DA1", &["gpu-01.example.com", "gpu-02.example.com"]),
        ("label=rack=A1&label=env=prod", &["gpu-01.example.com"]),
        ("label=rack=A1&label=env=none", &[]),
        (
            "q=gpu&status=installing&group=train&label=env=prod",
            &["gpu-01.example.com"],
        ),
        ("q=login&group=train", &[]),
    ] {
        for noun in ["nodes", "targets"] {
            let page: Page<Value> = admin.get(&format!("/api/v1/{noun}?{query}")).unwrap();
            let names: Vec<&str> = page
                .items
                .iter()
                .filter_map(|node| node["hostname"].as_str())
                .collect();
            assert_eq!(names, found, "{noun}?{query}");
        }
    }
    // A filter goes over all pages, not over what a page would hold.
    let first = page(&admin, "/api/v1/nodes", 1, None);
    let next = first.next_page_token.unwrap();
    let login: Page<Value> = admin.get("/api/v1/nodes?q=login&limit=1").unwrap();
    assert_eq!((login.items.len(), login.next_page_token), (1, None));
    let after: Page<Value> = admin
        .get(&format!("/api/v1/nodes?group=train&limit=1&page_token={next}"))
        .unwrap();
    assert_eq!(after.items[0]["hostname"], "gpu-02.example.com");
    for query in [
        "status=asleep",
        "label=rack",
        "hostname=a%20b",
        "colour=red",
        "limit=many",
        "page_token=%2F",
    ] {
        assert_eq!(
            code_of(admin.get::<Value>(&format!("/api/v1/nodes?{query}"))),
            "INVALID",
            "{query}"
        );
    }
}
