//! Bulk actions from the command line.

use serde_json::json;

use crate::plane::Plane;

/// Declares so many nodes of a rack.
fn declare(plane: &Plane, rack: &str, count: usize) {
    let key = std::fs::read_to_string(plane.data().join("admin.key")).unwrap();
    let client = aami_api::client::Client::new(&aami_api::client::Settings::new(plane.address()))
        .unwrap()
        .with_bearer(key.trim());
    for n in 0..count {
        let body = json!({
            "hostname": format!("{rack}-{n}"),
            "ip_address": "127.0.0.1",
            "labels": { "rack": rack },
        });
        let _: serde_json::Value = client.post("/api/v1/nodes", Some(&body)).unwrap();
    }
}

#[test]
fn a_bulk_action_says_what_it_meant_what_it_did_and_what_was_refused() {
    // Given nodes of two racks, all of them pending
    let plane = Plane::start();
    declare(&plane, "a", 3);
    declare(&plane, "b", 2);

    // when it is only asked which are meant, nothing is done;
    let meant = plane
        .aami(&[
            "nodes",
            "retire",
            "--selector",
            "rack=a",
            "--dry-run",
            "-o",
            "json",
        ])
        .json();
    assert_eq!(meant.as_array().unwrap().len(), 3);
    assert_eq!(plane.aami(&["batches", "list"]).out, "no batches\n");

    // labels are changed on all of a rack,
    let labelled = plane.aami(&["nodes", "label", "--selector", "rack=a", "row=3", "rack-"]);
    assert_eq!(labelled.exit, 0, "{labelled:?}");
    assert!(
        labelled
            .out
            .contains("label is completed: 3 done, 0 unchanged, 0 refused"),
        "{labelled:?}"
    );
    let with_row = plane
        .aami(&["nodes", "list", "--label", "row=3", "-o", "json"])
        .json();
    assert_eq!(with_row.as_array().unwrap().len(), 3);

    // what every node refuses is said of every node, and the exit code is the refusal's,
    let refused = plane.aami(&["nodes", "maintenance", "--selector", "row=3", "--reason", "fans"]);
    assert_eq!(refused.exit, 6, "{refused:?}");
    assert!(
        refused.err.contains("a-0: a node that is pending") && refused.err.contains("TRANSITION_REFUSED"),
        "{refused:?}"
    );
    // and where some can be done and some not, it is the one for that.
    let gone = plane.aami(&["nodes", "retire", "a-0"]);
    assert_eq!(gone.exit, 0, "{gone:?}");
    let some = plane.aami(&["nodes", "restore", "--selector", "row=3"]);
    assert_eq!(some.exit, 7, "{some:?}");

    // Each batch can be looked at afterwards.
    let all = plane.aami(&["batches", "list", "-o", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let id = all[0]["id"].as_str().unwrap();
    let shown = plane.aami(&["batches", "show", id]);
    assert!(
        shown.out.contains("restore") && shown.out.contains("with row=3") && shown.out.contains("3 of 3"),
        "{shown:?}"
    );
    let nodes = plane.aami(&["batches", "show", id, "--nodes", "--outcome", "done"]);
    assert!(
        nodes.out.contains("a-0") && !nodes.out.contains("a-1"),
        "{nodes:?}"
    );
    let late = plane.aami(&["batches", "cancel", id]);
    assert_eq!(late.exit, 6, "{late:?}");
    let none = plane.aami(&["batches", "show", "nobody"]);
    assert_eq!(none.exit, 5, "{none:?}");

    // It can be left to itself and followed later.
    let left = plane
        .aami(&["nodes", "retire", "--all", "--no-wait", "-o", "json"])
        .json();
    let followed = plane.aami(&["batches", "follow", left["id"].as_str().unwrap()]);
    assert_eq!(followed.exit, 0, "{followed:?}");
    assert!(followed.out.contains("5 done"), "{followed:?}");
}

#[test]
fn a_bulk_action_that_says_nobody_or_both_is_not_begun() {
    let plane = Plane::start();
    declare(&plane, "a", 1);
    for arguments in [
        &["nodes", "maintenance"][..],
        &["nodes", "maintenance", "a-0", "--all"],
        &["nodes", "resume", "a-0", "--no-wait"],
        &["nodes", "retire", "--all", "--group", "g"],
        &["nodes", "retire", "--in-status", "asleep"],
        &["nodes", "label", "--all"],
        &["nodes", "label", "--all", "__x=y"],
    ] {
        let said = plane.aami(arguments);
        assert_eq!(said.exit, 2, "{arguments:?} {said:?}");
    }
    let nobody = plane.aami(&["nodes", "retire", "--selector", "rack=z"]);
    assert_eq!(nobody.exit, 5, "{nobody:?}");
    assert_eq!(plane.aami(&["batches", "list"]).out, "no batches\n");
}
