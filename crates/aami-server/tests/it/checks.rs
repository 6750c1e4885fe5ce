//! Checks: defined by admins, told to the nodes they are meant for.

use aami_api::check::{CreateCheck, NodeChecks, PatchCheck};
use aami_api::client::Client;
use aami_api::key::CreateKey;
use aami_model::access::Role;
use aami_model::check::{Check, CheckSignature, RunAs};
use aami_model::group::Group;
use aami_model::secret::{Secret, SecretKind};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::house::{House, Machine, code_of};

fn defined(admin: &Client, change: impl FnOnce(&mut CreateCheck)) -> Check {
    let mut wanted = CreateCheck {
        name: "mounts".into(),
        script: "echo '{}'\n".into(),
        ..CreateCheck::default()
    };
    change(&mut wanted);
    admin.post("/api/v1/checks", Some(&wanted)).unwrap()
}

/// A node in the group `training`, with `gpu_vendor=nvidia`; with its own client.
fn node(house: &House) -> Client {
    let _: Group = house
        .admin()
        .post(
            "/api/v1/groups",
            Some(&json!({ "name": "training", "labels": { "tier": "a" } })),
        )
        .unwrap();
    let token = house.token(|t| t.group = Some("training".into()));
    let machine =
        Machine::new("gpu-01", 1).with(|r| r.labels = [("gpu_vendor", "nvidia")].into_iter().collect());
    machine.register(&house.stranger(), &token.token).unwrap();
    house.stranger().with_bearer(&machine.credential)
}

fn names(told: &NodeChecks) -> Vec<(&str, &str)> {
    told.checks
        .iter()
        .map(|check| (check.definition.name.as_str(), check.definition.script.as_str()))
        .collect()
}

#[test]
fn a_node_is_told_what_is_meant_for_it_and_can_prove_every_byte() {
    // Given a node, and definitions for everybody, for its group, and for other nodes.
    let house = House::new();
    let own = node(&house);
    let admin = house.admin();
    defined(&admin, |_| {});
    let of_group = defined(&admin, |c| {
        c.group = Some("training".into());
        c.script = "echo '{\"group\":1}'\n".into();
        c.run_as = RunAs::Root;
        c.args = vec!["/data".into()];
    });
    defined(&admin, |c| {
        c.name = "gpu-count".into();
        c.selector = [("gpu_vendor", "nvidia"), ("tier", "a")].into_iter().collect();
    });
    defined(&admin, |c| {
        c.name = "amd".into();
        c.selector = [("gpu_vendor", "amd")].into_iter().collect();
    });

    // When it asks with its own credential,
    let told = own.node_checks("GPU-01", None).unwrap();

    // Then the group's definition stands before the one for everybody, and nothing foreign is there;
    assert_eq!(
        names(&told),
        [("gpu-count", "echo '{}'\n"), ("mounts", "echo '{\"group\":1}'\n")]
    );
    let mounts = &told.checks[1];
    assert_eq!((&mounts.id, mounts.enabled), (&of_group.id, true));
    assert_eq!(
        (
            mounts.definition.interval_seconds,
            mounts.definition.timeout_seconds
        ),
        (60, 10)
    );
    // and the hash is over the bytes that the node has.
    let bytes = mounts.definition.canonical();
    assert_eq!(mounts.sha256, HEXLOWER.encode(&Sha256::digest(bytes)));
    assert_eq!(mounts.definition.check(), Ok(()));

    // A set that is known is not told again, until something in it changes.
    let again = own.node_checks("gpu-01", Some(&told.set_sha256)).unwrap();
    assert!(again.unchanged && again.checks.is_empty());
    let off = PatchCheck {
        enabled: Some(false),
        ..PatchCheck::default()
    };
    let _: Check = admin
        .patch(&format!("/api/v1/checks/{}", of_group.id), &off)
        .unwrap();
    let changed = own.node_checks("gpu-01", Some(&told.set_sha256)).unwrap();
    assert!(!changed.unchanged && changed.set_sha256 != told.set_sha256);
    // One that is switched off for the group hides the one for everybody.
    assert!(!changed.checks[1].enabled);
}

#[test]
fn a_node_learns_nothing_about_others_and_an_operator_asks_for_any() {
    let house = House::new();
    let own = node(&house);
    defined(&house.admin(), |_| {});
    let token = house.token(|t| t.max_uses = Some(1));
    Machine::new("gpu-02", 2)
        .register(&house.stranger(), &token.token)
        .unwrap();

    for hostname in ["gpu-02", "no-such-node"] {
        assert_eq!(
            code_of(own.node_checks(hostname, None)),
            "FORBIDDEN",
            "{hostname}"
        );
    }
    // Which node it is its credential says, and one that nobody has says so.
    let known = own.node(&own.own_node().unwrap()).unwrap().body;
    assert_eq!(known.hostname, "gpu-01");
    let unknown = Secret::from_random(SecretKind::NodeCredential, known.id.as_str(), [7; 20]);
    let nobody = house.stranger().with_bearer(unknown.reveal());
    assert_eq!(code_of(nobody.own_node()), "UNAUTHENTICATED");
    let operator = house
        .admin()
        .create_key(&CreateKey {
            name: "operator".into(),
            role: Some(Role::Operator),
            ..CreateKey::default()
        })
        .unwrap();
    let operator = house.stranger().with_bearer(&operator.key);
    assert_eq!(operator.node_checks("gpu-02", None).unwrap().checks.len(), 1);
    assert_eq!(code_of(operator.node_checks("gpu-03", None)), "NOT_FOUND");
    // What an operator's stolen key must not give: code that runs on the fleet.
    let wanted = json!({ "name": "evil", "script": "id" });
    assert_eq!(
        code_of(operator.post::<_, Value>("/api/v1/checks", Some(&wanted))),
        "FORBIDDEN"
    );
}

