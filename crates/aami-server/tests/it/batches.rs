//! Bulk actions over many nodes.

use std::collections::BTreeMap;

use aami_api::batch::{BatchView, CreateBatch};
use aami_api::client::Client;
use aami_api::key::{CreateKey, CreatedKey};
use aami_api::node::NodeView;
use aami_api::page::Page;
use aami_model::access::Role;
use aami_model::batch::{BatchAction, BatchStatus, NodeOutcome, NodeResult};
use aami_model::node_status::NodeStatus;
use aami_model::{BatchId, NodeId};
use rig::Place;
use rig::engines::Etcd;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::house::{House, Machine, code_of, until};
use crate::process::{Process, Told};

/// Declares a node, which is `pending` then.
pub fn declare(client: &Client, hostname: &str, rack: &str) -> NodeId {
    let body = json!({ "hostname": hostname, "ip_address": "127.9.2.1", "labels": { "rack": rack } });
    let node: NodeView = client.post("/api/v1/nodes", Some(&body)).unwrap();
    node.id
}

/// Enrols a node without exporters, which is online at once.
fn enrol(house: &House, token: &str, hostname: &str, seed: u64) -> NodeId {
    let machine = Machine::numbered(hostname, seed).with(|r| {
        r.exporters.clear();
        r.labels.0.insert("rack".into(), "A1".into());
    });
    machine.register(&house.stranger(), token).unwrap().node.id
}

fn begin(client: &Client, wanted: &CreateBatch) -> BatchView {
    client.post("/api/v1/batches", Some(wanted)).unwrap()
}

fn of_rack(action: BatchAction, rack: &str) -> CreateBatch {
    let mut wanted = CreateBatch::new(action);
    wanted.labels.0.insert("rack".into(), rack.into());
    wanted
}

fn maintenance() -> BatchAction {
    BatchAction::Maintenance {
        reason: None,
        until: None,
    }
}

fn mark(value: &str) -> BatchAction {
    BatchAction::Label {
        set: [("marked", value)].into_iter().collect(),
        remove: Vec::new(),
    }
}

fn batch(client: &Client, id: &BatchId) -> BatchView {
    client.get(&format!("/api/v1/batches/{id}")).unwrap()
}

fn ended(client: &Client, id: &BatchId) -> BatchView {
    until("the batch has ended", || match batch(client, id) {
        batch if batch.status == BatchStatus::Running => Err(batch.counts),
        _ => Ok(()),
    });
    batch(client, id)
}

/// All results, in pages of `limit`.
fn results(client: &Client, id: &BatchId, query: &str, limit: usize) -> Vec<NodeResult> {
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/api/v1/batches/{id}/results?limit={limit}{query}{token}");
        let page: Page<NodeResult> = client.get(&path).unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        match page.next_page_token {
            Some(next) => token = format!("&page_token={next}"),
            None => return all,
        }
    }
}

/// How often each node was edited, by the audit.
fn edits(client: &Client) -> BTreeMap<String, usize> {
    let mut edits = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = client.audit(after, 1000).unwrap();
        if page.entries.is_empty() {
            return edits;
        }
        for entry in page.entries {
            if entry.action == "node.edit" {
                *edits.entry(entry.subject).or_default() += 1;
            }
        }
        after = page.last_seq;
    }
}

