//! Registration: who becomes a node, who does not, and what is said.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use aami_api::node::{CreateNode, NodeView};
use aami_api::token::PatchToken;
use aami_model::node_status::NodeStatus;

use crate::house::{House, Machine, code_of};

const MACHINE_A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const MACHINE_B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn a_machine_with_a_token_becomes_a_node_with_its_exporters() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(3));
    let machine =
        Machine::new("GPU-01.example.com.", 1).with(|r| r.labels.0.extend([("rack".into(), "A1".into())]));
    let answer = machine.register(&house.stranger(), &token.token).unwrap();
    assert_eq!(answer.node.hostname, "gpu-01.example.com");
    assert_eq!(answer.node.status, NodeStatus::Installing);
    assert_eq!(answer.exporters[0].exporter.port, 9100);
    assert_eq!((answer.token.used, answer.token.remaining), (1, 2));
    assert!(answer.credential_confirmed && answer.credential.is_none() && !answer.known);
    // The node can read itself by the credential it made, and nothing else.
    let own = house.stranger().with_bearer(&machine.credential);
    assert_eq!(own.node(&answer.node.id).unwrap().body.labels.0["rack"], "A1");
    assert_eq!(code_of(own.nodes("")), "FORBIDDEN");
}

#[test]
fn a_lost_reply_retried_gets_the_same_answer_and_uses_nothing() {
    let house = House::new();
    let token = house.token(|_| {});
    let machine = Machine::new("gpu-01", 1);
    let first = machine.register(&house.stranger(), &token.token).unwrap();
    // The token is used up and expired by now; the same key is answered all the same.
    house.forward(Duration::from_secs(48 * 3600));
    let again = machine.register(&house.stranger(), &token.token).unwrap();
    assert_eq!(again.node.id, first.node.id);
    assert!(again.known);
    assert_eq!((again.token.used, again.token.remaining), (1, 0));
    // Only a revoked token refuses it.
    house
        .admin()
        .delete(&format!("/api/v1/bootstrap-tokens/{}", token.view.id))
        .unwrap();
    assert_eq!(
        code_of(machine.register(&house.stranger(), &token.token)),
        "TOKEN_REVOKED"
    );
}

#[test]
fn fifty_machines_race_for_one_use_and_exactly_one_wins() {
    let house = House::new();
    let token = house.token(|_| {});
    let start = Arc::new(Barrier::new(50));
    let racers: Vec<_> = (0..50_u8)
        .map(|n| {
            let (client, token, start) = (house.stranger(), token.token.clone(), start.clone());
            std::thread::spawn(move || {
                start.wait();
                Machine::new(&format!("gpu-{n:02}"), n + 1).register(&client, &token)
            })
        })
        .collect();
    let results: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1);
    let lost = results.into_iter().filter(Result::is_err).map(code_of);
    assert!(lost.into_iter().all(|code| code == "TOKEN_EXHAUSTED"));
    assert_eq!(house.admin().nodes("").unwrap().items.len(), 1);
}

#[test]
fn many_machines_share_one_token_without_losing_a_use() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(40));
    let racers: Vec<_> = (0..40_u8)
        .map(|n| {
            let (client, token) = (house.stranger(), token.token.clone());
            std::thread::spawn(move || {
                Machine::new(&format!("gpu-{n:02}"), n + 1)
                    .register(&client, &token)
                    .map(drop)
            })
        })
        .collect();
    for racer in racers {
        racer.join().unwrap().unwrap();
    }
    let tokens = house.admin().tokens("").unwrap();
    assert_eq!((tokens.items[0].used, tokens.items[0].remaining), (40, 0));
    assert_eq!(
        code_of(Machine::new("late", 99).register(&house.stranger(), &token.token)),
        "TOKEN_EXHAUSTED"
    );
    // More uses can be given, never fewer.
    let path = format!("/api/v1/bootstrap-tokens/{}", token.view.id);
    let fewer = PatchToken {
        max_uses: Some(39),
        ..PatchToken::default()
    };
    assert_eq!(
        code_of(house.admin().patch::<_, serde_json::Value>(&path, &fewer)),
        "INVALID"
    );
    let more = PatchToken {
        max_uses: Some(41),
        ..PatchToken::default()
    };
    house.admin().patch::<_, serde_json::Value>(&path, &more).unwrap();
    Machine::new("late", 99)
        .register(&house.stranger(), &token.token)
        .unwrap();
}

