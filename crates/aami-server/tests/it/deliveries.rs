//! Events on their way to others: whatever the receiver does, everything arrives, in order per node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::key::CreateKey;
use aami_api::page::Page;
use aami_api::webhook::{CreateWebhook, CreatedWebhook, Flow, WebhookView};
use aami_model::access::Scope;
use aami_server::{Clock as _, Config};
use rig::MailServer;
use serde_json::{Value, json};

use crate::house::{House, code_of, until};
use crate::receiver::{Got, Manner, Receiver, answer};

/// A control plane whose attempts follow each other quickly.
pub fn quick(config: &mut Config) {
    config.delivery_retry_max = Duration::from_millis(200);
    config.delivery_timeout = Duration::from_secs(2);
}

pub fn webhook(house: &House, change: impl FnOnce(&mut CreateWebhook)) -> CreatedWebhook {
    let mut wanted = CreateWebhook {
        name: "hook".into(),
        allow_private: true,
        ..CreateWebhook::default()
    };
    change(&mut wanted);
    house.admin().post("/api/v1/webhooks", Some(&wanted)).unwrap()
}

pub fn declare(house: &House, hostname: &str) -> String {
    let node: Value = house
        .admin()
        .post(
            "/api/v1/nodes",
            Some(&json!({ "hostname": hostname, "ip_address": "127.9.2.1" })),
        )
        .unwrap();
    node["id"].as_str().unwrap().to_owned()
}

/// Retires a node and takes it back: two events.
pub fn turn(house: &House, node: &str) {
    for verb in ["decommission", "restore"] {
        let _: Value = house
            .admin()
            .post(&format!("/api/v1/nodes/{node}/{verb}"), Some(&json!({})))
            .unwrap();
    }
}

/// The ids of the events about nodes, in order, by subject.
pub fn told(house: &House) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in house.admin().events(0, 1000).unwrap().events {
        if event.kind.starts_with("node.") {
            told.entry(event.subject).or_default().push(event.id.to_string());
        }
    }
    told
}

/// The same of what was received, each id where it came first.
pub fn received(got: &[Got]) -> BTreeMap<String, Vec<String>> {
    let mut by_node: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in got {
        let subject = format!("node:{}", one.json()["data"]["nodeId"].as_str().unwrap());
        let ids = by_node.entry(subject).or_default();
        if !ids.iter().any(|id| id == one.id()) {
            ids.push(one.id().to_owned());
        }
    }
    by_node
}

pub fn arrives(house: &House, receiver: &Receiver) {
    until("everything arrives", || {
        let (told, received) = (told(house), received(&receiver.got()));
        if told == received {
            Ok(())
        } else {
            Err((told.len(), received))
        }
    });
}

pub fn deliveries(house: &House, query: &str) -> Vec<Delivery> {
    let page: Page<Delivery> = house.admin().get(&format!("/api/v1/deliveries{query}")).unwrap();
    page.items
}

#[test]
fn what_was_told_while_a_receiver_was_down_arrives_in_order_and_signed() {
    // Given a receiver that is not there, and nodes whose status changes
    let port = Receiver::new().port;
    let house = House::with(quick);
    let made = webhook(&house, |w| {
        w.url = format!("http://127.0.0.1:{port}/in");
        w.events = vec!["node.*".into()];
    });
    let nodes: Vec<String> = (0..8).map(|n| declare(&house, &format!("gpu-{n}"))).collect();
    for node in &nodes {
        turn(&house, node);
    }
    until("attempts are made and shown", || {
        let seen = deliveries(&house, "?result=failed");
        match seen.iter().find(|one| one.attempt > 2 && one.next_try.is_some()) {
            Some(one)
                if one
                    .error
                    .as_deref()
                    .unwrap_or_default()
                    .contains("cannot be connected to") =>
            {
                Ok(())
            }
            _ => Err(seen.len()),
        }
    });
    let view: WebhookView = house
        .admin()
        .get(&format!("/api/v1/webhooks/{}", made.view.id))
        .unwrap();
    let standing = view.standing.unwrap();
    assert!(
        standing.failures >= 5 && standing.next_try.is_some(),
        "{standing:?}"
    );

    // when the control plane is started anew, more happens, and the receiver comes back,
    let house = house.restart(quick);
    for node in &nodes {
        turn(&house, node);
    }
    let receiver = Receiver::at(port);

    // then all of it arrives, in order for each node, signed, by the path asked for;
    arrives(&house, &receiver);
    let secret = made.secret.unwrap();
    for got in receiver.got() {
        assert!(got.is_signed_with(&secret), "{got:?}");
        assert_eq!(got.path, "/in");
        let body = got.json();
        assert!(body["text"].as_str().unwrap().starts_with("Node gpu-"), "{body}");
        assert_eq!(body["type"].as_str().unwrap().split('.').next(), Some("node"));
    }
    // and once it has come, nothing comes again after another start.
    let before = receiver.got().len();
    let house = house.restart(quick);
    declare(&house, "gpu-last");
    arrives(&house, &receiver);
    assert_eq!(receiver.got().len(), before + 1);
    // What was told before there was the webhook is not its business, nor are other types.
    assert!(
        receiver
            .got()
            .iter()
            .all(|got| got.json()["type"] != "token.created")
    );
}

