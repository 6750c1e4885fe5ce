//! What happened, from the command line, also where some of it is kept no longer.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::plane::{Plane, Said};

/// What is said beside the data where some is missing.
const GONE: &str = "kept no longer";

fn node(plane: &Plane, name: &str) {
    let made = plane.aami(&["nodes", "add", name, "--ip", "192.0.2.1"]);
    assert_eq!(made.exit, 0, "{made:?}");
}

fn group(plane: &Plane, name: &str) {
    let made = plane.aami(&["groups", "create", name]);
    assert_eq!(made.exit, 0, "{made:?}");
}

#[test]
fn whoever_asks_for_what_is_kept_no_longer_is_told_so_in_one_line() {
    // Given events of which all are kept: nothing is said about them
    let mut plane = Plane::start_with(&[("AAMI_HISTORY_KEEP", "1s")]);
    node(&plane, "gpu-old");
    node(&plane, "gpu-back");
    let retired = plane.aami(&["nodes", "retire", "gpu-back"]);
    assert_eq!(retired.exit, 0, "{retired:?}");
    group(&plane, "old");
    let list = |plane: &Plane, after: &str| -> Said { plane.aami(&["events", "list", "--after", after]) };
    let whole = list(&plane, "1");
    assert!(
        whole.out.contains("group.created") && !whole.err.contains(GONE),
        "{whole:?}"
    );
    let seq: u64 = plane.aami(&["events", "list", "-o", "json"]).json()[0]["seq"]
        .as_u64()
        .unwrap();

    // when they are let go: whenever it starts, what is older than a second,
    let deadline = Instant::now() + Duration::from_secs(60);
    let said = loop {
        plane.stop();
        plane.start_again();
        let said = list(&plane, "1");
        if said.err.contains(GONE) {
            break said;
        }
        assert!(Instant::now() < deadline, "{said:?}");
        std::thread::sleep(Duration::from_millis(1_100));
    };

    // then that is said, once and beside the data, to people and to programs;
    assert_eq!(said.err.matches(GONE).count(), 1, "{said:?}");
    assert_eq!((said.exit, said.out.contains("old")), (0, false), "{said:?}");
    let of_all = plane.aami(&["events", "list"]);
    assert!(of_all.err.contains(GONE), "{of_all:?}");
    let json = plane.aami(&["events", "list", "--after", "1", "-o", "json"]);
    assert!(json.err.contains(GONE), "{json:?}");
    let audit = plane.aami(&["audit", "list", "--after", "1"]);
    assert!(audit.err.contains(GONE), "{audit:?}");
    // so it is of a node's own, unless it begins with its registration;
    let of_old = plane.aami(&["nodes", "history", "gpu-old"]);
    assert!(of_old.err.contains(GONE), "{of_old:?}");
    node(&plane, "gpu-new");
    let of_new = plane.aami(&["nodes", "history", "gpu-new"]);
    assert!(
        of_new.out.contains("node.registered") && !of_new.err.contains(GONE),
        "{of_new:?}"
    );
    // and one that was taken back was registered before: its history begins with that, and is not whole;
    let restored = plane.aami(&["nodes", "restore", "gpu-back"]);
    assert_eq!(restored.exit, 0, "{restored:?}");
    let of_back = plane.aami(&["nodes", "history", "gpu-back"]);
    assert!(
        of_back.out.contains("node.registered") && of_back.err.contains(GONE),
        "{of_back:?}"
    );
    // who wants nothing beside the data gets nothing beside it,
    let quiet = plane.aami(&["events", "list", "--after", "1", "--quiet"]);
    assert_eq!(quiet.err, "", "{quiet:?}");
    // and who goes on from there has missed nothing.
    let number = said.err.split("up to ").nth(1).unwrap();
    let number: String = number.chars().take_while(char::is_ascii_digit).collect();
    assert!(number.parse::<u64>().unwrap() >= seq, "{number} {seq}");
    group(&plane, "new");
    let rest = list(&plane, &number);
    assert!(
        rest.out.contains("group.created") && !rest.err.contains(GONE),
        "{rest:?}"
    );
    let rest = plane
        .aami(&["events", "list", "--after", &number, "-o", "json"])
        .json();
    assert_eq!(
        rest.as_array().unwrap().last().unwrap()["data"],
        json!({ "name": "new" })
    );
}
