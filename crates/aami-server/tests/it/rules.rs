//! Rule sets: made by operators, judged before they are kept, handed on as one bundle a Prometheus.

use aami_api::client::{Client, ClientError, bundle_sha256};
use aami_api::node::NodeView;
use aami_api::page::Page;
use aami_api::prometheus::{CreatePrometheus, LoadReport, PrometheusView, RuleBundle};
use aami_api::rules::{CreateRuleSet, PatchRuleSet, RuleSetView};
use aami_model::finding::Severity;
use aami_model::group::Group;
use aami_model::prometheus::{LoadResult, RuleState};
use aami_model::rules::{CustomRule, RuleOverride};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::house::{House, Machine, code_of};

pub fn custom(name: &str, expr: &str) -> CustomRule {
    serde_json::from_value(json!({ "name": name, "expr": expr, "for": "1m" })).unwrap()
}

pub fn wish(alert: &str) -> RuleOverride {
    serde_json::from_value(json!({ "alert": alert })).unwrap()
}

pub fn group(admin: &Client, name: &str) -> Group {
    admin
        .post("/api/v1/groups", Some(&json!({ "name": name })))
        .unwrap()
}

/// A node of its own, and a Prometheus that runs on it.
fn delivered(house: &House, name: &str, seed: u8) -> (Client, NodeView, PrometheusView) {
    let token = house.token(|_| {}).token;
    let machine = Machine::new(name, seed);
    let node = machine.register(&house.stranger(), &token).unwrap().node;
    let wanted = CreatePrometheus {
        name: format!("prom-{name}"),
        url: "http://127.0.0.1:9/".into(),
        node: name.into(),
        ..CreatePrometheus::default()
    };
    let prometheus = house.admin().post("/api/v1/prometheuses", Some(&wanted)).unwrap();
    let node = house.admin().node(&node.id).unwrap().body;
    (
        house.stranger().with_bearer(&machine.credential),
        node,
        prometheus,
    )
}

fn text<'a>(bundle: &'a RuleBundle, name: &str) -> &'a str {
    let file = bundle.files.iter().find(|file| file.name == name);
    &file.unwrap_or_else(|| panic!("no {name}")).text
}