#[test]
fn a_destination_that_hangs_or_talks_nonsense_delays_no_other() {
    let house = House::with(quick);
    let (hanging, babbling, healthy) = (Receiver::new(), Receiver::new(), Receiver::new());
    hanging.behave(Manner::Hang);
    babbling.behave(Manner::Answer("\u{1}\u{2} what?\r\n\r\n".into()));
    for (name, receiver) in [("hangs", &hanging), ("babbles", &babbling), ("healthy", &healthy)] {
        webhook(&house, |w| (w.name, w.url) = (name.into(), receiver.url()));
    }
    let begun = Instant::now();
    let nodes: Vec<String> = (0..12).map(|n| declare(&house, &format!("n-{n}"))).collect();
    arrives(&house, &healthy);
    // Each request to the one that hangs takes two seconds; the healthy one had to wait for none.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    until("both failures are told apart", || {
        let failed = deliveries(&house, "?result=failed");
        let says = |name: &str, word: &str| {
            failed
                .iter()
                .any(|one| one.name == name && one.error.as_deref().unwrap_or_default().contains(word))
        };
        match says("hangs", "within 2 s") && says("babbles", "did not answer as an HTTP server") {
            true => Ok(()),
            false => Err(failed.len()),
        }
    });
    // And once they behave, they get everything as well.
    hanging.behave(answer("204 No Content", "", ""));
    babbling.behave(answer("200 OK", "", "<html>\u{7f} no json at all"));
    turn(&house, &nodes[0]);
    for receiver in [&hanging, &babbling, &healthy] {
        arrives(&house, receiver);
    }
}

#[test]
fn a_refusal_becomes_a_dead_letter_that_can_be_replayed_and_no_redirect_is_followed() {
    let house = House::with(quick);
    let (secret_service, receiver) = (Receiver::new(), Receiver::new());
    let location = format!("Location: {}/admin\r\n", secret_service.url());
    receiver.behave(answer("307 Temporary Redirect", &location, "over there"));
    let made = webhook(&house, |w| w.url = receiver.url());
    let node = declare(&house, "gpu-1");
    let dead = || deliveries(&house, &format!("?result=dead&webhook={}", made.view.id));
    until("it is given up", || {
        if dead().len() == 1 { Ok(()) } else { Err(dead()) }
    });
    let letter = dead().remove(0);
    assert_eq!((letter.attempt, letter.status), (3, Some(307)));
    assert_eq!(letter.answer, "over there");
    assert!(
        letter.error.as_ref().unwrap().contains("not followed"),
        "{letter:?}"
    );
    assert_eq!(secret_service.got().len(), 0, "the redirect was followed");

    // The next event is not held up by it.
    receiver.behave(answer("200 OK", "", ""));
    turn(&house, &node);
    until("what follows arrives", || {
        let ids = received(&receiver.got()).values().map(Vec::len).sum::<usize>();
        if ids == 3 { Ok(()) } else { Err(ids) }
    });
    // Replayed, it arrives under the same id, and is no dead letter any more.
    let before = receiver.got().len();
    let replayed: Delivery = house
        .admin()
        .post(
            &format!("/api/v1/deliveries/{}/replay", letter.id),
            Some(&json!({})),
        )
        .unwrap();
    assert_eq!(
        (replayed.result, replayed.replay_of),
        (DeliveryResult::Delivered, Some(letter.id))
    );
    assert_eq!(receiver.got()[before].id(), letter.event.id.as_str());
    assert!(dead().is_empty());
    let unknown = house
        .admin()
        .post::<_, Value>("/api/v1/deliveries/7/replay", Some(&json!({})));
    assert_eq!(code_of(unknown), "NOT_FOUND");
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    let house = House::with(quick);
    let receiver = Receiver::new();
    receiver.behave(answer("429 Too Many Requests", "Retry-After: 2\r\n", "slow down"));
    let made = webhook(&house, |w| w.url = receiver.url());
    declare(&house, "gpu-1");
    until("it is asked once", || {
        if receiver.got().is_empty() {
            Err(())
        } else {
            Ok(())
        }
    });
    receiver.behave(answer("200 OK", "", ""));
    let view: WebhookView = house
        .admin()
        .get(&format!("/api/v1/webhooks/{}", made.view.id))
        .unwrap();
    assert_eq!(view.standing.unwrap().flow, Flow::Waiting);
    until("it is asked again", || match receiver.got().len() {
        2 => Ok(()),
        other => Err(other),
    });
    let got = receiver.got();
    let waited = got[1].at.duration_since(got[0].at);
    assert!((1_900..4_000).contains(&waited.as_millis()), "{waited:?}");
}