#[test]
fn each_token_that_is_not_good_says_why() {
    let house = House::new();
    let client = house.stranger();
    let machine = Machine::new("gpu-01", 1);
    let good = house.token(|_| {}).token;
    let other = House::new();
    for (token, code) in [
        (good[..good.len() - 4].to_owned(), "TOKEN_INVALID"),
        ("nonsense".to_owned(), "TOKEN_FOREIGN"),
        (house.admin_key.clone(), "TOKEN_FOREIGN"),
        (machine.credential.clone(), "TOKEN_FOREIGN"),
        (other.token(|_| {}).token, "TOKEN_INVALID"),
    ] {
        assert_eq!(code_of(machine.register(&client, &token)), code);
        assert_eq!(code_of(client.with_bearer(&token).validate()), code);
    }
    assert_eq!(code_of(client.validate()), "TOKEN_REQUIRED");
    house.forward(Duration::from_secs(25 * 3600));
    assert_eq!(code_of(machine.register(&client, &good)), "TOKEN_EXPIRED");
    assert_eq!(
        code_of(client.with_bearer(&good).validate_only()),
        "TOKEN_EXPIRED"
    );
}

#[test]
fn a_registration_must_be_signed_by_the_key_it_names() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let machine = Machine::new("gpu-01", 1);
    let thief = Machine::new("gpu-01", 2);
    let body = serde_json::to_vec(&machine.request).unwrap();
    let client = house.stranger().with_bearer(&token);
    for proof in [
        None,
        Some(thief.sign(&body)),
        Some(machine.sign(b"another body")),
        Some("rubbish".into()),
    ] {
        assert_eq!(
            code_of(client.register(&body, proof.as_deref(), None)),
            "PROOF_INVALID"
        );
    }
    client.register(&body, Some(&machine.sign(&body)), None).unwrap();
}

#[test]
fn a_stolen_hostname_is_refused_without_the_key() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(5)).token;
    let client = house.stranger();
    let owner = Machine::new("gpu-01", 1).with(|r| r.machine = Some(MACHINE_A.into()));
    let id = owner.register(&client, &token).unwrap().node.id;
    let thief = Machine::new("gpu-01", 2).with(|r| r.machine = Some(MACHINE_B.into()));
    assert_eq!(code_of(thief.register(&client, &token)), "ALREADY_ENROLLED");
    // Nor under another name on the same machine, nor without a key.
    let renamed = Machine::new("gpu-02", 3).with(|r| r.machine = Some(MACHINE_A.into()));
    assert_eq!(code_of(renamed.register(&client, &token)), "ALREADY_ENROLLED");
    let plain = owner
        .clone()
        .with(|r| (r.node_key, r.credential_hash) = (None, None));
    assert_eq!(code_of(plain.register(&client, &token)), "ALREADY_ENROLLED");
    // The owner is undisturbed and no use was taken.
    assert!(client.with_bearer(&owner.credential).node(&id).is_ok());
    assert_eq!(house.admin().tokens("").unwrap().items[0].used, 1);
}

#[test]
fn a_machine_installed_anew_enrols_again_when_somebody_allows_it() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(9)).token;
    let client = house.stranger();
    let on_a = |seed| Machine::new("gpu-01", seed).with(|r| r.machine = Some(MACHINE_A.into()));
    let first = on_a(1);
    let id = first.register(&client, &token).unwrap().node.id;

    // By the former key.
    let second = on_a(2);
    assert_eq!(code_of(second.register(&client, &token)), "ALREADY_ENROLLED");
    assert_eq!(
        second.register_as(&client, &token, Some(&first)).unwrap().node.id,
        id
    );
    // The credential of the former installation opens nothing any more.
    assert_eq!(
        code_of(client.with_bearer(&first.credential).node(&id)),
        "UNAUTHENTICATED"
    );

    // By an operator, for an hour.
    let third = on_a(3);
    let allow = format!("/api/v1/nodes/{id}/allow-reenrol");
    house.admin().post::<(), NodeView>(&allow, None).unwrap();
    house.forward(Duration::from_secs(3601));
    assert_eq!(code_of(third.register(&client, &token)), "ALREADY_ENROLLED");
    house.admin().post::<(), NodeView>(&allow, None).unwrap();
    assert_eq!(third.register(&client, &token).unwrap().node.id, id);
    // The leave is used up with it.
    assert_eq!(code_of(on_a(4).register(&client, &token)), "ALREADY_ENROLLED");

    // By the token.
    let open = house
        .token(|t| (t.max_uses, t.allow_reenrol) = (Some(2), true))
        .token;
    let fifth = on_a(5).with(|r| r.hostname = "gpu-01-new".into());
    let answer = fifth.register(&client, &open).unwrap();
    assert_eq!(
        (answer.node.id, answer.node.hostname.as_str()),
        (id, "gpu-01-new")
    );
    assert_eq!(house.admin().nodes("").unwrap().items.len(), 1);
    // The name it left is free again.
    Machine::new("gpu-01", 7).register(&client, &token).unwrap();
}

