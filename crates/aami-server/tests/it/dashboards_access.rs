//! Who may look, and what each of them sees.

use std::time::Duration;

use aami_api::client::Client;
use aami_api::dashboard::{Ticket, What};
use aami_api::key::{CreateKey, CreatedKey};
use aami_model::access::{Role, Scope};
use serde_json::{Value, json};

use crate::dashboards::{Dashboard, call, declare, kinds, rows};
use crate::house::{House, code_of, until};
use crate::link::enrolled;

fn key(house: &House, change: impl FnOnce(&mut CreateKey)) -> CreatedKey {
    let mut wanted = CreateKey {
        name: "dashboard".into(),
        role: Some(Role::Viewer),
        ..CreateKey::default()
    };
    change(&mut wanted);
    house.admin().create_key(&wanted).unwrap()
}

fn of_org(house: &House, org: &str) -> CreatedKey {
    key(house, |wanted| wanted.orgs = vec![org.parse().unwrap()])
}

fn ticket(client: &Client) -> Ticket {
    client.post("/api/v1/tickets", Some(&json!({}))).unwrap()
}

fn refused(house: &House, bearer: Option<&str>, query: &str) -> (u16, String) {
    match Dashboard::open(house, bearer, query) {
        Err(refused) => refused,
        Ok(_) => panic!("let in: {query}"),
    }
}

fn until_gone(house: &House) {
    until("nobody is connected", || {
        let text = house.admin().text("/metrics").unwrap();
        if text.contains("\naami_dashboard_connections 0\n") {
            Ok(())
        } else {
            Err("somebody still is")
        }
    });
}

#[test]
fn each_sees_its_own_organisation_and_nothing_of_another() {
    let house = House::new();
    let (red, blue) = (house.admin_of("red"), house.admin_of("blue"));
    declare(&red, "red-01");
    declare(&blue, "blue-01");
    let (red_key, blue_key) = (of_org(&house, "red"), of_org(&house, "blue"));
    let both = key(&house, |wanted| {
        wanted.orgs = vec!["red".parse().unwrap(), "blue".parse().unwrap()];
    });
    let open = |key: &str| Dashboard::open(&house, Some(key), "").unwrap();
    let mut all = [
        (open(&red_key.key), vec!["red"]),
        (open(&blue_key.key), vec!["blue"]),
        (open(&both.key), vec!["red", "blue"]),
        (Dashboard::of_admin(&house), vec!["red", "blue", "default"]),
    ];
    let mut seen: Vec<Vec<aami_api::dashboard::Frame>> =
        all.iter_mut().map(|(dashboard, _)| dashboard.sync()).collect();
    // Each organisation's own events, rows, and what another control plane tells it.
    let events_in = key(&house, |wanted| {
        wanted.role = None;
        wanted.scopes = vec![Scope::EventsIn];
    });
    let other_plane = house.stranger().with_bearer(&events_in.key);
    for (client, org) in [(&red, "red"), (&blue, "blue"), (&house.admin(), "default")] {
        let node = declare(client, &format!("{org}-02"));
        call(client, &format!("/api/v1/nodes/{node}/decommission"));
        let told: Value = other_plane
            .post(
                "/events",
                Some(&json!({
                    "type": "node.connected", "timestamp": "2026-01-01T00:00:00.000Z",
                    "data": { "nodeId": "far", "nodeName": format!("{org}-far"), "status": "online",
                              "owner": { "orgId": org } },
                })),
            )
            .unwrap();
        assert_eq!(told["accepted"], true);
    }
    // The last of all, which everybody sees, says that nothing else is on its way.
    for (client, org) in [(&red, "red"), (&blue, "blue"), (&house.admin(), "default")] {
        declare(client, &format!("{org}-last"));
    }
    for ((dashboard, orgs), seen) in all.iter_mut().zip(&mut seen) {
        let last = format!("{}-last", orgs.last().unwrap());
        seen.extend(dashboard.through(
            |what| matches!(what, What::Status(status) if status.hostname.as_deref() == Some(&last)),
        ));
        let is_mine = |name: &str| orgs.iter().any(|org| name.starts_with(&format!("{org}-")));
        for (name, _) in rows(seen) {
            assert!(is_mine(&name), "{orgs:?} saw {name}");
        }
        let mut far = Vec::new();
        for frame in seen.iter() {
            match &frame.what {
                What::Event(told) => {
                    assert!(orgs.contains(&told.org.as_str()), "{orgs:?} heard {told:?}");
                    if told.subject == "remote:far" {
                        // As it came, with its place among the others.
                        assert_eq!(told.notice.kind, "node.connected");
                        assert_eq!(told.notice.timestamp.to_string(), "2026-01-01T00:00:00.000Z");
                        far.push(told.notice.data["nodeName"].as_str().unwrap().to_owned());
                    }
                }
                What::Status(status) => assert!(orgs.contains(&status.org.as_str())),
                _ => {}
            }
        }
        let wanted: Vec<String> = orgs.iter().map(|org| format!("{org}-far")).collect();
        assert_eq!(far, wanted);
        let gone = kinds(seen)
            .iter()
            .filter(|kind| *kind == "node.decommissioned")
            .count();
        assert_eq!(gone, orgs.len());
    }
}

