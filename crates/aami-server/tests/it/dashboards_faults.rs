//! Dashboards that read slowly, talk nonsense, fall silent, or are connected when the control plane stops.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aami_api::client::Client;
use aami_api::dashboard::{What, Why};
use aami_api::key::CreateKey;
use aami_model::access::Scope;
use serde_json::{Value, json};
use tungstenite::{Bytes, Message};

use crate::dashboards::{Dashboard, call, declare, rows};
use crate::house::{House, until};

/// How many read slowly, and how much is told meanwhile: kept for each of them it would be gigabytes.
const SLOW: usize = 24;
const LARGE: usize = 60 * 1024;
const TOLD: usize = 900;

fn metric(house: &House, name: &str) -> f64 {
    let text = house.admin().text("/metrics").unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .unwrap_or(0.0)
}

/// This process' memory, in bytes: the control plane is part of it.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

fn events_in(house: &House) -> Client {
    let wanted = CreateKey {
        name: "other".into(),
        scopes: vec![Scope::EventsIn],
        ..CreateKey::default()
    };
    let key = house.admin().create_key(&wanted).unwrap();
    house.stranger().with_bearer(&key.key)
}

fn tell(client: &Client, n: usize, size: usize) {
    let _: Value = client
        .post(
            "/events",
            Some(&json!({
                "type": "site.told", "timestamp": "2026-01-01T00:00:00.000Z",
                "data": { "siteId": format!("n{n}"), "text": "x".repeat(size) },
            })),
        )
        .unwrap();
}

#[test]
fn those_who_read_slowly_delay_nobody_cost_nothing_and_catch_up() {
    let house = House::new();
    let admin = house.admin();
    let node = declare(&admin, "gpu-01");
    let mut slow: Vec<Dashboard> = (0..SLOW).map(|_| Dashboard::of_admin(&house)).collect();
    for dashboard in &mut slow {
        dashboard.sync();
    }
    let mut fast = Dashboard::of_admin(&house);
    fast.sync();
    let before = memory();
    let done = AtomicBool::new(false);
    let heard = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut heard = 0;
            while !done.load(Ordering::Acquire) || heard < TOLD {
                if let Some(What::Event(told)) = fast.hear().map(|frame| frame.what)
                    && told.notice.kind == "site.told"
                {
                    heard += 1;
                }
            }
            heard
        });
        let client = events_in(&house);
        for n in 0..TOLD {
            tell(&client, n, LARGE);
        }
        done.store(true, Ordering::Release);
        call(&admin, &format!("/api/v1/nodes/{node}/decommission"));
        reading.join().unwrap()
    });
    // The one that reads has heard all of it, one by one.
    assert_eq!(heard, TOLD);
    let grown = memory().saturating_sub(before);
    println!(
        "{} MB told, {SLOW} did not read: {} MB more memory",
        TOLD * LARGE / 1_000_000,
        grown / 1_000_000
    );
    assert!(grown < 500_000_000, "{grown}");
    // Those that were overtaken are told so, and then see what there is: the row as it is, and every event they missed.
    let (mut overtaken, mut sent_away) = (0, 0);
    for dashboard in slow.iter_mut().take(3) {
        let mut row = String::new();
        let mut events = 0;
        let (mut begun_again, mut came_back) = (false, false);
        loop {
            let Some(frame) = dashboard.hear() else {
                // On a machine so slow that it took nothing for too long, it comes back with what it remembers.
                assert!(!came_back, "it was sent away while it was reading");
                *dashboard = Dashboard::back(&house, &dashboard.remembered());
                (came_back, sent_away) = (true, sent_away + 1);
                continue;
            };
            match frame.what {
                What::Snapshot { reason, .. } => {
                    assert!(came_back || reason == Why::Slow, "{reason:?}");
                    begun_again = true;
                }
                What::Event(told) if told.notice.kind == "site.told" => events += 1,
                What::Status(status) => row = status.status,
                What::Synced if begun_again => break,
                _ if events == TOLD && row == "inactive" => break,
                _ => {}
            }
        }
        assert_eq!((row.as_str(), events), ("inactive", TOLD));
        overtaken += usize::from(begun_again);
    }
    assert!(overtaken + sent_away > 0, "it was not enough to overtake anybody");
    assert!(sent_away > 0 || metric(&house, "aami_dashboard_resyncs_total") >= 1.0);
}