#[test]
fn two_machines_with_one_machine_id_are_two_nodes_and_a_finding() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(5)).token;
    let client = house.stranger();
    let copy = |name: &str, seed, machine: &str| {
        Machine::new(name, seed)
            .with(|r| (r.machine, r.machine_id) = (Some(machine.into()), Some(MACHINE_ID.into())))
    };
    let one = copy("gpu-01", 1, MACHINE_A).register(&client, &token).unwrap();
    let two = copy("gpu-02", 2, MACHINE_B).register(&client, &token).unwrap();
    assert_ne!(one.node.id, two.node.id);
    let findings = || {
        let events = house.admin().events(0, 100).unwrap().events;
        events
            .into_iter()
            .filter(|event| event.kind == "finding.opened")
            .collect::<Vec<_>>()
    };
    assert_eq!(findings().len(), 1);
    assert_eq!(findings()[0].data["code"], "DUPLICATE_MACHINE_ID");
    assert_eq!(findings()[0].data["other_node"], one.node.id.as_str());
    // It is shown with the node,
    let shown = house.admin().node(&two.node.id).unwrap().body.findings;
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (shown[0].code.as_str(), shown[0].subject.as_str()),
        ("DUPLICATE_MACHINE_ID", one.node.id.as_str())
    );
    // and repeating it does not raise it again.
    copy("gpu-02", 2, MACHINE_B).register(&client, &token).unwrap();
    assert_eq!(findings().len(), 1);
}

#[test]
fn plain_curl_registers_and_repeats_under_a_new_credential() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(5));
    let client = house.stranger();
    let plain = Machine::new("gpu-01", 1)
        .with(|r| (r.node_key, r.credential_hash, r.machine_id) = (None, None, Some(MACHINE_ID.into())));
    let first = plain.register(&client, &token.token).unwrap();
    let credential = first.credential.clone().unwrap();
    assert!(credential.starts_with("aamin_") && !first.credential_confirmed);

    let again = plain.register(&client, &token.token).unwrap();
    assert_eq!(again.node.id, first.node.id);
    assert_eq!(again.token.used, 1);
    let rotated = again.credential.unwrap();
    assert_ne!(rotated, credential);
    assert_eq!(
        code_of(client.with_bearer(&credential).node(&first.node.id)),
        "UNAUTHENTICATED"
    );
    assert!(client.with_bearer(&rotated).node(&first.node.id).is_ok());
    let events = house.admin().events(0, 100).unwrap().events;
    assert!(events.iter().any(|event| event.kind == "node.credential_rotated"));

    // Another token, or another machine-id, is another machine.
    let other = house.token(|_| {}).token;
    assert_eq!(code_of(plain.register(&client, &other)), "ALREADY_ENROLLED");
    let elsewhere = plain.with(|r| r.machine_id = Some(MACHINE_ID.replace('0', "1")));
    assert_eq!(
        code_of(elsewhere.register(&client, &token.token)),
        "ALREADY_ENROLLED"
    );
}

