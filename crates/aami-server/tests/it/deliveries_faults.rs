//! Deliveries over what lasts: an outage of an hour, one of days, a control plane that is killed.

use std::time::Duration;

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::page::Page;
use aami_api::webhook::WebhookView;
use serde_json::{Value, json};

use crate::deliveries::{arrives, declare, deliveries, quick, turn, webhook};
use crate::house::{House, until};
use crate::process::{Process, Told};
use crate::receiver::{Got, Manner, Receiver, answer};

#[test]
fn what_was_told_during_an_hour_without_the_receiver_arrives_in_order() {
    // Given a receiver that is away for an hour, while things happen all the time,
    let port = Receiver::new().port;
    let house = House::with(quick);
    webhook(&house, |w| {
        w.url = format!("http://127.0.0.1:{port}/");
        w.events = vec!["node.*".into()];
    });
    let nodes: Vec<String> = (0..5).map(|n| declare(&house, &format!("gpu-{n}"))).collect();
    for minute in 0..12 {
        turn(&house, &nodes[minute % nodes.len()]);
        house.forward(Duration::from_secs(300));
    }
    let house = house.restart(quick);
    until("it is tried again and again", || {
        match deliveries(&house, "?result=failed").len() {
            0..20 => Err("too few attempts"),
            _ => Ok(()),
        }
    });
    assert!(deliveries(&house, "?result=dead").is_empty());

    // when it is back, then all of it arrives, in order for each node.
    let receiver = Receiver::at(port);
    arrives(&house, &receiver);
}

#[test]
fn what_nobody_took_for_days_is_given_up_kept_and_told_when_asked() {
    // Given events that wait for a receiver,
    let port = Receiver::new().port;
    let house = House::with(quick);
    webhook(&house, |w| {
        w.url = format!("http://127.0.0.1:{port}/");
        w.events = vec!["node.*".into()];
    });
    let node = declare(&house, "gpu-1");
    turn(&house, &node);
    until("they are tried", || {
        match deliveries(&house, "?result=failed").is_empty() {
            true => Err("no attempt yet"),
            false => Ok(()),
        }
    });

    // when days pass, they are given up one after the other, and none is forgotten;
    house.forward(Duration::from_secs(4 * 24 * 3600));
    let dead = || deliveries(&house, "?result=dead");
    until("all three are given up", || match dead().len() {
        3 => Ok(()),
        other => Err(other),
    });
    // what happens then does not wait behind them;
    let receiver = Receiver::at(port);
    turn(&house, &node);
    until("what is new arrives", || match receiver.got().len() {
        2 => Ok(()),
        other => Err(other),
    });
    // and what was given up is told once somebody asks for it, the oldest first as they choose.
    let mut letters = dead();
    letters.sort_by_key(|letter| letter.event.seq);
    for letter in &letters {
        let path = format!("/api/v1/deliveries/{}/replay", letter.id);
        let replayed: Delivery = house.admin().post(&path, Some(&json!({}))).unwrap();
        assert_eq!(replayed.result, DeliveryResult::Delivered);
    }
    let replayed: Vec<String> = receiver.got()[2..]
        .iter()
        .map(|got| got.id().to_owned())
        .collect();
    let expected: Vec<String> = letters.iter().map(|letter| letter.event.id.to_string()).collect();
    assert_eq!(replayed, expected);
    assert!(dead().is_empty());
}

#[test]
fn a_control_plane_killed_before_it_delivered_delivers_after_its_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::new();
    let told = Told {
        service: Some(receiver.url()),
        ..Told::default()
    };
    let mut plane = Process::start(folder.path(), &told);
    until("the service is known", || {
        let page: Page<WebhookView> = plane.admin.get("/api/v1/webhooks").unwrap();
        page.items[0].standing.clone().map(drop).ok_or(())
    });
    // Given a service that does not answer while nodes are declared,
    receiver.behave(Manner::Hang);
    for n in 0..10 {
        let body = json!({ "hostname": format!("k-{n}"), "ip_address": "127.9.2.1" });
        let _: Value = plane.admin.post("/api/v1/nodes", Some(&body)).unwrap();
    }
    until("a delivery is on its way", || match receiver.got().is_empty() {
        true => Err(()),
        false => Ok(()),
    });
    // when the control plane is killed
    plane.kill();
    let before = receiver.got().len();
    receiver.behave(answer("200 OK", "", ""));
    let plane = Process::start(folder.path(), &told);

    // then its next start delivers all of them, and none that did not happen.
    let registered: Vec<String> = plane
        .admin
        .events(0, 1000)
        .unwrap()
        .events
        .into_iter()
        .filter(|event| event.kind == "node.registered")
        .map(|event| event.id.to_string())
        .collect();
    assert_eq!(registered.len(), 10);
    until("all arrive", || {
        let got: Vec<Got> = receiver.got().split_off(before);
        let missing: Vec<_> = registered
            .iter()
            .filter(|id| !got.iter().any(|got| got.id() == id.as_str()))
            .collect();
        if missing.is_empty() {
            let all = plane.admin.events(0, 1000).unwrap().events;
            assert!(
                got.iter()
                    .all(|got| all.iter().any(|event| event.id.as_str() == got.id()))
            );
            return Ok(());
        }
        Err(format!("{missing:?}"))
    });
}
