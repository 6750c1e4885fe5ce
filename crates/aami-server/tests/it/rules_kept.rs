//! Rules that cannot be said, rules that are not everybody's to see, and rules that are too many.

use aami_api::client::Client;
use aami_api::node::NodeView;
use aami_api::prometheus::{CreatePrometheus, PrometheusView};
use aami_api::rules::CreateRuleSet;
use aami_model::finding::Severity;
use aami_model::prometheus::{MOST_ON_NODE, RuleState};
use aami_model::rules::{MOST_MADE, RuleOverride};
use serde_json::json;

use crate::house::{House, Machine, code_of, until};
use crate::rules::{custom, group, wish};

/// A node, and what it says who it is by.
fn node(house: &House, name: &str) -> (NodeView, String) {
    let token = house.token(|_| {}).token;
    let machine = Machine::new(name, 1);
    let node = machine.register(&house.stranger(), &token).unwrap().node;
    (house.admin().node(&node.id).unwrap().body, machine.credential)
}

fn on(node: &str, name: &str) -> CreatePrometheus {
    CreatePrometheus {
        name: name.into(),
        url: "http://127.0.0.1:9/".into(),
        node: node.into(),
        ..CreatePrometheus::default()
    }
}

/// Writes something into the store of a house that is away.
fn write(house: &House, key: &str, text: &str) {
    let url = format!("sqlite:{}", house.folder.path().join("data/store.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = aami_store::open(&url).await.unwrap();
        let txn = aami_store::Txn::new().put(key.parse().unwrap(), text.as_bytes().to_vec());
        assert!(matches!(
            store.txn(txn).await.unwrap(),
            aami_store::TxnOutcome::Committed(_)
        ));
    });
}

#[test]
fn a_node_is_told_of_a_prometheus_whose_rules_cannot_be_made() {
    // Given a node that brings a Prometheus its rules,
    let mut house = House::new();
    let admin = house.admin();
    let (_, credential) = node(&house, "gpu-01");
    let made: PrometheusView = admin
        .post("/api/v1/prometheuses", Some(&on("gpu-01", "main")))
        .unwrap();
    admin.create_rule_set(&CreateRuleSet::default()).unwrap();
    let listed = |house: &House| house.stranger().with_bearer(&credential).node_prometheuses();
    assert!(listed(&house).unwrap().items[0].sha256.is_some());
    // when there is a set with a preset that this control plane does not know, and then one it cannot read,
    let rules = aami_store::keys::rule(&"global".parse().unwrap()).to_string();
    let strange = json!({
        "v": 1, "id": "global", "org": "default", "description": "", "enabled": true, "priority": 0,
        "presets": ["of-tomorrow"], "custom": [], "overrides": [],
        "created_at": aami_model::Timestamp::EPOCH, "updated_at": aami_model::Timestamp::EPOCH,
    });
    for (text, word) in [(strange.to_string(), "of-tomorrow"), ("{".to_owned(), "global")] {
        house.stop();
        write(&house, &rules, &text);
        house = house.restart(|_| {});
        // then the Prometheus is still the node's, with rules nobody can name, and people are told why.
        let items = listed(&house).unwrap().items;
        assert_eq!((items.len(), &items[0].sha256), (1, &None));
        let seen = house
            .stranger()
            .with_bearer(&key(&house))
            .prometheus("main")
            .unwrap()
            .body;
        assert_eq!((seen.state, seen.wanted.as_str()), (RuleState::Failed, ""));
        let why = seen.last.unwrap().sentence.unwrap();
        assert!(why.contains(word), "{why}");
    }
    // When it is the Prometheus that cannot be read, then the node is told nothing that it would act on.
    house.stop();
    let prometheus = aami_store::keys::prometheus(&made.prometheus.id).to_string();
    write(&house, &prometheus, "{");
    house = house.restart(|_| {});
    assert_eq!(code_of(listed(&house)), "CONFLICT");
}