#[test]
fn every_member_of_a_registration_is_kept_as_it_was_sent() {
    // Given what a script of one's own posts, its token in the body
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(7));
    let sent = serde_json::json!({
        "token": token.token,
        "hostname": "gpu-node-01",
        "ip_address": "127.9.2.10",
        "labels": { "datacenter": "dc1", "rack": "r01", "gpu_model": "A100" },
        "metadata": { "owner": "ml-team", "ticket": 4711, "tags": ["a", "b"], "nested": { "deep": true } },
        "exporters": [
            { "type": "node_exporter", "port": 9100, "metrics_path": "/metrics", "scrape_interval": "15s" },
            { "type": "dcgm_exporter", "port": 9400, "scrape_interval": "30s", "config": { "collectors": "/etc/dcgm.csv", "gpus": [0, 1] } },
            { "type": "custom", "port": 8000, "metrics_path": "/probe?module=gpu" },
        ],
        "system_info": {
            "os": "ubuntu", "os_version": "22.04", "architecture": "amd64", "cpu_cores": 64, "memory_gb": 512,
            "gpu_vendor": "nvidia", "gpu_model": "A100-SXM4-80GB", "gpu_count": 8
        }
    });
    let path = "/api/v1/bootstrap/register";
    let answer: serde_json::Value = house.stranger().post(path, Some(&sent)).unwrap();

    // when the node is read, then each member is there, and what was not said is what is usual.
    let node = &answer["node"];
    let read: serde_json::Value = house
        .admin()
        .get(&format!("/api/v1/nodes/{}", node["id"].as_str().unwrap()))
        .unwrap();
    for member in ["hostname", "ip_address", "labels", "metadata", "system_info"] {
        assert_eq!(read[member], sent[member], "{member}");
        assert_eq!(node[member], sent[member], "{member}");
    }
    let exporters = read["exporters"].as_array().unwrap();
    assert_eq!(answer["exporters"], read["exporters"]);
    assert_eq!(exporters.len(), 3);
    for (kept, told) in exporters.iter().zip(sent["exporters"].as_array().unwrap()) {
        for (member, value) in told.as_object().unwrap() {
            assert_eq!(&kept[member], value, "{member} of {told}");
        }
        assert_eq!(kept["enabled"], true);
        assert_eq!(kept["node_id"], node["id"]);
    }
    assert_eq!(exporters[1]["metrics_path"], "/metrics");
    assert!(exporters[2].get("scrape_interval").is_none() && exporters[0].get("config").is_none());
    // How far the token is used stands beside it.
    let usage = serde_json::json!({
        "id": token.view.id, "name": "test", "max_uses": 7, "used": 1, "remaining": 6
    });
    assert_eq!(answer["token"], usage);
    assert_eq!(
        (&answer["known"], &answer["credential_confirmed"]),
        (&false.into(), &false.into())
    );
    // A token that is neither in the header nor in the body is asked for.
    let mut without = sent;
    without.as_object_mut().unwrap().remove("token");
    assert_eq!(
        code_of(
            house
                .stranger()
                .post::<_, serde_json::Value>(path, Some(&without))
        ),
        "TOKEN_REQUIRED"
    );
}

#[test]
fn a_declared_node_is_claimed_only_with_a_token_meant_for_it() {
    let house = House::new();
    let client = house.stranger();
    let wanted = CreateNode {
        hostname: "gpu-01".into(),
        ip_address: "127.9.2.9".into(),
        ..CreateNode::default()
    };
    let declared: NodeView = house.admin().post("/api/v1/nodes", Some(&wanted)).unwrap();
    assert_eq!(declared.status, NodeStatus::Pending);

    let anybody = house.token(|t| t.max_uses = Some(5)).token;
    let machine = Machine::new("gpu-01", 1);
    assert_eq!(code_of(machine.register(&client, &anybody)), "ALREADY_ENROLLED");
    let meant = house.token(|t| t.only_node = Some(declared.id.clone())).token;
    assert_eq!(
        code_of(Machine::new("gpu-02", 2).register(&client, &meant)),
        "TOKEN_FOR_ANOTHER_NODE"
    );
    let answer = machine.register(&client, &meant).unwrap();
    assert_eq!(answer.node.id, declared.id);
    // The operator's address stays.
    assert_eq!(answer.node.ip_address, "127.9.2.9");
    assert_eq!(answer.node.status, NodeStatus::Installing);
}

#[test]
fn a_retired_node_stays_out_until_it_is_restored() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(5)).token;
    let client = house.stranger();
    let machine = Machine::new("gpu-01", 1);
    let id = machine.register(&client, &token).unwrap().node.id;
    // A node may retire itself.
    client.with_bearer(&machine.credential).retire(&id).unwrap();
    assert_eq!(code_of(machine.register(&client, &token)), "NODE_DECOMMISSIONED");
    house
        .admin()
        .post::<(), NodeView>(&format!("/api/v1/nodes/{id}/restore"), None)
        .unwrap();
    // Restored, it belongs to nobody: it is claimed like a declared one.
    assert_eq!(code_of(machine.register(&client, &token)), "ALREADY_ENROLLED");
    let meant = house.token(|t| t.only_node = Some(id.clone())).token;
    assert_eq!(machine.register(&client, &meant).unwrap().node.id, id);
}

