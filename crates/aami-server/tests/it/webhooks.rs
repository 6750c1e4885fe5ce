//! Destinations as admins make them: what is shown, what is kept secret, what is refused.

use std::os::unix::fs::PermissionsExt as _;

use aami_api::client::Client;
use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::page::Page;
use aami_api::webhook::{CreatedWebhook, Flow, WebhookView};
use serde_json::{Value, json};

use crate::house::{House, code_of, until};
use crate::receiver::{Receiver, answer};

fn make(client: &Client, body: &Value) -> CreatedWebhook {
    client.post("/api/v1/webhooks", Some(body)).unwrap()
}

fn names(client: &Client) -> Vec<String> {
    let page: Page<WebhookView> = client.get("/api/v1/webhooks").unwrap();
    page.items.into_iter().map(|view| view.name).collect()
}

fn metrics(house: &House) -> String {
    let mut answer = ureq::get(format!("{}/metrics", house.base))
        .header("Authorization", format!("Bearer {}", house.admin_key))
        .call()
        .unwrap();
    answer.body_mut().read_to_string().unwrap()
}

#[test]
fn secrets_are_shown_once_and_kept_sealed() {
    let house = House::new();
    let made = make(
        &house.admin(),
        &json!({ "name": "hook", "url": "https://hooks.example.com/in", "authorization": "Bearer t0psecret" }),
    );
    let secret = made.secret.clone().unwrap();
    assert!(secret.starts_with("whsec_"));
    make(
        &house.admin(),
        &json!({ "name": "room", "kind": "slack", "url": "https://hooks.slack.com/services/T1/B1/hush" }),
    );
    let shown: Value = house.admin().get("/api/v1/webhooks").unwrap();
    let audit = house.admin().audit(0, 100).unwrap();
    let shown = format!("{shown}{audit:?}{made:?}");
    let hidden = [secret.trim_start_matches("whsec_"), "t0psecret", "hush"];
    for text in hidden {
        assert!(!shown.contains(text), "{text} is shown");
    }
    assert!(shown.contains("hooks.slack.com"), "where it goes is shown");
    // Nothing that lies on the disk besides the key of the seal gives them away.
    let data = house.folder.path().join("data");
    let key = data.join("seal.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut house = house;
    house.stop();
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for text in hidden {
                let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!found, "{text} stands in {}", path.display());
            }
        }
    }
}

#[test]
fn a_rotated_key_and_the_former_one_sign_for_a_while() {
    let house = House::new();
    let receiver = Receiver::new();
    let made = make(
        &house.admin(),
        &json!({ "name": "hook", "url": receiver.url(), "allow_private": true }),
    );
    let path = format!("/api/v1/webhooks/{}", made.view.id);
    let rotated: CreatedWebhook = house
        .admin()
        .patch(&path, &json!({ "rotate_secret": true }))
        .unwrap();
    let (old, new) = (made.secret.unwrap(), rotated.secret.unwrap());
    assert_ne!(old, new);
    let test = || -> Delivery {
        house
            .admin()
            .post(&format!("{path}/test"), Some(&json!({})))
            .unwrap()
    };
    assert_eq!(test().result, DeliveryResult::Delivered);
    let got = receiver.got().pop().unwrap();
    assert_eq!(got.json()["type"], "webhook.test");
    assert!(got.is_signed_with(&old) && got.is_signed_with(&new));
    house.forward(std::time::Duration::from_secs(25 * 3600));
    test();
    let got = receiver.got().pop().unwrap();
    assert!(!got.is_signed_with(&old) && got.is_signed_with(&new));
    // A test that fails says what was answered, and is seen among the deliveries.
    receiver.behave(answer("403 Forbidden", "", "not you"));
    let failed = test();
    assert_eq!(
        (failed.result, failed.status, failed.answer.as_str()),
        (DeliveryResult::Dead, Some(403), "not you")
    );
    let page: Page<Delivery> = house.admin().get("/api/v1/deliveries?limit=1").unwrap();
    assert_eq!(page.items[0].id, failed.id);
    let next = format!("/api/v1/deliveries?page_token={}", page.next_page_token.unwrap());
    let page: Page<Delivery> = house.admin().get(&next).unwrap();
    assert_eq!((page.items.len(), page.next_page_token), (2, None));
}

