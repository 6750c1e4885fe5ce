//! Destinations of events from the command line, against a real control plane and a real receiver.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plane::{Plane, Said};
use crate::receiver::{Receiver, answer};

/// Waits until what a command says satisfies; panics with what it said last.
fn until(plane: &Plane, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let said = plane.aami(arguments).json();
        if wanted(&said) {
            return said;
        }
        assert!(Instant::now() < deadline, "{arguments:?}: {said:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn declare(plane: &Plane, hostname: &str) {
    let key = std::fs::read_to_string(plane.data().join("admin.key")).unwrap();
    let client = aami_api::client::Client::new(&aami_api::client::Settings::new(plane.address()))
        .unwrap()
        .with_bearer(key.trim());
    let body = json!({ "hostname": hostname, "ip_address": "127.0.0.1" });
    let _: Value = client.post("/api/v1/nodes", Some(&body)).unwrap();
}

fn is_fine(said: &Said) -> bool {
    said.exit == 0
}

#[test]
fn a_destination_is_made_tried_followed_and_its_dead_letters_are_sent_again() {
    // Given a control plane, and somebody who wants to be told of nodes
    let plane = Plane::start_with(&[("AAMI_DELIVERY_RETRY_MAX", "1s")]);
    let receiver = Receiver::new();

    // when a destination is made, then its key is in a file of its own, not on the screen;
    let made = plane.aami(&[
        "webhooks",
        "create",
        "--name",
        "pager",
        "--url",
        &receiver.url(),
        "--event",
        "node.*",
        "--allow-private",
        "-o",
        "json",
    ]);
    let view = made.json();
    let file = view["secret_file"].as_str().unwrap();
    let secret = std::fs::read_to_string(file).unwrap().trim().to_owned();
    assert!(secret.starts_with("whsec_"), "{file}");
    assert!(
        !made.out.contains(&secret) && !made.err.contains(&secret),
        "{made:?}"
    );
    let listed = plane.aami(&["webhooks", "list"]);
    assert!(listed.out.contains("pager"), "{listed:?}");

    // a try of it reaches the receiver, signed with that key, and says what was answered;
    let tried = plane.aami(&["webhooks", "test", "pager"]);
    assert!(is_fine(&tried) && tried.out.contains("delivered"), "{tried:?}");
    let got = receiver.got();
    assert_eq!((got.len(), &got[0].json()["type"]), (1, &json!("webhook.test")));
    assert!(got[0].is_signed_with(&secret));
    receiver.behave(answer("403 Forbidden", "", "not you"));
    let refused = plane.aami(&["webhooks", "test", "pager"]);
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(
        refused.err.contains("403")
            && refused.err.contains("not you")
            && refused.err.contains("DELIVERY_FAILED"),
        "{refused:?}"
    );

    // what it does not take becomes dead letters, which are listed with why;
    declare(&plane, "gpu-01");
    declare(&plane, "gpu-02");
    let dead = [
        "webhooks",
        "deliveries",
        "pager",
        "--result",
        "dead",
        "-o",
        "json",
    ];
    // The test that failed is no event, and stands among them.
    let of_nodes = |letters: &Value| -> Vec<String> {
        let letters = letters.as_array().unwrap().iter();
        letters
            .filter(|letter| letter["event"]["type"] == "node.registered")
            .map(|letter| letter["id"].to_string())
            .collect()
    };
    let letters = until(&plane, &dead, |letters| of_nodes(letters).len() == 2);
    let ids = of_nodes(&letters);
    let page = plane.aami(&["webhooks", "deliveries", "pager", "--result", "dead"]);
    assert!(
        page.out.contains("node.registered") && page.out.contains("it answered 403"),
        "{page:?}"
    );
    // sent again while it still refuses they stay what they are,
    let again = plane.aami(&["webhooks", "replay", &ids[0]]);
    assert_eq!(again.exit, 1, "{again:?}");
    assert!(again.err.contains("it answered 403"), "{again:?}");
    // and once it takes them, each is taken, and is dead no more.
    receiver.behave(answer("200 OK", "", ""));
    let before = receiver.got().len();
    let replayed = plane.aami(&[&["webhooks", "replay"][..], &[&ids[0], &ids[1]]].concat());
    assert!(is_fine(&replayed), "{replayed:?}");
    assert!(
        replayed.out.contains("pager took node.registered about node:"),
        "{replayed:?}"
    );
    let names: Vec<Value> = receiver.got()[before..]
        .iter()
        .map(|got| got.json()["data"]["nodeName"].clone())
        .collect();
    assert_eq!(names.len(), 2);
    assert!(
        names.contains(&json!("gpu-01")) && names.contains(&json!("gpu-02")),
        "{names:?}"
    );
    until(&plane, &dead, |letters| of_nodes(letters).is_empty());
    let delivered = plane.aami(&["webhooks", "deliveries", "pager", "--result", "delivered"]);
    assert_eq!(
        delivered.out.matches("node.registered").count(),
        2,
        "{delivered:?}"
    );

    // How it stands is shown, and deleted it is told nothing more.
    let shown = plane.aami(&["webhooks", "show", "pager"]);
    assert!(shown.out.contains(&receiver.url()), "{shown:?}");
    let deleted = plane.aami(&["webhooks", "delete", "pager"]);
    assert!(is_fine(&deleted), "{deleted:?}");
    assert_eq!(plane.aami(&["webhooks", "show", "pager"]).exit, 5);
    assert_eq!(plane.aami(&["webhooks", "replay", "1"]).exit, 5);
}