fn key(house: &House) -> String {
    house.admin_key.clone()
}

#[test]
fn what_watches_every_organisation_is_shown_to_who_sees_them_all() {
    // Given a control plane that brings rules to a Prometheus that is not there,
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(|config| {
        config.prometheus_url = Some("http://127.0.0.1:9".to_owned());
        config.prometheus_rules = Some(folder.path().join("rules"));
    });
    let last = |client: &Client| client.prometheus("local").ok().and_then(|seen| seen.body.last);
    until("something is said of its rules", || match last(&house.admin()) {
        Some(last) if last.sentence.is_some() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let id = house.admin().prometheus("local").unwrap().body.prometheus.id;
    // when an admin of the default organisation alone looks, then they see that it is there, and nothing of others.
    let ours = house.admin_of("default");
    let seen = last(&ours).unwrap();
    assert!(seen.sentence.is_none() && seen.failing.is_empty(), "{seen:?}");
    assert_eq!(code_of(ours.rule_bundle(&id, None)), "FORBIDDEN");
    assert!(house.admin().rule_bundle(&id, None).unwrap().is_some());
    // Nor do its events say more.
    let told = ours.events(0, 1000).unwrap().events;
    let told: Vec<_> = told
        .iter()
        .filter(|event| event.kind == "rules.waiting")
        .collect();
    assert!(!told.is_empty());
    assert!(
        told.iter().all(|event| event.data["sentence"].is_null()),
        "{told:?}"
    );
    // And the name of it is nobody else's.
    let (node, _) = node(&house, "gpu-01");
    for name in ["local", "local-head-2"] {
        let refused = house
            .admin()
            .post::<_, PrometheusView>("/api/v1/prometheuses", Some(&on(node.hostname.as_str(), name)));
        assert_eq!(code_of(refused), "INVALID", "{name}");
    }
}

#[test]
fn a_node_has_no_more_prometheuses_than_its_agent_serves() {
    let house = House::new();
    let admin = house.admin();
    node(&house, "gpu-01");
    let add = |name: &str| admin.post::<_, PrometheusView>("/api/v1/prometheuses", Some(&on("gpu-01", name)));
    for number in 0..MOST_ON_NODE {
        add(&format!("p{number}")).unwrap();
    }
    assert_eq!(code_of(add("one-more")), "CONFLICT");
    // One of those that are there may be named there again.
    let again = json!({ "node": "gpu-01", "url": "http://127.0.0.1:10" });
    let _: PrometheusView = admin.patch("/api/v1/prometheuses/p0", &again).unwrap();
}

#[test]
fn one_organisation_leaves_room_for_the_others() {
    // Given an organisation with as many long rules as it may have, and a group that has each of them otherwise,
    let house = House::new();
    let acme = house.admin_of("acme");
    let long = format!("up{{x=\"{}\"}} == 0", "y".repeat(9_500));
    let names: Vec<String> = (0..100).map(|number| format!("Long{number}")).collect();
    acme.create_rule_set(&CreateRuleSet {
        custom: names.iter().map(|name| custom(name, &long)).collect(),
        ..CreateRuleSet::default()
    })
    .unwrap();
    let otherwise = |name: &str| CreateRuleSet {
        group: Some(name.into()),
        overrides: (names.iter())
            .map(|name| RuleOverride {
                severity: Some(Severity::Critical),
                ..wish(name)
            })
            .collect(),
        ..CreateRuleSet::default()
    };
    for name in ["one", "two", "three", "four"] {
        group(&acme, name);
    }
    for name in ["one", "two", "three"] {
        acme.create_rule_set(&otherwise(name)).unwrap();
    }
    // when another group wants the same, then it is told that this is too much, and others have their rules.
    let refused = acme.create_rule_set(&otherwise("four")).unwrap_err().to_string();
    assert!(refused.contains(&MOST_MADE.to_string()), "{refused}");
    house.admin().create_rule_set(&CreateRuleSet::default()).unwrap();
}
