//! One event that a receiver never takes, and dead letters that were sent again.

use std::time::Duration;

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_api::page::Page;
use serde_json::{Value, json};

use crate::deliveries::{declare, deliveries, quick, webhook};
use crate::house::{House, until};
use crate::receiver::{Manner, Receiver, answer};

#[test]
fn an_event_that_a_receiver_never_takes_becomes_a_dead_letter_and_stops_nobody() {
    // Given a receiver that answers 500 to what is about one node, and takes the rest
    let house = House::with(quick);
    let receiver = Receiver::new();
    receiver.behave(Manner::Chokes("gpu-bad".to_owned()));
    webhook(&house, |w| {
        w.url = receiver.url();
        w.events = vec!["node.registered".into()];
    });
    // when that node and, one after another, others of every lane are declared,
    declare(&house, "gpu-bad");
    let attempts = |result: &str| {
        let all = deliveries(&house, &format!("?limit=500&result={result}"));
        let of_bad = all.into_iter().filter(|one| one.status == Some(500));
        of_bad.collect::<Vec<_>>()
    };
    for n in 0..16 {
        declare(&house, &format!("gpu-{n}"));
    }
    // then those of the other lanes arrive at once, without a circuit breaker that keeps them out;
    until("the other lanes go on", || {
        let taken = deliveries(&house, "?limit=500&result=delivered").len();
        if taken >= 6 { Ok(()) } else { Err(taken) }
    });
    until("it is tried ten times, each later", || {
        let tries = attempts("failed").len();
        if tries >= 10 { Ok(()) } else { Err(tries) }
    });
    assert!(attempts("dead").is_empty(), "it was given up at once");
    // and after a quarter of an hour it is a dead letter, and its lane goes on.
    house.forward(Duration::from_secs(16 * 60));
    until("everything else arrives", || {
        let taken = deliveries(&house, "?limit=500&result=delivered").len();
        if taken == 16 { Ok(()) } else { Err(taken) }
    });
    assert_eq!(attempts("dead").len(), 1);
}

#[test]
fn a_dead_letter_that_was_sent_again_is_dead_on_no_page() {
    let house = House::with(quick);
    let receiver = Receiver::new();
    receiver.behave(answer("400 Bad Request", "", ""));
    webhook(&house, |w| {
        w.url = receiver.url();
        w.events = vec!["node.registered".into()];
    });
    for n in 0..3 {
        declare(&house, &format!("gpu-{n}"));
    }
    until("they are dead", || {
        let dead = deliveries(&house, "?result=dead").len();
        if dead == 3 { Ok(()) } else { Err(dead) }
    });
    // Sent again in vain, by its own number and by that of the try, the oldest is one letter still.
    let oldest = deliveries(&house, "?result=dead").pop().unwrap();
    let path = format!("/api/v1/deliveries/{}/replay", oldest.id);
    let vain: Delivery = house.admin().post(&path, Some(&json!({}))).unwrap();
    assert_eq!(
        (vain.result, vain.replay_of),
        (DeliveryResult::Dead, Some(oldest.id))
    );
    let of_try = format!("/api/v1/deliveries/{}/replay", vain.id);
    let vain: Delivery = house.admin().post(&of_try, Some(&json!({}))).unwrap();
    assert_eq!(
        (vain.result, vain.replay_of),
        (DeliveryResult::Dead, Some(oldest.id))
    );
    assert_eq!(deliveries(&house, "?result=dead").len(), 3);
    // When it is sent again with success,
    receiver.behave(answer("200 OK", "", ""));
    let again = || -> Delivery {
        let key = [("idempotency-key", "once")];
        let method = ureq::http::Method::POST;
        let answer = house
            .admin()
            .call::<_, Delivery>(method, &path, Some(&json!({})), &key);
        answer.unwrap().body
    };
    let before = receiver.got().len();
    let replayed = again();
    assert_eq!(replayed.result, DeliveryResult::Delivered);
    // then the same request made twice sends once and answers the same,
    assert_eq!(again().id, replayed.id);
    assert_eq!(receiver.got().len(), before + 1);
    // it is on none of the pages of the dead, however short they are,
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/api/v1/deliveries?result=dead&limit=1&page_token={token}");
        let page: Page<Delivery> = house.admin().get(&path).unwrap();
        found.extend(page.items.into_iter().map(|one| one.id));
        match page.next_page_token {
            Some(next) => token = next,
            None => break,
        }
    }
    assert_eq!(found.len(), 2);
    assert!(!found.contains(&oldest.id));
    // and who sent it stands in the audit.
    let audit: Value = serde_json::to_value(house.admin().audit(0, 1000).unwrap()).unwrap();
    assert!(audit.to_string().contains("delivery.replay"));
}