#[test]
fn a_name_that_leads_to_this_machine_is_refused_when_it_is_connected_to() {
    let house = House::with(quick);
    let receiver = Receiver::new();
    let made = webhook(&house, |w| {
        w.url = format!("http://localhost:{}/", receiver.port);
        w.allow_private = false;
    });
    let test = |id: &str| -> Delivery {
        house
            .admin()
            .post(&format!("/api/v1/webhooks/{id}/test"), Some(&json!({})))
            .unwrap()
    };
    let tried = test(made.view.id.as_str());
    assert_eq!(tried.result, DeliveryResult::Dead);
    assert!(
        tried.error.as_ref().unwrap().contains("may not be connected to"),
        "{tried:?}"
    );
    for url in [
        "http://[::ffff:127.0.0.1]:9/",
        "http://169.254.169.254/latest/",
        "http://0.0.0.0:1/",
    ] {
        let made = webhook(&house, |w| {
            (w.name, w.url) = (url.into(), url.into());
            w.allow_private = url.contains("169.254");
        });
        let tried = test(made.view.id.as_str());
        assert!(
            tried.error.as_ref().unwrap().contains("may not be connected to"),
            "{tried:?}"
        );
    }
    assert_eq!(receiver.got().len(), 0);
    // With the destination's word it is told what has waited.
    declare(&house, "gpu-1");
    let path = format!("/api/v1/webhooks/{}", made.view.id);
    let _: Value = house
        .admin()
        .patch(&path, &json!({ "allow_private": true }))
        .unwrap();
    arrives(&house, &receiver);
}

#[test]
fn the_notification_service_gets_exactly_the_documented_members() {
    let receiver = Receiver::new();
    let url = receiver.url();
    let house = House::with(|config| {
        quick(config);
        config.noti_service_url = Some(url);
    });
    until("it is ready", || {
        let page: Page<WebhookView> = house.admin().get("/api/v1/webhooks").unwrap();
        match page.items.first().and_then(|view| view.standing.clone()) {
            Some(_) => Ok(()),
            None => Err(page),
        }
    });
    let id = declare(&house, "gpu-worker-01");
    until("it is told", || {
        let nodes = receiver
            .got()
            .into_iter()
            .find(|got| got.json()["type"] == "node.registered");
        let Some(got) = nodes else {
            return Err(receiver.got().len());
        };
        assert_eq!(got.path, "/events");
        let mut body = got.json();
        let timestamp = body["timestamp"].take();
        assert!(timestamp.as_str().unwrap().ends_with('Z'));
        assert_eq!(
            body,
            json!({ "type": "node.registered", "timestamp": null, "data": {
                "nodeId": id, "nodeName": "gpu-worker-01", "status": "pending",
                "owner": { "orgId": "default", "userId": null } } })
        );
        Ok(())
    });
}