#[test]
fn a_selection_is_taken_out_and_each_refusal_says_why() {
    // Given three nodes at work, one of them in maintenance already, one that never was, and one of another rack
    let house = House::new();
    let admin = house.admin();
    let token = house.token(|t| t.max_uses = Some(9)).token;
    let works: Vec<NodeId> = (1..=3)
        .map(|n| enrol(&house, &token, &format!("gpu-{n}"), n))
        .collect();
    let pending = declare(&admin, "gpu-new", "A1");
    let other = declare(&admin, "gpu-other", "B2");
    let path = format!("/api/v1/nodes/{}/maintenance", works[0]);
    admin.post::<Value, NodeView>(&path, Some(&json!({}))).unwrap();

    // when the rack is taken out
    let begun = begin(&admin, &of_rack(maintenance(), "A1"));
    assert_eq!(begun.total, 4);
    let batch = ended(&admin, &begun.id);

    // then what could be done is done, and what could not says why.
    let counts = batch.counts;
    assert_eq!(batch.status, BatchStatus::Completed);
    assert_eq!((counts.done, counts.unchanged, counts.refused), (2, 1, 1));
    let all = results(&admin, &begun.id, "", 3);
    assert_eq!(all.len(), 4);
    let refused = results(&admin, &begun.id, "&outcome=refused", 1);
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (&refused[0].node, refused[0].hostname.as_str()),
        (&pending, "gpu-new")
    );
    assert_eq!(refused[0].code.as_deref(), Some("TRANSITION_REFUSED"));
    assert!(
        refused[0].detail.as_deref().unwrap().contains("pending"),
        "{refused:?}"
    );
    for id in &works {
        assert_eq!(admin.node(id).unwrap().body.status, NodeStatus::Maintenance);
    }
    assert_eq!(admin.node(&other).unwrap().body.status, NodeStatus::Pending);

    // The audit names who did it, for the batch and for each node.
    let audit = admin.audit(0, 1000).unwrap().entries;
    let by = |action: &str| -> Vec<String> {
        let those = audit.iter().filter(|entry| entry.action == action);
        those.map(|entry| entry.actor.clone()).collect()
    };
    assert_eq!(by("batch.create"), [batch.created_by.as_str()]);
    assert_eq!(by("node.maintenance"), [batch.created_by.as_str(); 3]);
    let kinds: Vec<String> = (admin.events(0, 1000).unwrap().events.into_iter())
        .map(|event| event.kind)
        .filter(|kind| kind.starts_with("batch."))
        .collect();
    assert_eq!(kinds, ["batch.started", "batch.completed"]);

    // And the same way back.
    let mut wanted = CreateBatch::new(BatchAction::Resume);
    wanted.status = Some(NodeStatus::Maintenance);
    let back = begin(&admin, &wanted);
    assert_eq!(ended(&admin, &back.id).counts.done, 3);
}

#[test]
fn nodes_are_named_selected_by_group_or_all_are_meant() {
    let house = House::new();
    let admin = house.admin();
    let group = json!({ "name": "racks" });
    admin.post::<_, Value>("/api/v1/groups", Some(&group)).unwrap();
    let (one, two) = (declare(&admin, "gpu-1", "A1"), declare(&admin, "gpu-2", "B2"));
    let mut both = [one.clone(), two.clone()];
    both.sort();
    let patch = json!({ "groups": ["racks"] });
    admin
        .patch::<_, Value>(&format!("/api/v1/nodes/{two}"), &patch)
        .unwrap();
    let labelled = |wanted: &CreateBatch| -> Vec<NodeId> {
        let begun = begin(&admin, wanted);
        ended(&admin, &begun.id);
        let done = results(&admin, &begun.id, "&outcome=done", 100);
        done.into_iter().map(|result| result.node).collect()
    };
    let mut named = CreateBatch::new(mark("named"));
    // By id and by hostname; twice is once.
    named.nodes = vec![two.to_string(), "gpu-1".into(), "GPU-1".into()];
    assert_eq!(labelled(&named), both);
    let mut group = CreateBatch::new(mark("group"));
    group.group = Some("racks".into());
    assert_eq!(labelled(&group), [two]);
    let mut all = CreateBatch::new(BatchAction::Label {
        set: [("row", "3")].into_iter().collect(),
        remove: vec!["marked".into()],
    });
    all.all = true;
    assert_eq!(labelled(&all), both);
    let labels = admin.node(&one).unwrap().body.labels;
    assert_eq!(labels, [("rack", "A1"), ("row", "3")].into_iter().collect());

    // Asked for once more under one Idempotency-Key, it is one batch.
    let made = || {
        let headers = [("idempotency-key", "once")];
        let body = Some(&all);
        admin
            .call::<_, BatchView>(Method::POST, "/api/v1/batches", body, &headers)
            .unwrap()
            .body
            .id
    };
    assert_eq!(made(), made());
}

