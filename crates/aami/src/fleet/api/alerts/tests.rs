use aami_model::Timestamp;
use aami_model::prometheus::{LoadResult, Loading};
use serde_json::json;

use super::*;

fn view(name: &str, state: RuleState, failing: &[&str]) -> PrometheusView {
    let prometheus = json!({
        "id": "p0000000000000000", "org": "default", "name": name, "url": "http://mon-1:9090",
        "created_at": Timestamp::EPOCH, "updated_at": Timestamp::EPOCH,
    });
    PrometheusView {
        prometheus: serde_json::from_value(prometheus).unwrap(),
        delivered_by: "mon-1".to_owned(),
        group_names: Vec::new(),
        state,
        wanted: "w".to_owned(),
        last: (state != RuleState::Pending).then(|| Loading {
            sha256: "w".to_owned(),
            result: LoadResult::Failed,
            at: Timestamp::EPOCH,
            loaded: None,
            loaded_at: None,
            code: None,
            sentence: (state == RuleState::Failed).then(|| "it refuses them".to_owned()),
            failing: failing.iter().map(|&why| why.to_owned()).collect(),
        }),
    }
}

fn set(scope: &str, alerts: &[&str]) -> RuleSetView {
    serde_json::from_value(json!({
        "id": "r0000000000000000", "org": "default", "enabled": true,
        "created_at": Timestamp::EPOCH, "updated_at": Timestamp::EPOCH,
        "scope": scope, "alerts": alerts,
    }))
    .unwrap()
}

fn active(alerts: &[(&str, &str, &str)]) -> ActiveAlerts {
    let items: Vec<_> = alerts
        .iter()
        .map(|(alert, state, node)| json!({"alert": alert, "state": state, "node": node, "prometheus": "mon-1"}))
        .collect();
    serde_json::from_value(json!({"items": items, "prometheuses": []})).unwrap()
}

#[test]
fn what_is_wanted_stands_with_what_fires_and_what_nobody_wanted_is_told_as_well() {
    // Given a rule for all and one for a group, a Prometheus that has them, and one alert that nobody keeps here,
    let sets = [set("global", &["NodeDown"]), set("h100", &["GPULost"])];
    let loaded = [view("mon-1", RuleState::Loaded, &["GPULost: many-to-many"])];
    let now = active(&[
        ("NodeDown", "firing", "gpu-02"),
        ("NodeDown", "pending", "gpu-01"),
        ("AgentsBehind", "firing", "gpu-03"),
    ]);
    // when they are joined, then each row says how it stands, and an error is no health.
    let alerts = joined(&sets, &loaded, &now);
    let told: Vec<_> = alerts
        .rows
        .iter()
        .map(|row| {
            (
                row.alert.as_str(),
                row.file.as_str(),
                row.state,
                row.nodes.join(" "),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("NodeDown", "global", "firing", "gpu-01 gpu-02".to_owned()),
            ("GPULost", "h100", "inactive", String::new()),
            ("AgentsBehind", "mon-1", "firing", "gpu-03".to_owned()),
        ]
    );
    assert_eq!(alerts.rows[1].error, "many-to-many");
    assert!(!alerts.is_whole);
    // Nothing is loaded while one Prometheus lacks what is wanted, and that one is named.
    let behind = [
        view("mon-1", RuleState::Loaded, &[]),
        view("mon-2", RuleState::Failed, &[]),
    ];
    let alerts = joined(&sets, &behind, &active(&[]));
    assert!(alerts.rows.iter().all(|row| row.state == "not loaded"));
    assert_eq!(alerts.remarks, ["mon-2: failed: it refuses them"]);
    // Nobody wants anything, and nothing is missing.
    assert!(joined(&[], &[], &active(&[])).is_whole);
    assert!(!joined(&sets, &[], &active(&[])).is_whole);
}

#[test]
fn who_has_not_said_anything_is_named_with_who_should() {
    assert_eq!(
        standing(&view("mon-1", RuleState::Pending, &[])),
        "mon-1: pending: the agent of mon-1 has not said how it went"
    );
    assert_eq!(standing(&view("mon-1", RuleState::Loaded, &[])), "mon-1: loaded");
}

#[test]
fn an_alertmanager_on_another_machine_is_not_looked_for_on_this_one() {
    // An address that only the control plane's machine knows by that name is refused from elsewhere (RFC 5737),
    for url in [
        "http://127.0.0.1:9093",
        "http://localhost:9093",
        "http://[::1]:9093",
    ] {
        let refused = is_reached(url, "http://192.0.2.7:8080").unwrap_err();
        assert!(refused.to_string().contains("192.0.2.7"), "{refused}");
        // and asked where that machine is this one;
        for server in ["http://127.0.0.1:8080", "https://localhost:8443"] {
            assert!(is_reached(url, server).is_ok(), "{url} {server}");
        }
    }
    // one that has a name of its own is asked from anywhere.
    assert!(is_reached("http://mon-1:9093", "http://192.0.2.7:8080").is_ok());
}