#[test]
fn a_node_without_exporters_is_verified_at_once() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let machine = Machine::new("login-01", 1).with(|r| r.exporters.clear());
    assert_eq!(
        machine.register(&house.stranger(), &token).unwrap().node.status,
        NodeStatus::Online
    );
    let kinds: Vec<String> = house
        .admin()
        .events(0, 100)
        .unwrap()
        .events
        .into_iter()
        .map(|e| e.kind)
        .collect();
    let node: Vec<&str> = kinds
        .iter()
        .map(String::as_str)
        .filter(|kind| kind.starts_with("node."))
        .collect();
    assert_eq!(
        node,
        ["node.registered", "node.installation_started", "node.connected"]
    );
}

#[test]
fn what_the_token_says_of_its_nodes_holds() {
    let house = House::new();
    let admin = house.admin();
    let group: aami_model::group::Group = admin
        .post(
            "/api/v1/groups",
            Some(&serde_json::json!({ "name": "production", "labels": { "env": "prod" } })),
        )
        .unwrap();
    let token = house.token(|t| {
        t.group = Some("production".into());
        t.labels
            .0
            .extend([("site".into(), "eu".into()), ("rack".into(), "none".into())]);
    });
    let validated = house
        .stranger()
        .with_bearer(&token.token)
        .validate_only()
        .unwrap()
        .body;
    assert_eq!(
        (validated.remaining, validated.group.as_deref()),
        (1, Some("production"))
    );
    let machine = Machine::new("gpu-01", 1).with(|r| r.labels.0.extend([("rack".into(), "A1".into())]));
    let node = machine.register(&house.stranger(), &token.token).unwrap().node;
    assert_eq!(node.groups, [group.id]);
    assert_eq!(
        (node.labels.0["site"].as_str(), node.labels.0["rack"].as_str()),
        ("eu", "A1")
    );
}

#[test]
fn what_an_operator_changed_stays_when_the_node_says_the_same_again() {
    let house = House::new();
    let admin = house.admin();
    let token = house
        .token(|t| t.labels.0.extend([("site".into(), "eu".into())]))
        .token;
    let machine = Machine::new("gpu-01", 1).with(|r| r.labels.0.extend([("rack".into(), "A".into())]));
    let node = machine.register(&house.stranger(), &token).unwrap().node;
    let path = format!("/api/v1/nodes/{}", node.id);
    let edit = serde_json::json!({ "labels": { "rack": "B", "owner": "ml" } });
    admin.patch::<_, NodeView>(&path, &edit).unwrap();
    let exporter = format!("/api/v1/exporters/{}", node.exporters[0].id);
    admin
        .patch::<_, serde_json::Value>(&exporter, &serde_json::json!({ "enabled": false }))
        .unwrap();

    let again = machine.register(&house.stranger(), &token).unwrap().node;
    assert_eq!(again.labels.0.get("rack").map(String::as_str), Some("B"));
    assert_eq!(
        (again.labels.0.get("site"), again.labels.0["owner"].as_str()),
        (None, "ml")
    );
    assert!(!again.exporters[0].exporter.enabled);

    // What it says anew counts.
    let moved = machine.with(|r| r.labels.0.extend([("rack".into(), "C".into())]));
    let moved = moved.register(&house.stranger(), &token).unwrap().node;
    assert_eq!(moved.labels.0["rack"], "C");
}

#[test]
fn a_group_that_a_token_enrols_into_cannot_be_deleted() {
    let house = House::new();
    let admin = house.admin();
    let _: serde_json::Value = admin
        .post("/api/v1/groups", Some(&serde_json::json!({ "name": "g" })))
        .unwrap();
    let token = house.token(|t| t.group = Some("g".into()));
    assert_eq!(code_of(admin.delete("/api/v1/groups/g")), "CONFLICT");
    admin
        .delete(&format!("/api/v1/bootstrap-tokens/{}", token.view.id))
        .unwrap();
    admin.delete("/api/v1/groups/g").unwrap();
}