#[test]
fn what_cannot_be_a_destination_is_refused_by_name() {
    let house = House::new();
    make(
        &house.admin(),
        &json!({ "name": "taken", "url": "https://h.example/" }),
    );
    for (body, member) in [
        (json!({ "name": "", "url": "https://h/" }), "name"),
        (json!({ "name": "noti", "url": "https://h/" }), "name"),
        (json!({ "name": "x", "url": "ftp://h/" }), "url"),
        (json!({ "name": "x", "url": "https://user:pw@h/" }), "url"),
        (
            json!({ "name": "x", "url": "https://h/", "events": ["Node"] }),
            "events",
        ),
        (
            json!({ "name": "x", "url": "https://h/", "rate_per_second": 0 }),
            "rate_per_second",
        ),
        (
            json!({ "name": "x", "url": "https://h/", "secret": "whsec_short" }),
            "secret",
        ),
        (json!({ "name": "x", "url": "https://h/", "ca": "no pem" }), "ca"),
        (
            json!({ "name": "x", "url": "https://h/", "authorization": "a\r\nb: c" }),
            "authorization",
        ),
        (
            json!({ "name": "x", "kind": "email", "smtp_server": "h", "from": "a@b.c", "to": ["a@b.c"] }),
            "smtp_server",
        ),
        (
            json!({ "name": "x", "kind": "email", "smtp_server": "h:25", "from": "nobody", "to": ["a@b.c"] }),
            "from",
        ),
        (
            json!({ "name": "x", "kind": "email", "smtp_server": "h:25", "from": "a@b.c", "to": [] }),
            "to",
        ),
        (
            json!({ "name": "x", "kind": "email", "smtp_server": "h:25", "from": "a@b.c", "to": ["a@b.c"], "smtp_user": "u" }),
            "smtp_user",
        ),
    ] {
        let refused = house.admin().post::<_, Value>("/api/v1/webhooks", Some(&body));
        let text = format!("{refused:?}");
        assert_eq!(code_of(refused), "INVALID", "{body}");
        assert!(text.contains(&format!("{member}:")), "{text}");
    }
    let again = json!({ "name": "taken", "url": "https://h.example/" });
    assert_eq!(
        code_of(house.admin().post::<_, Value>("/api/v1/webhooks", Some(&again))),
        "CONFLICT"
    );
    let unsuited = house.admin().patch::<_, Value>(
        &format!(
            "/api/v1/webhooks/{}",
            make(
                &house.admin(),
                &json!({ "name": "s", "kind": "slack", "url": "https://h/x" })
            )
            .view
            .id
        ),
        &json!({ "rotate_secret": true }),
    );
    assert_eq!(code_of(unsuited), "INVALID");
}