#[test]
fn a_groups_rules_go_before_those_for_everybody_and_a_node_brings_them() {
    // Given rules for everybody, and a group that wants one of them otherwise,
    let house = House::new();
    let admin = house.admin();
    let train = group(&admin, "training");
    let made = admin
        .create_rule_set(&CreateRuleSet {
            presets: vec!["gpu-production".into(), "gpu-production".into()],
            custom: vec![custom("FanStopped", "fan_rpm == 0")],
            ..CreateRuleSet::default()
        })
        .unwrap();
    assert_eq!(
        (made.body.scope.as_str(), made.body.set.id.as_str()),
        ("global", "global")
    );
    assert_eq!(made.body.set.presets, ["gpu-production"]);
    assert!(made.body.alerts.iter().any(|alert| alert == "NodeDown"));
    let own = admin
        .create_rule_set(&CreateRuleSet {
            group: Some("training".into()),
            overrides: vec![RuleOverride {
                lasting: Some("30m".into()),
                severity: Some(Severity::Critical),
                ..wish("FanStopped")
            }],
            ..CreateRuleSet::default()
        })
        .unwrap();
    assert_eq!(own.body.set.id.as_str(), train.id.as_str());
    assert_eq!(own.body.alerts, ["FanStopped"]);

    // when the agent beside a Prometheus asks what to bring there,
    let (agent, _, prometheus) = delivered(&house, "gpu-01", 1);
    let told = agent.node_prometheuses().unwrap();
    assert_eq!(told.items.len(), 1);
    let id = &told.items[0].id;
    let bundle = agent.rule_bundle(id, None).unwrap().unwrap();

    // then each node has the alert once,
    assert_eq!(Some(&bundle.sha256), told.items[0].sha256.as_ref());
    assert_eq!(bundle.sha256, bundle_sha256(&bundle.files));
    let of_group = text(&bundle, &format!("aami-rules-{}.yaml", train.id));
    assert!(
        of_group.contains("30m") && of_group.contains(&format!(",{},", train.id)),
        "{of_group}"
    );
    assert!(text(&bundle, "aami-rules-global.yaml").contains("aami_groups!~"));
    // and it need not be told twice.
    assert_eq!(agent.rule_bundle(id, Some(&bundle.sha256)).unwrap(), None);
    // Its nodes carry the label the rules look at.
    let patch = json!({ "groups": ["training"] });
    let node: Page<NodeView> = admin.nodes("").unwrap();
    let _: NodeView = admin
        .patch(&format!("/api/v1/nodes/{}", node.items[0].id), &patch)
        .unwrap();
    let listed: Value = admin.get("/api/v1/sd/prometheus").unwrap();
    assert_eq!(listed[0]["labels"]["aami_groups"], format!(",{},", train.id));

    // When it says how that went,
    let report = |sha256: &str, result, sentence: Option<&str>| LoadReport {
        sha256: sha256.to_owned(),
        result,
        code: sentence.map(|_| "ALERT_RULES_NOT_LOADED".to_owned()),
        sentence: sentence.map(str::to_owned),
        failing: Vec::new(),
    };
    let state = || {
        admin
            .prometheus(prometheus.prometheus.name.as_str())
            .unwrap()
            .body
    };
    assert_eq!(state().state, RuleState::Pending);
    agent
        .report_loaded(id, &report(&bundle.sha256, LoadResult::Failed, Some("no\u{7}pe")))
        .unwrap();
    let failed = state();
    assert_eq!(failed.state, RuleState::Failed);
    let last = failed.last.unwrap();
    assert_eq!(last.code.as_deref(), Some("ALERT_RULES_NOT_LOADED"));
    assert_eq!((last.sentence.as_deref(), last.loaded), (Some("no pe"), None));
    agent
        .report_loaded(id, &report(&bundle.sha256, LoadResult::Loaded, None))
        .unwrap();
    assert_eq!(state().state, RuleState::Loaded);
    assert_eq!(state().delivered_by, "gpu-01");

    // and something else is wanted, then wanted and loaded differ, in the numbers too,
    admin.delete_rule_set("training").unwrap();
    assert_eq!(state().state, RuleState::Pending);
    assert_eq!(
        state().last.unwrap().loaded.as_deref(),
        Some(bundle.sha256.as_str())
    );
    let metrics = admin.text("/metrics").unwrap();
    let line = "aami_rules_loaded{org=\"default\",prometheus=\"prom-gpu-01\"} 0";
    assert!(metrics.contains(line), "{metrics}");
    assert_eq!(admin.status().unwrap().rules.get("pending"), Some(&1));
    // and the group's file is not among what is to lie there.
    let after = agent.rule_bundle(id, Some(&bundle.sha256)).unwrap().unwrap();
    assert!(
        !after
            .files
            .iter()
            .any(|file| file.name.contains(train.id.as_str()))
    );
    // What happened stands in the events, and who did it in the audit.
    let told = admin.events(0, 1000).unwrap().events;
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    for kind in ["rules.created", "rules.deleted", "rules.failed", "rules.loaded"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let audit = admin.audit(0, 1000).unwrap().entries;
    assert!(
        audit.iter().any(|entry| entry.action == "rules.delete"),
        "{audit:?}"
    );
}

#[test]
fn what_a_prometheus_would_not_take_is_not_kept() {
    let house = House::new();
    let admin = house.admin();
    group(&admin, "g");
    let said = |wanted: CreateRuleSet| match admin.create_rule_set(&wanted) {
        Err(ClientError::Refused(problem)) => (problem.code, problem.detail),
        other => panic!("{other:?}"),
    };
    let with = |rule: CustomRule| CreateRuleSet {
        custom: vec![rule],
        ..CreateRuleSet::default()
    };
    for (wanted, word) in [
        (with(custom("Bad", "up ==")), "expr"),
        (with(custom("not a name", "up")), "name"),
        (with(custom("NodeDown", "up == 0")), "node_down"),
        (with(custom("Scalar", "1")), "a number"),
        (
            CreateRuleSet {
                presets: vec!["gpu-prod".into()],
                ..CreateRuleSet::default()
            },
            "gpu-production",
        ),
        (
            CreateRuleSet {
                overrides: vec![wish("Nobody")],
                ..CreateRuleSet::default()
            },
            "Nobody",
        ),
        // A group's rule has to look at something its nodes can be told from.
        (
            CreateRuleSet {
                group: Some("g".into()),
                ..with(custom("Always", "vector(1)"))
            },
            "Always",
        ),
    ] {
        let (code, detail) = said(wanted);
        assert_eq!(code, "ALERT_RULE_INVALID", "{detail}");
        assert!(detail.contains(word), "{word}: {detail}");
    }
    let absent = CreateRuleSet {
        group: Some("nobody".into()),
        ..CreateRuleSet::default()
    };
    assert_eq!(code_of(admin.create_rule_set(&absent)), "NOT_FOUND");
    assert!(admin.rule_sets("").unwrap().items.is_empty());
    // A set that is good stays what it is when a change to it is not.
    admin.create_rule_set(&with(custom("Good", "up == 0"))).unwrap();
    let bad = PatchRuleSet {
        custom: Some(vec![custom("Good", "up == 0"), custom("Good", "up == 0")]),
        ..PatchRuleSet::default()
    };
    assert_eq!(
        code_of(admin.patch_rule_set("global", &bad, None)),
        "ALERT_RULE_INVALID"
    );
    assert_eq!(admin.rule_set("global").unwrap().body.set.custom.len(), 1);
}

#[test]
fn of_two_who_change_the_same_set_one_is_told_and_a_repeated_request_is_made_once() {
    // Given a set that two have read,
    let house = House::new();
    let admin = house.admin();
    admin.create_rule_set(&CreateRuleSet::default()).unwrap();
    assert_eq!(
        code_of(admin.create_rule_set(&CreateRuleSet::default())),
        "CONFLICT"
    );
    let seen = admin.rule_set("global").unwrap();
    let add = |preset: &str| PatchRuleSet {
        presets: Some(vec![preset.into()]),
        ..PatchRuleSet::default()
    };
    // when both change it, then the second is refused and nothing of the first is lost.
    admin
        .patch_rule_set("global", &add("gpu-basic"), seen.etag.as_deref())
        .unwrap();
    let second = admin.patch_rule_set("global", &add("storage"), seen.etag.as_deref());
    assert_eq!(code_of(second), "PRECONDITION_FAILED");
    assert_eq!(admin.rule_set("global").unwrap().body.set.presets, ["gpu-basic"]);

    // A request that is repeated under its key is made once.
    group(&admin, "g");
    let wanted = CreateRuleSet {
        group: Some("g".into()),
        ..CreateRuleSet::default()
    };
    let make = || {
        admin.call::<_, RuleSetView>(
            Method::POST,
            "/api/v1/alerts/rules",
            Some(&wanted),
            &[("idempotency-key", "k")],
        )
    };
    let (first, again) = (make().unwrap().body, make().unwrap().body);
    assert_eq!(first, again);
    // A group whose rules there are stays until they go.
    assert_eq!(code_of(admin.delete("/api/v1/groups/g")), "CONFLICT");
    admin.delete_rule_set("g").unwrap();
    admin.delete("/api/v1/groups/g").unwrap();
}

#[test]
fn another_organisation_sees_and_changes_nothing_of_it() {
    // Given rules of one organisation, and a Prometheus that its node brings them to,
    let house = House::new();
    let admin = house.admin();
    let foreign = house.admin_of("other");
    group(&admin, "g");
    for group in [None, Some("g".to_owned())] {
        let wanted = CreateRuleSet {
            group,
            custom: vec![custom("Ours", "up == 0")],
            ..CreateRuleSet::default()
        };
        admin.create_rule_set(&wanted).unwrap();
    }
    let (agent, _, prometheus) = delivered(&house, "gpu-01", 1);
    let (other_agent, ..) = delivered(&house, "gpu-02", 2);
    let id = &prometheus.prometheus.id;

    // when somebody of another looks, then nothing is there,
    assert!(foreign.rule_sets("").unwrap().items.is_empty());
    assert!(foreign.prometheuses("").unwrap().items.is_empty());
    let set = admin.rule_set("g").unwrap().body.set.id;
    for name in ["g", "global", set.as_str()] {
        assert_eq!(code_of(foreign.rule_set(name)), "NOT_FOUND", "{name}");
        assert_eq!(
            code_of(foreign.patch_rule_set(name, &PatchRuleSet::default(), None)),
            "NOT_FOUND"
        );
        assert_eq!(code_of(foreign.delete_rule_set(name)), "NOT_FOUND");
    }
    assert_eq!(code_of(foreign.prometheus(id.as_str())), "NOT_FOUND");
    assert_eq!(code_of(foreign.rule_bundle(id, None)), "NOT_FOUND");
    // and their own are their own.
    let theirs = foreign
        .create_rule_set(&CreateRuleSet {
            presets: vec!["gpu-basic".into()],
            ..CreateRuleSet::default()
        })
        .unwrap()
        .body;
    assert_ne!(theirs.set.id.as_str(), "global");
    assert_eq!(foreign.rule_set("global").unwrap().body, theirs);
    let bundle = agent.rule_bundle(id, None).unwrap().unwrap();
    assert!(
        !bundle
            .files
            .iter()
            .any(|file| file.name.contains(theirs.set.id.as_str()))
    );

    // A node speaks of what it delivers, and of nothing else.
    let report = LoadReport {
        sha256: bundle.sha256,
        result: LoadResult::Loaded,
        code: None,
        sentence: None,
        failing: Vec::new(),
    };
    assert_eq!(code_of(other_agent.rule_bundle(id, None)), "NOT_FOUND");
    assert_eq!(code_of(other_agent.report_loaded(id, &report)), "NOT_FOUND");
    assert_eq!(code_of(foreign.report_loaded(id, &report)), "FORBIDDEN");
    let lies = LoadReport {
        sha256: "../../etc/passwd".into(),
        ..report
    };
    assert_eq!(code_of(agent.report_loaded(id, &lies)), "INVALID");
    assert_eq!(
        admin.prometheus(id.as_str()).unwrap().body.state,
        RuleState::Pending
    );
    // An organisation's own admin names only what their nodes are.
    let elsewhere = CreatePrometheus {
        name: "p".into(),
        url: "http://10.0.0.1:9090".into(),
        node: "gpu-01".into(),
        ..CreatePrometheus::default()
    };
    assert_eq!(
        code_of(foreign.post::<_, Value>("/api/v1/prometheuses", Some(&elsewhere))),
        "INVALID"
    );
}
