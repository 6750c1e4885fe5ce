//! Destinations that missed events for good: it is told once, whoever tells it and whatever happens meanwhile, and to
//! nobody who may not see the destination.

use std::path::Path;

use aami_api::client::Client;
use aami_api::dashboard::What;
use aami_api::key::CreateKey;
use aami_api::page::Page;
use aami_api::webhook::{CreateWebhook, CreatedWebhook, WebhookView};
use aami_model::access::Role;
use aami_model::{OrgId, WebhookId};
use aami_server::Config;
use aami_store::{PageRequest, keys};
use rig::Place;
use rig::engines::Etcd;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::dashboards::Dashboard;
use crate::deliveries::{arrives, declare, quick, webhook};
use crate::house::{House, code_of, until};
use crate::pruned::{DAY, tidied};
use crate::receiver::{Manner, Receiver};

const LOST: &str = "webhook.events_lost";

/// What a receiver got about lost events, each request.
fn lost(receiver: &Receiver) -> Vec<Value> {
    let got = receiver.got().into_iter().map(|got| got.json());
    got.filter(|told| told["type"] == LOST).collect()
}

/// How often it is in the list of events.
fn told(client: &Client) -> usize {
    let events = client.events(0, 1000).unwrap().events;
    events.iter().filter(|event| event.kind == LOST).count()
}

fn switch(house: &House, hook: &WebhookId, enabled: bool) {
    let path = format!("/api/v1/webhooks/{hook}");
    let wanted = json!({ "enabled": enabled });
    let _: CreatedWebhook = house.admin().patch(&path, &wanted).unwrap();
}

pub fn shown(house: &House, hook: &WebhookId) -> WebhookView {
    let page: Page<WebhookView> = house.admin().get("/api/v1/webhooks").unwrap();
    page.items.into_iter().find(|view| view.id == *hook).unwrap()
}

/// Has the node `hostname` declared, however often the store refuses.
pub fn declared(house: &House, hostname: &str) {
    let wanted = json!({ "hostname": hostname, "ip_address": "127.9.2.1" });
    until("it is declared", || {
        let made: Result<Value, _> = house.admin().post("/api/v1/nodes", Some(&wanted));
        made.map(drop)
    });
}

fn until_got(receiver: &Receiver, hostname: &str) {
    until(&format!("{hostname} is told of"), || {
        let got = receiver.got();
        match got.iter().any(|got| got.json()["data"]["nodeName"] == hostname) {
            true => Ok(()),
            false => Err(got.len()),
        }
    });
}

/// A destination that was told of a node and is off since; what happened after that is kept no longer. Answers up to
/// where it is gone.
fn missed(house: House, hook: &WebhookId, receiver: &Receiver, change: impl Fn(&mut Config)) -> (House, u64) {
    declare(&house, "gpu-told");
    arrives(&house, receiver);
    switch(&house, hook, false);
    let before = house.admin().events(0, 1000).unwrap().last_seq;
    declare(&house, "gpu-missed");
    house.forward(DAY * 2);
    let house = tidied(house, before, change);
    let gone = house.admin().events(before, 1).unwrap().pruned_through;
    (house, gone)
}

pub fn sql(store: &Path, statement: &str) {
    Connection::open(store).unwrap().execute_batch(statement).unwrap();
}