#[test]
fn one_organisation_sees_neither_the_others_destinations_nor_their_deliveries() {
    let house = House::with(|config| config.delivery_retry_max = std::time::Duration::from_millis(100));
    let receivers = [Receiver::new(), Receiver::new(), Receiver::new()];
    let (red, blue, all) = (house.admin_of("red"), house.admin_of("blue"), house.admin());
    let mut made = Vec::new();
    for (org, receiver) in [Some("red"), Some("blue"), None].into_iter().zip(&receivers) {
        let name = format!("of-{}", org.unwrap_or("all"));
        made.push(make(
            &all,
            &json!({
                "name": name, "url": receiver.url(), "allow_private": true, "events": ["node.*"], "org": org,
            }),
        ));
    }
    assert_eq!(
        (names(&red), names(&blue)),
        (vec!["of-red".to_owned()], vec!["of-blue".to_owned()])
    );
    assert_eq!(names(&all).len(), 3);
    for client in [&red, &blue] {
        let _: Value = client
            .post(
                "/api/v1/nodes",
                Some(&json!({ "hostname": "gpu-1", "ip_address": "127.9.2.1" })),
            )
            .unwrap();
    }
    until("all are told", || {
        let counts: Vec<usize> = receivers.iter().map(|one| one.got().len()).collect();
        if counts == [1, 1, 2] { Ok(()) } else { Err(counts) }
    });
    assert_eq!(receivers[0].got()[0].json()["data"]["owner"]["orgId"], "red");
    until("deliveries are shown to whom they belong", || {
        let seen = |client: &Client| -> Vec<String> {
            let page: Page<Delivery> = client.get("/api/v1/deliveries").unwrap();
            page.items.into_iter().map(|one| one.name).collect()
        };
        let counts = (seen(&red), seen(&blue), seen(&all).len());
        if counts == (vec!["red/of-red".to_owned()], vec!["blue/of-blue".to_owned()], 4) {
            Ok(())
        } else {
            Err(counts)
        }
    });
    // Nor can one touch what it does not see.
    let theirs = format!("/api/v1/webhooks/{}", made[1].view.id);
    assert_eq!(code_of(red.get::<Value>(&theirs)), "NOT_FOUND");
    assert_eq!(code_of(red.delete(&theirs)), "NOT_FOUND");
    assert_eq!(
        code_of(red.post::<_, Value>(&format!("{theirs}/test"), Some(&json!({})))),
        "NOT_FOUND"
    );
    let page: Page<Delivery> = blue.get("/api/v1/deliveries").unwrap();
    let replay = format!("/api/v1/deliveries/{}/replay", page.items[0].id);
    assert_eq!(
        code_of(red.post::<_, Value>(&replay, Some(&json!({})))),
        "NOT_FOUND"
    );
    let elsewhere = json!({ "name": "x", "url": "https://h/", "org": "blue" });
    assert_eq!(
        code_of(red.post::<_, Value>("/api/v1/webhooks", Some(&elsewhere))),
        "NOT_FOUND"
    );
}

#[test]
fn a_switched_off_destination_is_told_afterwards_and_a_deleted_one_never() {
    let house = House::new();
    let receiver = Receiver::new();
    let made = make(
        &house.admin(),
        &json!({ "name": "hook", "url": receiver.url(), "allow_private": true, "events": ["node.*"] }),
    );
    let path = format!("/api/v1/webhooks/{}", made.view.id);
    let declare = |name: &str| {
        let body = json!({ "hostname": name, "ip_address": "127.9.2.1" });
        let _: Value = house.admin().post("/api/v1/nodes", Some(&body)).unwrap();
    };
    let count = |expected: usize| {
        until("so many are told", || {
            let found = receiver.got().len();
            if found == expected { Ok(()) } else { Err(found) }
        });
    };
    declare("n-1");
    count(1);
    let off: CreatedWebhook = house.admin().patch(&path, &json!({ "enabled": false })).unwrap();
    assert!(!off.view.enabled);
    until("its lanes have ended", || {
        let view: WebhookView = house.admin().get(&path).unwrap();
        match view.standing {
            Some(standing) if standing.flow == Flow::Disabled => Ok(()),
            other => Err(other),
        }
    });
    declare("n-2");
    let _: Value = house.admin().patch(&path, &json!({ "enabled": true })).unwrap();
    count(2);
    // The series of each result are there from the beginning, and go with the destination.
    until(
        "what was delivered is counted, also from before it was switched off",
        || {
            let counted = metrics(&house);
            let missing =
                [("delivered", 2), ("failed", 0), ("dead", 0)]
                    .into_iter()
                    .find(|(result, count)| {
                        let line = format!(
                            "aami_deliveries_total{{destination=\"hook\",result=\"{result}\"}} {count}\n"
                        );
                        !counted.contains(&line)
                    });
            missing.map_or(Ok(()), |missing| Err((missing, counted.clone())))
        },
    );
    house.admin().delete(&path).unwrap();
    assert_eq!(code_of(house.admin().get::<Value>(&path)), "NOT_FOUND");
    until("its series end", || {
        let counted = metrics(&house);
        if counted.contains("destination=\"hook\"") {
            Err(counted)
        } else {
            Ok(())
        }
    });
    declare("n-3");
    let other = Receiver::new();
    make(
        &house.admin(),
        &json!({ "name": "hook", "url": other.url(), "allow_private": true, "events": ["node.*"] }),
    );
    declare("n-4");
    until("the next one is told", || {
        if other.got().len() == 1 {
            Ok(())
        } else {
            Err(other.got())
        }
    });
    assert_eq!(receiver.got().len(), 2);
}