#[test]
fn who_may_not_read_does_not_look_on() {
    let house = House::new();
    let (machine, _) = enrolled(&house, "gpu-01", 1);
    let token = house.token(|_| {}).token;
    let discovery = key(&house, |wanted| {
        wanted.role = None;
        wanted.scopes = vec![Scope::Discovery];
    });
    let over = key(&house, |wanted| wanted.ttl_seconds = Some(60));
    let revoked = key(&house, |_| {});
    house
        .admin()
        .delete(&format!("/api/v1/keys/{}", revoked.view.id))
        .unwrap();
    house.forward(Duration::from_secs(61));
    for (who, bearer, expected) in [
        ("nobody", None, (401, "UNAUTHENTICATED")),
        (
            "a wrong key",
            Some("aamik_abc_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            (401, "UNAUTHENTICATED"),
        ),
        (
            "a bootstrap token",
            Some(token.as_str()),
            (401, "UNAUTHENTICATED"),
        ),
        (
            "a key that is over",
            Some(over.key.as_str()),
            (401, "UNAUTHENTICATED"),
        ),
        (
            "a key that was revoked",
            Some(revoked.key.as_str()),
            (401, "UNAUTHENTICATED"),
        ),
        ("a node", Some(machine.credential.as_str()), (403, "FORBIDDEN")),
        (
            "a key for discovery",
            Some(discovery.key.as_str()),
            (403, "FORBIDDEN"),
        ),
    ] {
        let (status, code) = refused(&house, bearer, "");
        assert_eq!((status, code.as_str()), expected, "{who}");
    }
    let client = house.stranger().with_bearer(&discovery.key);
    assert_eq!(
        code_of(client.post::<Value, Value>("/api/v1/tickets", None)),
        "FORBIDDEN"
    );
    // A plain request is told what to do.
    assert_eq!(code_of(house.admin().get::<Value>("/ws")), "MALFORMED");
    assert_eq!(code_of(house.admin().get::<Value>("/ws?after=x")), "MALFORMED");
}

#[test]
fn a_ticket_opens_one_socket_for_whoever_asked_for_it() {
    let house = House::new();
    let (red, blue) = (house.admin_of("red"), house.admin_of("blue"));
    declare(&red, "red-01");
    declare(&blue, "blue-01");
    let viewer = of_org(&house, "red");
    let client = house.stranger().with_bearer(&viewer.key);
    let first = ticket(&client);
    let query = format!("?ticket={}", first.ticket);
    let mut dashboard = Dashboard::open(&house, None, &query).unwrap();
    let names: Vec<String> = rows(&dashboard.sync())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["red-01"]);
    // Not a second one, nor one that is old, made up, cut off, or of a key that is gone.
    let unauthenticated = (401, "UNAUTHENTICATED".to_owned());
    assert_eq!(refused(&house, None, &query), unauthenticated);
    let old = ticket(&client);
    house.forward(Duration::from_secs(31));
    assert_eq!(
        refused(&house, None, &format!("?ticket={}", old.ticket)),
        unauthenticated
    );
    for text in [
        "",
        "x",
        "aamit_",
        &format!("aamit_{}", "0".repeat(40)),
        &first.ticket[..40],
        "..%2f..",
        &viewer.key,
    ] {
        assert_eq!(
            refused(&house, None, &format!("?ticket={text}")),
            unauthenticated,
            "{text}"
        );
    }
    let of_gone = ticket(&client);
    // A plain request cannot be upgraded, and uses nothing up.
    let unused = ticket(&client);
    let path = format!("/ws?ticket={}", unused.ticket);
    assert_eq!(code_of(house.stranger().get::<Value>(&path)), "MALFORMED");
    drop(Dashboard::open(&house, None, &path[3..]).unwrap());
    house
        .admin()
        .delete(&format!("/api/v1/keys/{}", viewer.view.id))
        .unwrap();
    assert_eq!(
        refused(&house, None, &format!("?ticket={}", of_gone.ticket)),
        unauthenticated
    );
    // It is no credential for anything else, and the store knows only its hash.
    let as_key = house.stranger().with_bearer(&ticket(&house.admin()).ticket);
    assert_eq!(code_of(as_key.get::<Value>("/api/v1/nodes")), "UNAUTHENTICATED");
}