#[test]
fn slack_and_mailboxes_get_the_sentence() {
    let house = House::with(quick);
    let (channel, server) = (Receiver::new(), MailServer::start().unwrap());
    webhook(&house, |w| {
        w.name = "channel".into();
        w.kind = aami_api::webhook::Kind::Slack;
        w.url = format!("{}/services/T0/B0/verysecret", channel.url());
        w.events = vec!["node.decommissioned".into()];
    });
    webhook(&house, |w| {
        w.name = "mail".into();
        w.kind = aami_api::webhook::Kind::Email;
        w.smtp_server = format!("localhost:{}", server.port);
        (w.smtp_user, w.smtp_password) = (Some("me".into()), Some("pass word".into()));
        w.from = "AAMI <aami@example.com>".into();
        w.to = vec!["ops@example.com".into(), "night@example.com".into()];
        w.ca = Some(server.ca.clone());
        w.events = vec!["node.decommissioned".into()];
    });
    let node = declare(&house, "gpu-7");
    turn(&house, &node);
    until("the channel is told", || match channel.got().first() {
        Some(got) => {
            assert_eq!(got.path, "/services/T0/B0/verysecret");
            assert_eq!(
                got.json(),
                json!({ "text": "*Node decommissioned*\nNode gpu-7 was decommissioned" })
            );
            Ok(())
        }
        None => Err(deliveries(&house, "?result=failed")),
    });
    until("mail is sent", || {
        match deliveries(&house, "?result=delivered")
            .iter()
            .find(|one| one.name == "mail")
        {
            Some(one) => {
                assert_eq!((one.status, one.answer.as_str()), (Some(250), "taken as 77"));
                Ok(())
            }
            None => Err(deliveries(&house, "")),
        }
    });
    let said = server.said();
    assert!(!said.iter().any(|line| line.starts_with("in clear")), "{said:?}");
    for expected in [
        "AUTH PLAIN AG1lAHBhc3Mgd29yZA==",
        "MAIL FROM:<aami@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<night@example.com>",
        "Subject: Node gpu-7 was decommissioned",
        "What: node.decommissioned",
    ] {
        assert!(
            said.iter().any(|line| line.starts_with(expected)),
            "{expected}: {said:?}"
        );
    }
    // Neither secret is shown to anybody.
    let shown: Value = house.admin().get("/api/v1/webhooks").unwrap();
    let shown = shown.to_string() + &format!("{:?}", deliveries(&house, ""));
    assert!(
        !shown.contains("verysecret") && !shown.contains("pass word"),
        "{shown}"
    );
}