#[test]
fn two_checks_may_have_one_name_but_not_for_the_same_nodes() {
    let house = House::new();
    let admin = house.admin();
    let _: Group = admin
        .post("/api/v1/groups", Some(&json!({ "name": "g" })))
        .unwrap();
    let first = defined(&admin, |_| {});
    let again = json!({ "name": "mounts", "script": "true" });
    assert_eq!(
        code_of(admin.post::<_, Value>("/api/v1/checks", Some(&again))),
        "CONFLICT"
    );
    let for_group = json!({ "name": "mounts", "script": "true", "group": "g" });
    let second: Check = admin.post("/api/v1/checks", Some(&for_group)).unwrap();
    assert_ne!(first.id, second.id);
    // By a name that two have, none is meant.
    assert_eq!(code_of(admin.get::<Value>("/api/v1/checks/mounts")), "CONFLICT");
    let shown: Check = admin.get(&format!("/api/v1/checks/{}", second.id)).unwrap();
    assert_eq!(shown, second);
    // A group that a check is meant for stays.
    assert_eq!(code_of(admin.delete("/api/v1/groups/g")), "CONFLICT");
    admin.delete(&format!("/api/v1/checks/{}", second.id)).unwrap();
    admin.delete("/api/v1/groups/g").unwrap();
    assert_eq!(admin.get::<Check>("/api/v1/checks/mounts").unwrap().id, first.id);
}

#[test]
fn a_signature_does_not_outlive_what_it_covers() {
    let house = House::new();
    let admin = house.admin();
    let signature = CheckSignature {
        key_id: "ops-2026".into(),
        signature: BASE64.encode(&[7; 64]),
    };
    let check = defined(&admin, |c| c.signature = Some(signature.clone()));
    let path = format!("/api/v1/checks/{}", check.id);
    let patched = |patch: PatchCheck| -> Check { admin.patch(&path, &patch).unwrap() };

    let kept = patched(PatchCheck {
        description: Some("free space".into()),
        enabled: Some(false),
        ..PatchCheck::default()
    });
    assert_eq!(
        (kept.definition.signature, kept.sha256),
        (Some(signature.clone()), check.sha256.clone())
    );
    let dropped = patched(PatchCheck {
        script: Some("echo other\n".into()),
        ..PatchCheck::default()
    });
    assert_eq!(dropped.definition.signature, None);
    assert_ne!(dropped.sha256, check.sha256);
    let signed_again = patched(PatchCheck {
        timeout_seconds: Some(5),
        signature: Some(signature.clone()),
        ..PatchCheck::default()
    });
    assert_eq!(signed_again.definition.signature, Some(signature));
}

#[test]
fn what_may_not_run_is_refused_and_named() {
    let house = House::new();
    let admin = house.admin();
    for (wanted, member) in [
        (json!({ "name": "../x", "script": "true" }), "name"),
        (json!({ "name": "x", "script": "" }), "script"),
        (json!({ "name": "x", "script": "y".repeat(65_537) }), "script"),
        (
            json!({ "name": "x", "script": "true", "interval_seconds": 1 }),
            "interval_seconds",
        ),
        (
            json!({ "name": "x", "script": "true", "timeout_seconds": 90 }),
            "timeout_seconds",
        ),
        (
            json!({ "name": "x", "script": "true", "interpreter": "sh" }),
            "interpreter",
        ),
        (
            json!({ "name": "x", "script": "true", "selector": { "__x": "y" } }),
            "selector",
        ),
    ] {
        let refusal = admin
            .post::<_, Value>("/api/v1/checks", Some(&wanted))
            .unwrap_err();
        let text = format!("{refusal:?}");
        assert!(
            text.contains("INVALID") && text.contains(&format!("{member}:")),
            "{text:.300}"
        );
    }
    let as_somebody = json!({ "name": "x", "script": "true", "run_as": "nobody" });
    assert_eq!(
        code_of(admin.post::<_, Value>("/api/v1/checks", Some(&as_somebody))),
        "MALFORMED"
    );
    let no_group = json!({ "name": "x", "script": "true", "group": "nowhere" });
    assert_eq!(
        code_of(admin.post::<_, Value>("/api/v1/checks", Some(&no_group))),
        "NOT_FOUND"
    );
}

#[test]
fn every_change_is_audited_without_the_script() {
    let house = House::new();
    let admin = house.admin();
    let check = defined(&admin, |c| c.script = "echo canary-in-script\n".into());
    let path = format!("/api/v1/checks/{}", check.id);
    let off = PatchCheck {
        enabled: Some(false),
        ..PatchCheck::default()
    };
    let _: Check = admin.patch(&path, &off).unwrap();
    admin.delete(&path).unwrap();

    let audit = admin.audit(0, 100).unwrap();
    let text = serde_json::to_string(&audit).unwrap();
    for action in ["check.create", "check.edit", "check.delete"] {
        assert!(text.contains(action), "{action} is not in {text}");
    }
    assert!(
        text.contains(&check.sha256) && !text.contains("canary-in-script"),
        "{text}"
    );
    let events = serde_json::to_string(&admin.events(0, 100).unwrap()).unwrap();
    for kind in ["check.created", "check.edited", "check.deleted"] {
        assert!(events.contains(kind), "{kind} is not in {events}");
    }
}