#[test]
fn what_names_nothing_or_too_much_is_refused_before_anything_is_done() {
    let house = House::new();
    let admin = house.admin();
    declare(&admin, "gpu-1", "A1");
    let refused = |body: Value| code_of(admin.post::<_, Value>("/api/v1/batches", Some(&body)));
    let resume = json!({ "kind": "resume" });
    for (body, code) in [
        (json!({ "action": resume }), "INVALID"),
        (
            json!({ "action": resume, "nodes": ["gpu-1"], "all": true }),
            "INVALID",
        ),
        (
            json!({ "action": resume, "nodes": ["gpu-1"], "group": "g" }),
            "INVALID",
        ),
        (json!({ "action": resume, "nodes": ["nobody"] }), "NOT_FOUND"),
        (
            json!({ "action": resume, "nodes": ["../etc", "gpu-1"] }),
            "NOT_FOUND",
        ),
        (
            json!({ "action": resume, "nodes": vec!["gpu-1"; 1001] }),
            "INVALID",
        ),
        (json!({ "action": resume, "group": "nobody" }), "NOT_FOUND"),
        (
            json!({ "action": resume, "labels": { "rack": "Z9" } }),
            "NOT_FOUND",
        ),
        (json!({ "action": resume, "labels": { "__x": "y" } }), "INVALID"),
        (json!({ "action": resume, "all": true, "org": "-" }), "MALFORMED"),
        (json!({ "action": { "kind": "purge" }, "all": true }), "MALFORMED"),
        (json!({ "action": { "kind": "label" }, "all": true }), "INVALID"),
        (
            json!({ "action": { "kind": "label", "set": { "job": "x" } }, "all": true }),
            "INVALID",
        ),
        (
            json!({ "action": { "kind": "label", "remove": ["a b"] }, "all": true }),
            "INVALID",
        ),
        (
            json!({ "action": { "kind": "maintenance", "reason": "a\nb" }, "all": true }),
            "INVALID",
        ),
        (
            json!({ "action": { "kind": "maintenance", "until": "2020-01-01T00:00:00Z" }, "all": true }),
            "INVALID",
        ),
        (
            json!({ "action": resume, "all": true, "gruop": "racks" }),
            "MALFORMED",
        ),
        (
            json!({ "action": resume, "nodes": [], "labels": { "rack": "A1" } }),
            "MALFORMED",
        ),
        (json!({ "action": resume, "nodes": [], "all": true }), "MALFORMED"),
        (json!({ "all": true }), "MALFORMED"),
        (json!([]), "MALFORMED"),
    ] {
        assert_eq!(refused(body.clone()), code, "{body}");
    }
    let page: Page<BatchView> = admin.get("/api/v1/batches").unwrap();
    assert!(page.items.is_empty());
    for path in ["?status=sleeping", "?limit=0", "?limit=x", "?page_token=%20"] {
        let result = admin.get::<Value>(&format!("/api/v1/batches{path}"));
        assert_eq!(code_of(result), "INVALID", "{path}");
    }
}

#[test]
fn a_node_whose_turn_was_noted_before_a_crash_is_judged_anew_and_no_result_is_lost() {
    // Given a batch that marked the one node of its rack, which has another rack since
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let url = format!("etcd://{}", etcd.endpoint());
    let house = House::with(|config| config.store.clone_from(&url));
    let admin = house.admin();
    let id = declare(&admin, "gpu-1", "A1");
    let begun = begin(&admin, &of_rack(mark("x"), "A1"));
    ended(&admin, &begun.id);
    let moved: NodeView = admin
        .patch(
            &format!("/api/v1/nodes/{id}"),
            &json!({ "labels": { "rack": "B2" } }),
        )
        .unwrap();
    // when it is that node's turn by the word of a leader that died,
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(aami_store::open(&url)).unwrap();
    let key = aami_store::keys::batch(begun.id.as_str());
    let entry = runtime.block_on(store.get(&key)).unwrap().unwrap();
    let mut document: Value = serde_json::from_slice(&entry.value).unwrap();
    document["status"] = json!("running");
    document["turn"] = json!([id]);
    let txn = aami_store::Txn::new().put(key, serde_json::to_vec(&document).unwrap());
    let _ = runtime.block_on(store.txn(txn)).unwrap();
    until("it had its turn", || match batch(&admin, &begun.id) {
        batch if batch.counts.all() == 2 => Ok(()),
        batch => Err(batch.counts),
    });
    // then it stays as it is and the result says why, with all results in pages of any size.
    assert_eq!(admin.node(&id).unwrap().body.labels, moved.labels);
    for limit in [1, 2] {
        let all = results(&admin, &begun.id, "", limit);
        let outcomes: Vec<NodeOutcome> = all.iter().map(|result| result.outcome).collect();
        assert_eq!(outcomes, [NodeOutcome::Done, NodeOutcome::Refused]);
        let why = all[1].detail.as_deref().unwrap();
        assert!(why.contains("no longer among those"), "{why}");
    }
}