#[test]
fn one_control_plane_tells_another_and_nothing_runs_in_a_circle() {
    // Given two control planes that are each other's notification service
    let far = House::with(quick);
    let key = |house: &House| {
        let wanted = CreateKey {
            name: "other".into(),
            scopes: vec![Scope::EventsIn],
            ..CreateKey::default()
        };
        house.admin().create_key(&wanted).unwrap().key
    };
    let files = tempfile::tempdir().unwrap();
    let (key_file, secret_file) = (files.path().join("key"), files.path().join("secret"));
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    std::fs::write(&key_file, key(&far)).unwrap();
    std::fs::write(&secret_file, secret).unwrap();
    let far = far.restart(|config| {
        quick(config);
        config.events_in_secret_file = Some(secret_file.clone());
    });
    let near = House::with(|config| {
        quick(config);
        config.noti_service_url = Some(far.base.clone());
        config.noti_key_file = Some(key_file.clone());
        config.noti_secret_file = Some(secret_file.clone());
    });
    // and the far one tells the near one by a webhook,
    webhook(&far, |w| {
        w.url = format!("{}/events", near.base);
        w.authorization = Some(format!("Bearer {}", key(&near)));
    });
    until("the near one is ready", || {
        let page: Page<WebhookView> = near.admin().get("/api/v1/webhooks").unwrap();
        page.items[0].standing.clone().map(drop).ok_or(())
    });

    // when something happens near,
    let id = declare(&near, "gpu-near");

    // then it is told far, as something that happened elsewhere, once;
    let of_near = |house: &House| -> Vec<_> {
        let events = house.admin().events(0, 1000).unwrap().events;
        events
            .into_iter()
            .filter(|event| event.kind == "node.registered" && event.subject.ends_with(&id))
            .collect()
    };
    until("it is told far", || match of_near(&far).as_slice() {
        [event] => {
            assert_eq!(event.subject, format!("remote:{id}"));
            assert_eq!(event.data["origin"]["notice"]["data"]["nodeName"], "gpu-near");
            assert!(event.actor.starts_with("key:"));
            Ok(())
        }
        other => Err(format!("{other:?} {:?}", deliveries(&near, ""))),
    });
    // and when the far one has told it back, it is not told anew.
    until("the far one has told it back", || {
        let back = deliveries(&far, "?result=delivered");
        match back
            .iter()
            .find(|one| one.event.subject == format!("remote:{id}"))
        {
            Some(one) => {
                assert_eq!(one.answer, r#"{"accepted":false}"#);
                Ok(())
            }
            None => Err(deliveries(&far, "")),
        }
    });
    assert_eq!((of_near(&near).len(), of_near(&far).len()), (1, 1));
}

#[test]
fn events_of_others_are_judged_before_they_are_told() {
    let house = House::new();
    let wanted = CreateKey {
        name: "other".into(),
        scopes: vec![Scope::EventsIn],
        orgs: vec!["red".parse().unwrap()],
        ..CreateKey::default()
    };
    let sender = house
        .stranger()
        .with_bearer(&house.admin().create_key(&wanted).unwrap().key);
    let event = |change: fn(&mut Value)| {
        let mut event = json!({ "type": "node.connected", "timestamp": "2026-01-01T00:00:00.000Z",
            "data": { "nodeId": "abc", "nodeName": "far-1", "status": "online", "owner": { "orgId": "blue", "userId": null } } });
        change(&mut event);
        event
    };
    for (change, code) in [
        (
            (|e| e["type"] = json!("Node Connected")) as fn(&mut Value),
            "INVALID",
        ),
        (|e| e["type"] = json!("node.connected.twice"), "INVALID"),
        (|e| e["timestamp"] = json!("2099-01-01T00:00:00.000Z"), "INVALID"),
        (|e| e["timestamp"] = json!("yesterday"), "MALFORMED"),
        (|e| e["data"] = json!([]), "INVALID"),
        (|e| e["data"]["nodeId"] = json!(7), "INVALID"),
        (|e| e["data"]["nodeName"] = json!("x\u{1b}[2J"), "INVALID"),
        (|e| e["data"]["status"] = json!("exploded"), "INVALID"),
        (|e| e["type"] = json!("node.installation_failed"), "INVALID"),
        (|e| e["data"]["filler"] = json!("x".repeat(70_000)), "TOO_LARGE"),
    ] {
        let refused = sender.post::<_, Value>("/events", Some(&event(change)));
        assert_eq!(code_of(refused), code, "{:.80}", event(change).to_string());
    }
    // A good one is taken once, and belongs to who brought it: its key says nothing for other tenants.
    for accepted in [true, false, false] {
        let answer: Value = sender.post("/events", Some(&event(|_| {}))).unwrap();
        assert_eq!(answer["accepted"], accepted);
    }
    let events = house.admin().events(0, 1000).unwrap().events;
    let taken: Vec<_> = events
        .iter()
        .filter(|event| event.kind == "node.connected")
        .collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(
        (taken[0].org.as_str(), taken[0].subject.as_str()),
        ("red", "remote:abc")
    );
    // Nobody else brings any, an admin included.
    assert_eq!(
        code_of(house.admin().post::<_, Value>("/events", Some(&event(|_| {})))),
        "FORBIDDEN"
    );

    // Where secrets are configured, a key alone is not enough.
    let file = house.folder.path().join("secrets");
    std::fs::write(&file, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
    let house = house.restart(|config| config.events_in_secret_file = Some(file));
    let key = house
        .admin()
        .create_key(&CreateKey {
            orgs: Vec::new(),
            ..wanted
        })
        .unwrap()
        .key;
    let sender = house.stranger().with_bearer(&key);
    assert_eq!(
        code_of(sender.post::<_, Value>("/events", Some(&event(|_| {})))),
        "EVENT_SIGNATURE_INVALID"
    );
    let now = (house.clock.now().millis() / 1000).to_string();
    let forged = sender.call::<_, Value>(
        ureq::http::Method::POST,
        "/events",
        Some(&event(|_| {})),
        &[
            ("webhook-id", "e1"),
            ("webhook-timestamp", &now),
            ("webhook-signature", "v1,AAAA"),
        ],
    );
    assert_eq!(
        code_of(forged.map(|answer| answer.body)),
        "EVENT_SIGNATURE_INVALID"
    );
}
