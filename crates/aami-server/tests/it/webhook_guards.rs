//! What an admin may not do with destinations, and what is not lost or given away when they change.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use aami_api::client::Client;
use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::webhook::{CreatedWebhook, WebhookView};
use serde_json::{Value, json};

use crate::deliveries::{declare, deliveries, quick};
use crate::house::{House, code_of, until};
use crate::receiver::{Got, Receiver, answer};

fn make(client: &Client, body: &Value) -> CreatedWebhook {
    client.post("/api/v1/webhooks", Some(body)).unwrap()
}

fn path(made: &CreatedWebhook) -> String {
    format!("/api/v1/webhooks/{}", made.view.id)
}

/// The request about the node of this name, once it has come.
fn about(receiver: &Receiver, hostname: &str) -> Got {
    let mut found = None;
    until("it is told", || {
        let mut got = receiver.got().into_iter();
        found = got.find(|got| String::from_utf8_lossy(&got.body).contains(hostname));
        found.as_ref().map(drop).ok_or(())
    });
    found.unwrap()
}

#[test]
fn events_are_signed_with_the_former_key_for_a_day_and_no_longer() {
    let house = House::with(quick);
    let receiver = Receiver::new();
    let made = make(
        &house.admin(),
        &json!({ "name": "hook", "url": receiver.url(), "allow_private": true, "events": ["node.registered"] }),
    );
    let rotated: CreatedWebhook = house
        .admin()
        .patch(&path(&made), &json!({ "rotate_secret": true }))
        .unwrap();
    let (old, new) = (made.secret.unwrap(), rotated.secret.unwrap());
    declare(&house, "gpu-early");
    let got = about(&receiver, "gpu-early");
    assert!(got.is_signed_with(&old) && got.is_signed_with(&new));
    // A day later, in the same process, with nothing else changed.
    house.forward(Duration::from_secs(25 * 3600));
    declare(&house, "gpu-late");
    let got = about(&receiver, "gpu-late");
    assert!(!got.is_signed_with(&old) && got.is_signed_with(&new));
}

