//! What fires, asked of many Prometheuses: so many at the same time and no more, whoever asks, and by replicas each of the
//! one beside it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aami_api::prometheus::CreatePrometheus;
use aami_api::rules::{ActiveAlerts, CreateRuleSet};
use aami_model::prometheus::RuleState;
use rig::Place;
use rig::engines::Etcd;
use serde_json::Value;

use crate::house::{House, Machine, until_within};
use crate::rules::custom;
use crate::rules_local::{Seat, loaded};

/// How many Prometheuses there are.
const MANY: u8 = 12;
/// How many of them one question is put to at the same time, and how many all questions are.
const TOGETHER: usize = 4;
const OF_ALL: usize = 8;
/// How long one thinks: long enough for all that are asked at once to be at it at once.
const THINKS: Duration = Duration::from_millis(400);

/// Prometheuses in which nothing fires, all at one address; they count who is with them.
struct Thinking {
    port: u16,
    most: Arc<AtomicUsize>,
}

impl Thinking {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        std::thread::spawn({
            let most = Arc::clone(&most);
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                    std::thread::spawn(move || answer(stream, &now, &most));
                }
            }
        });
        Self { port, most }
    }

    /// How many were with them at the same time, at most, since the last look.
    fn most(&self) -> usize {
        self.most.swap(0, Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, now: &AtomicUsize, most: &AtomicUsize) {
    let head = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = (head.map_while(Result::ok))
        .take_while(|line| !line.is_empty())
        .collect();
    if head.is_empty() {
        return;
    }
    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    std::thread::sleep(THINKS);
    now.fetch_sub(1, Ordering::SeqCst);
    let body = r#"{"status":"success","data":{"alerts":[]}}"#;
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn all_answered(active: &ActiveAlerts) {
    assert_eq!(active.prometheuses.len(), usize::from(MANY), "{active:?}");
    assert!(
        active.prometheuses.iter().all(|one| one.error.is_none()),
        "{active:?}"
    );
}

#[test]
fn so_many_prometheuses_are_asked_at_a_time_however_many_there_are_and_whoever_asks() {
    // Given many nodes with a Prometheus each,
    let thinking = Thinking::new();
    let house = House::new();
    let admin = house.admin();
    for number in 1..=MANY {
        let name = format!("mon-{number:02}");
        let token = house.token(|_| {}).token;
        Machine::new(&name, number)
            .register(&house.stranger(), &token)
            .unwrap();
        let wanted = CreatePrometheus {
            name: name.clone(),
            url: format!("http://127.0.0.1:{}/", thinking.port),
            node: name,
            ..CreatePrometheus::default()
        };
        let _: Value = admin.post("/api/v1/prometheuses", Some(&wanted)).unwrap();
    }
    // when somebody asks what fires, then all of them are asked, a few at a time;
    all_answered(&admin.active_alerts("").unwrap());
    assert_eq!(thinking.most(), TOGETHER);
    // when many ask, then so many are asked for all of them, and everybody is answered.
    let asking = [(); 5].map(|()| {
        let client = house.admin();
        std::thread::spawn(move || client.active_alerts("").unwrap())
    });
    for one in asking {
        all_answered(&one.join().unwrap());
    }
    assert_eq!(thinking.most(), OF_ALL);
}

#[test]
fn replicas_bring_rules_to_the_prometheus_beside_each_and_ask_that_one_alone() {
    // Given two replicas on one store, each beside a Prometheus of its own,
    let etcd = Etcd::start(Place::Loopback).unwrap();
    let url = format!("etcd://{}", etcd.endpoint());
    let seats = [Seat::new(), Seat::new()];
    let prometheuses = seats.each_ref().map(Seat::start);
    let [first, mut second] = seats.each_ref().map(|seat| {
        seat.house_with(|config| {
            config.store.clone_from(&url);
        })
    });
    second.admin_key.clone_from(&first.admin_key);
    let admin = first.admin();
    // when a rule is made by one of them, then both Prometheuses have it, as two that are told apart,
    admin
        .create_rule_set(&CreateRuleSet {
            custom: vec![custom("Mine", "up == 1")],
            ..CreateRuleSet::default()
        })
        .unwrap();
    until_within(Duration::from_secs(90), "both have it", || {
        let seen = admin.prometheuses("").unwrap().items;
        let names: BTreeSet<&str> = seen.iter().map(|one| one.prometheus.name.as_str()).collect();
        let all_have = prometheuses
            .iter()
            .all(|one| loaded(one).contains(&"Mine".to_owned()));
        match names.len() == 2 && all_have && seen.iter().all(|one| one.state == RuleState::Loaded) {
            true => Ok(()),
            false => Err(seen),
        }
    });
    // and each replica hears the one beside it, and says why it does not hear the other.
    let heard = |house: &House| -> BTreeSet<String> {
        let active = house.admin().active_alerts("").unwrap();
        assert_eq!(active.prometheuses.len(), 2, "{active:?}");
        let (well, other): (Vec<_>, Vec<_>) = active.prometheuses.iter().partition(|one| one.error.is_none());
        assert_eq!((well.len(), other.len()), (1, 1), "{active:?}");
        let why = other[0].error.as_deref().unwrap_or_default();
        assert!(why.contains("on its own machine"), "{active:?}");
        well.into_iter().map(|one| one.name.clone()).collect()
    };
    let (one, two) = (heard(&first), heard(&second));
    assert!(one.is_disjoint(&two), "{one:?} {two:?}");
    // When one replica is away, then its Prometheus keeps what it has, and the other is brought what is new.
    second.stop();
    admin.delete_rule_set("global").unwrap();
    until_within(
        Duration::from_secs(60),
        "the rule is gone there",
        || match loaded(&prometheuses[0]).contains(&"Mine".to_owned()) {
            true => Err("it is loaded"),
            false => Ok(()),
        },
    );
    assert!(loaded(&prometheuses[1]).contains(&"Mine".to_owned()));
}