#[test]
fn lost_events_that_the_store_does_not_take_are_told_of_after_the_next_start() {
    // Given a destination that missed events, on a store that takes everything but the note of it,
    let (receiver, other) = (Receiver::new(), Receiver::new());
    let house = House::with(quick);
    let hook = webhook(&house, |wanted| wanted.url = receiver.url()).view.id;
    let (mut house, gone) = missed(house, &hook, &receiver, quick);
    house.stop();
    let store = house.folder.path().join("data/store.db");
    sql(
        &store,
        "CREATE TRIGGER broken BEFORE INSERT ON kv WHEN NEW.key LIKE '%/lost'
         BEGIN SELECT RAISE(FAIL, 'the disk is broken there'); END",
    );
    let house = house.restart(quick);
    switch(&house, &hook, true);

    // then it gets nothing more, for the gap comes first, while others get what happens;
    let _: CreatedWebhook = {
        let wanted = CreateWebhook {
            name: "other".into(),
            url: other.url(),
            allow_private: true,
            ..CreateWebhook::default()
        };
        let made = std::cell::OnceCell::new();
        until("the other destination is made", || {
            let answer: Result<CreatedWebhook, _> = house.admin().post("/api/v1/webhooks", Some(&wanted));
            answer.map(|answer| made.set(answer).unwrap_or_default())
        });
        made.into_inner().unwrap()
    };
    declared(&house, "gpu-new");
    until_got(&other, "gpu-new");
    assert_eq!((told(&house.admin()), lost(&receiver).len()), (0, 0));
    assert!(
        !receiver
            .got()
            .iter()
            .any(|got| got.json()["data"]["nodeName"] == "gpu-new")
    );
    assert_eq!(shown(&house, &hook).lost_through, None);

    // when it is started on a store that takes that as well,
    let mut house = house;
    house.stop();
    sql(&store, "DROP TRIGGER broken");
    let house = house.restart(quick);

    // then the gap is told, once, beside what happened after it: that goes another lane.
    until_got(&receiver, "gpu-new");
    until("it is told of the gap", || match lost(&receiver).len() {
        0 => Err("nothing yet"),
        _ => Ok(()),
    });
    assert_eq!((told(&house.admin()), lost(&receiver).len()), (1, 1));
    assert_eq!(lost(&receiver)[0]["data"]["prunedThrough"], gone);
    assert_eq!(shown(&house, &hook).lost_through, Some(gone));
}