#[test]
fn secrets_that_cannot_be_opened_are_replaced_whole_or_not_at_all() {
    let house = House::new();
    let made = make(
        &house.admin(),
        &json!({ "name": "hook", "url": "https://hooks.example.com/in", "authorization": "Bearer t0p" }),
    );
    // Given a data folder whose key of the seal was lost, and made anew
    let key = house.folder.path().join("data/seal.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let house = house.restart(|_| {});
    // when half of the secrets are given, then nothing is changed,
    for patch in [
        json!({ "authorization": "Bearer new" }),
        json!({ "rotate_secret": true }),
        json!({ "url": "https://hooks.example.com/elsewhere" }),
    ] {
        let refused = house.admin().patch::<_, Value>(&path(&made), &patch);
        assert_eq!(code_of(refused), "CONFLICT", "{patch}");
    }
    // and the former key, brought back, opens them.
    std::fs::write(&key, &kept).unwrap();
    let house = house.restart(|_| {});
    let _: Value = house
        .admin()
        .patch(
            &path(&made),
            &json!({ "url": "https://hooks.example.com/elsewhere" }),
        )
        .unwrap();
    // All of them together are taken.
    std::fs::remove_file(&key).unwrap();
    let house = house.restart(|_| {});
    let whole = json!({ "rotate_secret": true, "authorization": "" });
    let _: Value = house.admin().patch(&path(&made), &whole).unwrap();
}

#[test]
fn an_admin_of_one_organisation_reaches_nothing_private() {
    let house = House::new();
    let theirs = house.admin_of("acme");
    let private = json!({ "name": "x", "url": "http://127.0.0.1:1/", "allow_private": true });
    let refused = theirs.post::<_, Value>("/api/v1/webhooks", Some(&private));
    assert_eq!(code_of(refused), "FORBIDDEN");
    // One that the site's admin made for them stays where it points.
    let made = make(
        &house.admin(),
        &json!({ "name": "y", "url": "http://127.0.0.1:1/", "allow_private": true, "org": "acme" }),
    );
    let elsewhere = json!({ "url": "http://127.0.0.1:2/" });
    let refused = theirs.patch::<_, Value>(&path(&made), &elsewhere);
    assert_eq!(code_of(refused), "FORBIDDEN");
    let _: Value = theirs.patch(&path(&made), &json!({ "enabled": false })).unwrap();
    let own = make(&theirs, &json!({ "name": "z", "url": "https://h.example/" }));
    let refused = theirs.patch::<_, Value>(&path(&own), &json!({ "allow_private": true }));
    assert_eq!(code_of(refused), "FORBIDDEN");
}

#[test]
fn another_server_is_not_shown_the_authorization_of_the_former() {
    let house = House::new();
    let made = make(
        &house.admin(),
        &json!({ "name": "hook", "url": "https://a.example/in", "authorization": "Bearer t0p" }),
    );
    for url in [
        "https://b.example/in",
        "https://a.example:444/in",
        "http://a.example/in",
    ] {
        let refused = house
            .admin()
            .patch::<_, Value>(&path(&made), &json!({ "url": url }));
        assert_eq!(code_of(refused), "INVALID", "{url}");
    }
    let same = json!({ "url": "https://A.example:443/other" });
    let _: Value = house.admin().patch(&path(&made), &same).unwrap();
    let given = json!({ "url": "https://b.example/in", "authorization": "" });
    let _: Value = house.admin().patch(&path(&made), &given).unwrap();
}

#[test]
fn the_last_place_can_be_taken_and_edited_and_no_further_one() {
    let house = House::new();
    let body = |n: usize| json!({ "name": format!("w{n}"), "url": "https://h.example/", "enabled": false });
    let mut last = None;
    for n in 0..aami_model::webhook::MOST_WEBHOOKS {
        last = Some(make(&house.admin(), &body(n)));
    }
    let refused = house
        .admin()
        .post::<_, Value>("/api/v1/webhooks", Some(&body(9999)));
    assert_eq!(code_of(refused), "CONFLICT");
    let _: Value = house
        .admin()
        .patch(&path(&last.unwrap()), &json!({ "name": "renamed" }))
        .unwrap();
}

#[test]
fn the_services_key_is_rotated_without_a_restart() {
    let receiver = Receiver::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noti.key");
    std::fs::write(&file, "one\n").unwrap();
    let house = House::with(|config| {
        quick(config);
        config.noti_service_url = Some(receiver.url());
        config.noti_key_file = Some(file.clone());
    });
    declare(&house, "gpu-one");
    assert_eq!(about(&receiver, "gpu-one").headers["authorization"], "Bearer one");
    std::fs::write(&file, "second\n").unwrap();
    // Seen within a second or so: events told meanwhile may still carry the former.
    let mut n = 0;
    until("the new key is used", || {
        n += 1;
        let name = format!("gpu-after-{n}");
        declare(&house, &name);
        let used = about(&receiver, &name).headers["authorization"].clone();
        if used == "Bearer second" {
            Ok(())
        } else {
            Err(used)
        }
    });
}

#[test]
fn a_test_that_came_too_early_is_made_when_it_is_asked_for_again() {
    // Given a destination that takes one request a second, and was just tried
    let house = House::new();
    let receiver = Receiver::new();
    let made = make(
        &house.admin(),
        &json!({ "name": "slow", "url": receiver.url(), "allow_private": true, "rate_per_second": 1 }),
    );
    until("it is at work", || {
        let view: WebhookView = house.admin().get(&path(&made)).unwrap();
        view.standing.map(drop).ok_or(())
    });
    let test = |key: &str| {
        let path = format!("{}/test", path(&made));
        let method = ureq::http::Method::POST;
        let admin = house.admin();
        let answer = admin.call::<_, Delivery>(method, &path, Some(&json!({})), &[("idempotency-key", key)]);
        answer.map(|answer| answer.body.id)
    };
    let first = test("one").unwrap();
    // when the next try comes too early and is made once more under the same key,
    let mut second = 0;
    until("it is let through", || match test("two") {
        Ok(id) => {
            second = id;
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    });
    // then it is a try of its own, and not the answer of the one before.
    assert_ne!(second, first);
    assert_eq!(receiver.got().len(), 2);
}

#[test]
fn mail_goes_to_a_private_address_only_where_its_destination_says_so() {
    // Given a mail server on loopback, as a stranger's webhook might mean to reach one inside,
    let house = House::with(quick);
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let knocks = || match inside.accept() {
        Ok(_) => true,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    };
    let mail = |name: &str, server: String, allow: bool| {
        let body = json!({ "name": name, "kind": "email", "smtp_server": server, "from": "a@example.com",
            "to": ["b@example.com"], "events": ["webhook.never"], "allow_private": allow });
        let made = make(&house.admin(), &body);
        let tried: Delivery = house
            .admin()
            .post(&format!("{}/test", path(&made)), Some(&json!({})))
            .unwrap();
        tried
    };
    let port = inside.local_addr().unwrap().port();
    // when it is tried, by its address, by a name that leads there, and in another spelling,
    for (name, host) in [
        ("address", "127.0.0.1"),
        ("named", "localhost"),
        ("mapped", "[::ffff:127.0.0.1]"),
        ("metadata", "169.254.169.254"),
    ] {
        let tried = mail(name, format!("{host}:{port}"), false);
        // then it is refused for where it leads, and nobody has knocked there.
        let error = tried.error.unwrap_or_default();
        assert_eq!(tried.result, DeliveryResult::Dead, "{host}: {error}");
        assert!(error.contains("may not be connected to"), "{host}: {error}");
        assert!(!knocks(), "{host} was connected to");
    }
    // With the destination's word it is connected to, which says that this can fail; metadata never is.
    let tried = mail("meant", format!("127.0.0.1:{port}"), true);
    assert!(knocks(), "{tried:?}");
    let tried = mail("metadata-too", format!("169.254.169.254:{port}"), true);
    assert!(
        tried
            .error
            .unwrap_or_default()
            .contains("may not be connected to"),
        "cloud metadata is out of reach whatever is said"
    );
}

#[test]
fn a_destination_is_told_no_faster_than_it_wants_to_be() {
    // Given a destination that takes one request a second,
    let house = House::with(quick);
    let receiver = Receiver::new();
    make(
        &house.admin(),
        &json!({ "name": "slow", "url": receiver.url(), "allow_private": true, "rate_per_second": 1,
            "events": ["node.registered"] }),
    );
    // when five things happen at once,
    let begun = Instant::now();
    for n in 0..5 {
        declare(&house, &format!("gpu-{n}"));
    }
    // then all of them arrive, one a second, whichever lanes they are of.
    until("all arrive", || match receiver.got().len() {
        5 => Ok(()),
        other => Err(other),
    });
    let at: Vec<Instant> = receiver.got().iter().map(|got| got.at).collect();
    let took = at[4] - at[0];
    assert!(took > Duration::from_millis(3_500), "five within {took:?}");
    assert!(at[4] - begun > Duration::from_millis(3_500));
    for pair in at.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap > Duration::from_millis(500), "two within {gap:?}");
    }
}