#[test]
fn what_is_begun_for_every_organisation_tells_none_of_them_of_others() {
    // Given a batch over a node of another organisation, begun by somebody who sees all
    let house = House::new();
    let admin = house.admin();
    let body = json!({ "hostname": "gpu-1", "ip_address": "127.9.2.1", "org": "acme" });
    let node: NodeView = admin.post("/api/v1/nodes", Some(&body)).unwrap();
    let mut wanted = CreateBatch::new(mark("x"));
    wanted.nodes = vec![node.id.to_string()];
    let begun = begin(&admin, &wanted);
    assert_eq!(ended(&admin, &begun.id).counts.done, 1);
    // when people of the usual organisation read what happened,
    let wanted = CreateKey {
        name: "theirs".into(),
        role: Some(Role::Admin),
        orgs: vec![aami_model::OrgId::default()],
        ..CreateKey::default()
    };
    let key: CreatedKey = admin.create_key(&wanted).unwrap();
    let theirs = house.stranger().with_bearer(&key.key);
    // then they read that there was a batch, and not whom it was about or how many.
    let told = theirs.events(0, 1000).unwrap().events;
    let told: Vec<_> = (told.into_iter())
        .filter(|event| event.kind.starts_with("batch."))
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].data, json!({ "action": "label", "status": "completed" }));
    let audit = theirs.audit(0, 1000).unwrap().entries;
    assert!(audit.iter().any(|entry| entry.action == "batch.create"));
    for text in [
        serde_json::to_string(&told).unwrap(),
        serde_json::to_string(&audit).unwrap(),
    ] {
        assert!(
            !text.contains(node.id.as_str()) && !text.contains("marked"),
            "{text}"
        );
    }
}

/// So many that a batch over all of them takes a while.
const MANY: usize = 1_500;

fn declare_many(admin: &Client) {
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || {
                for n in (part..MANY).step_by(8) {
                    declare(admin, &format!("gpu-{n:04}"), "A1");
                }
            });
        }
    });
}

fn crowd() -> (House, Client) {
    let house = House::new();
    let admin = house.admin();
    declare_many(&admin);
    (house, admin)
}

/// Waits until some nodes have had their turn, and not all.
fn until_midway(client: &Client, id: &BatchId) {
    until("some nodes have had their turn", || {
        match batch(client, id).counts.all() {
            0 => Err(()),
            _ => Ok(()),
        }
    });
    assert_eq!(
        batch(client, id).status,
        BatchStatus::Running,
        "it is too fast for this test"
    );
}

fn marked(client: &Client) -> usize {
    let mut count = 0;
    let mut token = String::new();
    loop {
        let page = client
            .nodes(&format!("?limit=1000&label=marked%3Dx{token}"))
            .unwrap();
        count += page.items.len();
        match page.next_page_token {
            Some(next) => token = format!("&page_token={next}"),
            None => return count,
        }
    }
}

#[test]
fn a_batch_that_is_called_off_changes_nothing_more_and_tells_what_it_did() {
    let (_house, admin) = crowd();
    let begun = begin(&admin, &of_rack(mark("x"), "A1"));
    assert_eq!(begun.total as usize, MANY);
    until_midway(&admin, &begun.id);

    let path = format!("/api/v1/batches/{}/cancel", begun.id);
    let cancelled: BatchView = admin.post(&path, None::<&()>).unwrap();
    let done = marked(&admin);
    assert_eq!(cancelled.status, BatchStatus::Cancelled);
    assert!(cancelled.status_reason.unwrap().starts_with("called off by key:"));
    assert!(done < MANY, "{done}");

    // What it did in the middle of a page is told as well, and there is nothing it does not tell.
    until("everything it did is told", || {
        match results(&admin, &begun.id, "&outcome=done", 500).len() {
            told if told == done => Ok(()),
            told => Err((told, done)),
        }
    });
    assert_eq!(marked(&admin), done);
    // Once more is no more; one that is completed cannot be called off.
    admin.post::<(), BatchView>(&path, None).unwrap();
    let mut one = CreateBatch::new(mark("y"));
    one.nodes = vec!["gpu-0000".into()];
    let one = begin(&admin, &one);
    ended(&admin, &one.id);
    let path = format!("/api/v1/batches/{}/cancel", one.id);
    assert_eq!(
        code_of(admin.post::<(), BatchView>(&path, None)),
        "TRANSITION_REFUSED"
    );
}