#[test]
fn lost_events_are_told_once_also_when_they_are_delivered_days_and_starts_later() {
    // Given a destination that missed events and takes nothing when it is on again,
    let receiver = Receiver::new();
    let house = House::with(quick);
    let hook = webhook(&house, |wanted| wanted.url = receiver.url()).view.id;
    let (house, gone) = missed(house, &hook, &receiver, quick);
    receiver.behave(Manner::Hang);
    switch(&house, &hook, true);
    until("it is told", || match told(&house.admin()) {
        1 => Ok(()),
        other => Err(other),
    });

    // when the control plane is started anew, twice with two days between, and the destination is changed meanwhile,
    let house = house.restart(quick);
    assert_eq!(shown(&house, &hook).lost_through, Some(gone));
    house.forward(DAY * 2);
    let house = house.restart(quick);
    switch(&house, &hook, false);
    assert_eq!(
        shown(&house, &hook).lost_through,
        Some(gone),
        "also while it is off"
    );
    switch(&house, &hook, true);
    receiver.behave(crate::receiver::answer("200 OK", "", ""));

    // then it is delivered once it can be, and there is one of it.
    until("it is delivered", || match lost(&receiver).len() {
        0 => Err(()),
        _ => Ok(()),
    });
    declare(&house, "gpu-new");
    until_got(&receiver, "gpu-new");
    assert_eq!(told(&house.admin()), 1);
    let ids: std::collections::BTreeSet<String> = receiver
        .got()
        .iter()
        .filter(|got| got.json()["type"] == LOST)
        .map(|got| got.id().to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn what_one_replica_told_of_lost_events_another_neither_tells_again_nor_forgets() {
    // Given two replicas, and a destination that was off while the one that leads kept what happened in its own history,
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let url = format!("etcd://{}", etcd.endpoint());
    let on_etcd = |config: &mut Config| {
        quick(config);
        config.store.clone_from(&url);
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(aami_store::open(&url)).unwrap();
    let until_copied = || {
        let untold = keys::outboxes();
        until("all is copied to the history", || {
            let listing = runtime.block_on(store.list(&untold, PageRequest::first(10)));
            match listing.unwrap().entries.len() {
                0 => Ok(()),
                other => Err(other),
            }
        });
    };
    let receiver = Receiver::new();
    let mut first = House::with(on_etcd);
    let hook = webhook(&first, |wanted| wanted.url = receiver.url()).view.id;
    declare(&first, "gpu-told");
    arrives(&first, &receiver);
    switch(&first, &hook, false);
    declare(&first, "gpu-missed");
    until_copied();
    // (what destinations' secrets are sealed with is copied from one to the other, as the pin is)
    let seal = std::fs::read(first.folder.path().join("data/seal.key")).unwrap();
    let mut second = House::with(|config| {
        on_etcd(config);
        std::fs::create_dir(&config.data_dir).unwrap();
        std::fs::write(config.data_dir.join("seal.key"), seal).unwrap();
    });
    second.admin_key.clone_from(&first.admin_key);

    // when that one goes and the other leads, which cannot tell it any more,
    first.stop();
    switch(&second, &hook, true);
    until("it is told so", || match lost(&receiver).len() {
        0 => Err(()),
        _ => Ok(()),
    });
    let gone = lost(&receiver)[0]["data"]["prunedThrough"].as_u64();
    assert_eq!(shown(&second, &hook).lost_through, gone);
    until_copied();

    // then the first shows it as well when it is back, and does not tell it again when it leads.
    let first = first.restart(on_etcd);
    assert_eq!(shown(&first, &hook).lost_through, gone);
    second.stop();
    declared(&first, "gpu-new");
    until_got(&receiver, "gpu-new");
    assert_eq!(lost(&receiver).len(), 1, "{:?}", lost(&receiver));
    assert_eq!(shown(&first, &hook).lost_through, gone);
}

#[test]
fn lost_events_of_a_destination_of_every_organisation_are_shown_to_who_may_see_it() {
    // Given a destination that gets every organisation's events and misses some,
    let (receiver, others) = (Receiver::new(), Receiver::new());
    let house = House::with(quick);
    let hook = webhook(&house, |wanted| wanted.url = receiver.url()).view.id;
    let (house, _) = missed(house, &hook, &receiver, quick);
    // and one of each of two organisations, made since, so that they miss nothing,
    for org in ["default", "red"] {
        webhook(&house, |wanted| {
            wanted.name = format!("of-{org}");
            wanted.org = Some(org.parse().unwrap());
            wanted.url = format!("{}/{org}", others.url());
        });
    }
    let key = |role: Role, orgs: Vec<OrgId>| {
        let wanted = CreateKey {
            name: "reader".into(),
            role: Some(role),
            orgs,
            ..CreateKey::default()
        };
        let made = house.admin().create_key(&wanted).unwrap();
        made.key
    };
    let viewer = key(Role::Viewer, Vec::new());
    let some: Vec<String> = [
        (Role::Viewer, vec!["default"]),
        (Role::Admin, vec!["default"]),
        (Role::Admin, vec!["red", "default"]),
    ]
    .into_iter()
    .map(|(role, orgs)| key(role, orgs.into_iter().map(|org| org.parse().unwrap()).collect()))
    .collect();
    // when the first is told so,
    let mut of_default = Dashboard::open(&house, Some(&some[0]), "").unwrap();
    of_default.sync();
    switch(&house, &hook, true);
    until("it is told", || match lost(&receiver).len() {
        1 => Ok(()),
        other => Err(other),
    });

    // then who sees every organisation reads that, and nobody else, in no list, no socket and no delivery,
    let with = |key: &String| house.stranger().with_bearer(key);
    assert_eq!(told(&with(&viewer)), 1);
    let word = hook.to_string();
    for key in &some {
        let client = with(key);
        for path in ["events", "audit", "deliveries", "webhooks"] {
            match client.get::<Value>(&format!("/api/v1/{path}?limit=1000")) {
                Ok(said) => assert!(
                    !said.to_string().contains(&word) && !said.to_string().contains(LOST),
                    "{path}: {said}"
                ),
                refused => assert_eq!(code_of(refused), "FORBIDDEN", "{path}"),
            }
        }
    }
    declare(&house, "gpu-after");
    let is_after = |what: &What| matches!(what, What::Event(told) if told.notice.kind == "node.registered");
    let frames = serde_json::to_string(&of_default.through(is_after)).unwrap();
    assert!(!frames.contains(LOST) && !frames.contains(&word), "{frames}");
    until("the destination of its organisation gets what is its", || {
        let got = others.got().into_iter().map(|got| got.json());
        let told = got.filter(|told| told["data"]["nodeName"] == "gpu-after").count();
        if told == 1 { Ok(()) } else { Err(told) }
    });
    assert!(lost(&others).is_empty(), "{:?}", lost(&others));

    // and no organisation can be called what stands for all of them.
    let named = json!({ "hostname": "gpu-x", "ip_address": "127.9.2.1", "org": OrgId::every() });
    let refused = house.admin().post::<_, Value>("/api/v1/nodes", Some(&named));
    assert_eq!(code_of(refused), "INVALID");
    let named = json!({ "name": "x", "role": "viewer", "orgs": [OrgId::every()] });
    let refused = house.admin().post::<_, Value>("/api/v1/keys", Some(&named));
    assert_eq!(code_of(refused), "INVALID");
}