#[test]
fn what_is_no_frame_closes_its_own_socket_and_no_other() {
    let house = House::new();
    let mut good = Dashboard::of_admin(&house);
    good.sync();
    let deep = "[".repeat(4_000);
    for (what, message, code) in [
        ("nonsense", Message::text("nonsense"), "MALFORMED"),
        ("nothing", Message::text(""), "MALFORMED"),
        ("an array", Message::text("[]"), "MALFORMED"),
        (
            "a wrong member",
            Message::text(r#"{"type":"watch","node_ids":7}"#),
            "MALFORMED",
        ),
        ("a deep one", Message::text(deep.as_str()), "MALFORMED"),
        ("a binary one", Message::binary(vec![1, 2, 3]), "MALFORMED"),
        ("a large one", Message::text("x".repeat(5_000)), "TOO_LARGE"),
    ] {
        let mut dashboard = Dashboard::of_admin(&house);
        dashboard.sync();
        dashboard.socket.send(message).unwrap();
        let last = dashboard.last_words();
        assert_eq!(last, Some((code.to_owned(), false)), "{what}");
    }
    // What is only unknown is not minded, nor are pings; too many of either are.
    let mut talker = Dashboard::of_admin(&house);
    talker.sync();
    talker.socket.send(Message::text(r#"{"type":"hum"}"#)).unwrap();
    talker
        .socket
        .send(Message::Ping(Bytes::from_static(b"?")))
        .unwrap();
    declare(&house.admin(), "gpu-01");
    talker.through(|what| matches!(what, What::Status(_)));
    for _ in 0..100 {
        let _ = talker.socket.send(Message::text(r#"{"type":"hum"}"#));
    }
    assert_eq!(talker.last_words(), Some(("RATE_LIMITED".into(), true)));
    // Bytes that are no WebSocket at all.
    let mut raw = Dashboard::of_admin(&house);
    raw.sync();
    raw.socket.get_mut().write_all(&[0xff; 64]).unwrap();
    assert!(std::iter::from_fn(|| raw.hear()).count() < 10);
    good.through(|what| matches!(what, What::Status(_)));
    declare(&house.admin(), "gpu-02");
    good.through(|what| matches!(what, What::Status(_)));
}

#[test]
fn a_dashboard_that_is_gone_without_a_word_is_noticed() {
    let house = House::with(|config| config.heartbeat_timeout = Duration::from_secs(2));
    let mut alive = Dashboard::of_admin(&house);
    alive.sync();
    // It neither reads nor answers any more, as behind a cable that was pulled.
    let gone = Dashboard::of_admin(&house);
    until("both are connected", || {
        match metric(&house, "aami_dashboard_connections") {
            2.0 => Ok(()),
            other => Err(other),
        }
    });
    let (begun, stop) = (Instant::now(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (stop, alive) = (&stop, &mut alive);
        let reading = scope.spawn(move || {
            alive
                .socket
                .get_mut()
                .set_read_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            // Reading answers the question whether it is there.
            while !stop.load(Ordering::Acquire) {
                let _ = alive.socket.read();
            }
        });
        until("the silent one is let go", || {
            match metric(&house, "aami_dashboard_connections") {
                1.0 => Ok(()),
                other => Err(other),
            }
        });
        stop.store(true, Ordering::Release);
        reading.join().unwrap();
    });
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(gone);
    alive
        .socket
        .get_mut()
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    declare(&house.admin(), "gpu-01");
    alive.through(|what| matches!(what, What::Status(_)));
}

#[test]
fn a_stop_tells_everybody_to_come_back_spread() {
    let mut house = House::new();
    let mut all: Vec<Dashboard> = (0..20).map(|_| Dashboard::of_admin(&house)).collect();
    for dashboard in &mut all {
        dashboard.sync();
    }
    let begun = Instant::now();
    house.stop();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for dashboard in &mut all {
        let at = dashboard.last;
        let frame = dashboard.hear().expect("a farewell");
        assert!(
            matches!(frame.what, What::Drain { spread_seconds } if spread_seconds >= 1),
            "{frame:?}"
        );
        // Its number is good for coming back.
        assert_eq!(frame.seq, at);
        assert!(dashboard.hear().is_none());
        assert_eq!(
            dashboard.closed.as_ref().map(|frame| u16::from(frame.code)),
            Some(1012)
        );
    }
}

#[test]
fn what_is_told_agrees_with_what_is_after_a_storm_of_changes() {
    let house = House::new();
    let admin = house.admin();
    let ids: Vec<_> = (0..40).map(|n| declare(&admin, &format!("gpu-{n:02}"))).collect();
    let mut dashboard = Dashboard::of_admin(&house);
    let mut shown = rows(&dashboard.sync());
    std::thread::scope(|scope| {
        for part in ids.chunks(10) {
            let admin = &admin;
            scope.spawn(move || {
                for id in part {
                    call(admin, &format!("/api/v1/nodes/{id}/decommission"));
                    call(admin, &format!("/api/v1/nodes/{id}/restore"));
                    call(admin, &format!("/api/v1/nodes/{id}/decommission"));
                }
            });
        }
    });
    let last = declare(&admin, "last");
    let news = dashboard
        .through(|what| matches!(what, What::Status(status) if status.about.node_id.as_ref() == Some(&last)));
    shown.extend(rows(&news));
    let shown: std::collections::BTreeMap<String, String> = shown.into_iter().collect();
    for node in admin.nodes("?limit=100").unwrap().items {
        assert_eq!(shown[&node.hostname], node.status.name(), "{}", node.hostname);
    }
    let told = news.iter().filter(|frame| matches!(frame.what, What::Event(_)));
    let seqs: Vec<u64> = told.map(|frame| frame.seq).collect();
    let all = admin.events(0, 1_000).unwrap().events;
    let wanted: Vec<u64> = all
        .iter()
        .rev()
        .take(seqs.len())
        .rev()
        .map(|event| event.seq)
        .collect();
    assert_eq!((seqs.len(), seqs), (121, wanted));
}