#[test]
fn a_race_for_one_ticket_has_one_winner() {
    let house = House::new();
    let ticket = ticket(&house.admin());
    let query = format!("?ticket={}", ticket.ticket);
    let start = std::sync::Barrier::new(8);
    let won = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    Dashboard::open(&house, None, &query).is_ok()
                })
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .filter(|won| *won)
            .count()
    });
    assert_eq!(won, 1);
}

#[test]
fn a_key_that_ends_takes_its_sockets_with_it() {
    let house = House::new();
    let (revoked, over, good) = (
        key(&house, |_| {}),
        key(&house, |wanted| wanted.ttl_seconds = Some(3600)),
        key(&house, |_| {}),
    );
    let mut all: Vec<Dashboard> = [&revoked, &over, &good]
        .iter()
        .map(|key| Dashboard::open(&house, Some(&key.key), "").unwrap())
        .collect();
    for dashboard in &mut all {
        dashboard.sync();
    }
    house
        .admin()
        .delete(&format!("/api/v1/keys/{}", revoked.view.id))
        .unwrap();
    assert_eq!(all[0].last_words(), Some(("UNAUTHENTICATED".into(), false)));
    assert_eq!(
        all[0].closed.as_ref().map(|frame| u16::from(frame.code)),
        Some(1008)
    );
    house.forward(Duration::from_secs(3601));
    assert_eq!(all[1].last_words(), Some(("UNAUTHENTICATED".into(), false)));
    // The third one is still told what happens.
    declare(&house.admin(), "gpu-01");
    all[2].through(|what| matches!(what, What::Status(_)));
    drop(all);
    until_gone(&house);
}

#[test]
fn one_key_cannot_open_sockets_without_end() {
    let house = House::new();
    let (one, other) = (key(&house, |_| {}), key(&house, |_| {}));
    let mut held = Vec::new();
    let refused = loop {
        match Dashboard::open(&house, Some(&one.key), "") {
            Ok(dashboard) => held.push(dashboard),
            Err(refused) => break refused,
        }
        assert!(held.len() < 1_000, "nobody stops it");
    };
    assert_eq!(refused, (429, "RATE_LIMITED".to_owned()));
    // Another key is not made to pay for it, and it may try again soon.
    Dashboard::open(&house, Some(&other.key), "").unwrap().sync();
    until("it may try again", || {
        Dashboard::open(&house, Some(&one.key), "").map(drop)
    });
}