#[test]
fn a_receiver_that_is_down_is_asked_by_one_request_a_wait() {
    // Given a receiver that takes nothing and says when to come again, and events of every lane that wait for it,
    let away = Duration::from_secs(1);
    let house = House::with(quick);
    let receiver = Receiver::new();
    receiver.behave(answer("503 Service Unavailable", "Retry-After: 1\r\n", "down"));
    make(
        &house.admin(),
        &json!({ "name": "down", "url": receiver.url(), "allow_private": true, "events": ["node.registered"] }),
    );
    for n in 0..12 {
        declare(&house, &format!("gpu-{n}"));
    }
    // when it is asked again and again,
    until("it is asked some more times", || match receiver.got().len() {
        0..9 => Err(receiver.got().len()),
        _ => Ok(()),
    });
    // then, but for those that were on their way when it first said so, each wait sees one request of one lane.
    let at: Vec<Instant> = receiver.got().iter().map(|got| got.at).collect();
    let lanes = 4;
    let waits = at[lanes..].windows(2).map(|pair| pair[1] - pair[0]);
    for gap in waits {
        assert!(gap > away * 8 / 10, "two probes within {gap:?}: {at:?}");
    }
    // And when it takes them, all go at once.
    receiver.behave(answer("200 OK", "", ""));
    until("everything arrives", || {
        match deliveries(&house, "?limit=500&result=delivered").len() {
            12 => Ok(()),
            other => Err(other),
        }
    });
}