#[test]
fn a_batch_goes_on_after_a_kill_in_the_middle_and_does_nothing_twice() {
    // Given a batch over many nodes
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path(), &Told::default());
    declare_many(&process.admin);
    let begun = begin(&process.admin, &of_rack(mark("x"), "A1"));

    // when the control plane is killed in the middle of it, twice
    for _ in 0..2 {
        let seen = batch(&process.admin, &begun.id).counts.all();
        until("it gets on", || {
            match batch(&process.admin, &begun.id).counts.all() {
                now if now > seen => Ok(()),
                now => Err(now),
            }
        });
        process.kill();
        process = Process::start(folder.path(), &Told::default());
        assert_eq!(
            batch(&process.admin, &begun.id).status,
            BatchStatus::Running,
            "too fast for this test"
        );
    }
    let admin = &process.admin;
    let batch = ended(admin, &begun.id);

    // then every node was done, none of them twice, and each is told once.
    assert_eq!(
        (batch.status, batch.counts.done as usize),
        (BatchStatus::Completed, MANY)
    );
    let told = results(admin, &begun.id, "", 1000);
    let nodes: Vec<&NodeId> = told.iter().map(|result| &result.node).collect();
    assert!(nodes.is_sorted() && nodes.len() == MANY);
    let edits = edits(admin);
    assert_eq!(edits.len(), MANY);
    assert!(edits.values().all(|times| *times == 1), "{edits:?}");
}

#[test]
fn a_batch_ends_with_the_key_it_was_begun_with() {
    let (house, admin) = crowd();
    let wanted = CreateKey {
        name: "alice".into(),
        role: Some(Role::Operator),
        ..CreateKey::default()
    };
    let key: CreatedKey = admin.create_key(&wanted).unwrap();
    let alice = house.stranger().with_bearer(&key.key);
    let begun = begin(&alice, &of_rack(mark("x"), "A1"));
    until_midway(&admin, &begun.id);
    admin.delete(&format!("/api/v1/keys/{}", key.view.id)).unwrap();
    let batch = ended(&admin, &begun.id);
    assert_eq!(batch.status, BatchStatus::Cancelled);
    assert!(batch.status_reason.unwrap().contains("may no longer do this"));
    assert!(marked(&admin) < MANY);
}

#[test]
fn whichever_replica_leads_next_goes_on() {
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let url = format!("etcd://{}", etcd.endpoint());
    let change = |config: &mut aami_server::Config| {
        config.store.clone_from(&url);
        config.open_rate = 100_000;
    };
    let mut first = House::with(change);
    let admin = first.admin();
    let all = 400;
    for n in 0..all {
        declare(&admin, &format!("gpu-{n:03}"), "A1");
    }
    let mut second = House::with(change);
    second.admin_key.clone_from(&first.admin_key);
    let other = second.admin();
    until("the other knows the nodes", || {
        match other.nodes("?limit=1000").unwrap().items.len() {
            known if known == all => Ok(()),
            known => Err(known),
        }
    });
    // Asked of the one, done by the other, until that one is gone.
    let begun = begin(&other, &of_rack(mark("x"), "A1"));
    until("some nodes have had their turn", || {
        match batch(&other, &begun.id).counts.all() {
            0 => Err(()),
            _ => Ok(()),
        }
    });
    first.stop();
    until("the batch has ended", || match batch(&other, &begun.id) {
        batch if batch.status == BatchStatus::Completed => Ok(()),
        batch => Err(batch.counts),
    });
    let done = results(&other, &begun.id, "", 100);
    assert_eq!(
        done.iter().filter(|one| one.outcome == NodeOutcome::Done).count(),
        all
    );
    assert_eq!(marked(&other), all);
}
