//! The gate, for those who come from elsewhere: over which wire, how often, how slowly, and for whom a proxy speaks.

use std::time::{Duration, Instant};

use aami_server::Config;
use aami_server::config::Network;
use serde_json::{Value, json};

use crate::house::{House, Machine};

const FAR: &str = "192.0.2.7";
const PROXY: &str = "10.0.0.5";

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: aami\r\nConnection: close\r\n{headers}\r\n")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The code of a refusal, which is a problem document and nothing else.
fn code(answer: &str) -> String {
    assert_eq!(
        header(answer, "content-type"),
        Some("application/problem+json"),
        "{answer}"
    );
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(body).unwrap();
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
    problem["code"].as_str().unwrap().to_owned()
}

/// Asks the same until it is told to wait; how often it was answered before. A burst that never ends is a failure.
fn until_limited(mut ask: impl FnMut(usize) -> String) -> usize {
    for n in 0..100 {
        let answer = ask(n);
        match status(&answer) {
            "200" => {}
            "429" => {
                assert_eq!(code(&answer), "RATE_LIMITED");
                let wait: u64 = header(&answer, "retry-after").unwrap().parse().unwrap();
                assert!((1..60).contains(&wait), "{wait}");
                return n;
            }
            _ => panic!("{answer}"),
        }
    }
    panic!("nobody is ever limited");
}

fn slow(config: &mut Config) {
    config.open_rate = 1;
}

#[test]
fn who_asks_open_routes_too_often_waits_and_nobody_else_does() {
    let house = House::with(|config| {
        slow(config);
        config.plain_http = true;
    });
    // Given somebody who fetches the script again and again, until they are told to wait,
    let answered = until_limited(|_| house.heard_from(FAR, &get("/bootstrap.sh", "")));
    assert!(answered >= 1);
    for path in [
        "/bootstrap.sh",
        "/",
        "/dist/amd64/aami-agent",
        "/docs/explain/AAMI-P-0012",
    ] {
        assert_eq!(status(&house.heard_from(FAR, &get(path, ""))), "429", "{path}");
    }
    // then health is answered all the same, and so are a credential that works and everybody else.
    for path in ["/health", "/health/live", "/health/ready", "/api/v1/health"] {
        assert_eq!(status(&house.heard_from(FAR, &get(path, ""))), "200", "{path}");
    }
    let key = format!("Authorization: Bearer {}\r\n", house.admin_key);
    assert_eq!(
        status(&house.heard_from(FAR, &get("/api/v1/status", &key))),
        "200"
    );
    assert_eq!(
        status(&house.heard_from("192.0.2.8", &get("/bootstrap.sh", ""))),
        "200"
    );
}

#[test]
fn a_trusted_proxy_says_who_asks_and_nobody_else_does() {
    let house = House::with(|config| {
        slow(config);
        config.trusted_proxies = vec![Network::parse("10.0.0.0/8").unwrap()];
    });
    let via = |peer: &str, clients: &str| {
        let forwarded = format!("X-Forwarded-For: {clients}\r\n");
        house.heard_from(peer, &get("/bootstrap.sh", &forwarded))
    };
    // Given a proxy that ends TLS, then plain HTTP is answered whole, and each of those behind it has a rate of their
    // own: the last address named is the one that the proxy itself saw.
    until_limited(|n| via(PROXY, &format!("198.51.100.{n}, 203.0.113.7")));
    assert_eq!(status(&via(PROXY, "203.0.113.7, 203.0.113.8")), "200");

    // Somebody who is no proxy may name whom they like: they speak plain HTTP from elsewhere,
    for named in ["127.0.0.1", "10.0.0.5", "203.0.113.9"] {
        let refused = via(FAR, named);
        assert_eq!(
            (status(&refused), code(&refused).as_str()),
            ("403", "TLS_REQUIRED")
        );
    }
    // and where that is allowed, all they say counts as theirs.
    let open = House::with(|config| {
        slow(config);
        config.plain_http = true;
        config.trusted_proxies = vec![Network::parse("10.0.0.0/8").unwrap()];
    });
    until_limited(|n| {
        let forwarded = format!("X-Forwarded-For: 203.0.113.{n}\r\n");
        open.heard_from(FAR, &get("/bootstrap.sh", &forwarded))
    });
}

fn register(house: &House, peer: &str, headers: &str, token: &str, machine: &Machine) -> String {
    let body = serde_json::to_string(&machine.request).unwrap();
    let proof = machine.sign(body.as_bytes());
    let request = format!(
        "POST /api/v1/bootstrap/register HTTP/1.1\r\nHost: aami\r\nConnection: close\r\nContent-Length: {}\r\n\
         Authorization: Bearer {token}\r\nAAMI-Proof: {proof}\r\n{headers}\r\n{body}",
        body.len()
    );
    house.heard_from(peer, &request)
}

/// Asks whether a token is good for a machine of this address, and opens a run.
fn judged(house: &House, peer: &str, token: &str, address: &str) -> String {
    let address = aami_api::url::encoded(address);
    let request = format!(
        "POST /api/v1/bootstrap-tokens/validate?address={address} HTTP/1.1\r\nHost: aami\r\nConnection: close\r\n\
         Content-Length: 0\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    house.heard_from(peer, &request)
}

fn outward() -> Option<String> {
    let found = crate::wire::outward().map(|own| own.to_string());
    assert!(
        found.is_some() || std::env::var_os("CI").is_none(),
        "this machine has no address but loopback"
    );
    found
}

#[test]
fn only_from_this_machine_may_a_node_be_this_machine() {
    let strict = House::with(|config| {
        config.plain_http = true;
        config.trusted_proxies = vec![Network::parse("127.0.0.1").unwrap()];
    });
    let token = strict.token(|t| t.max_uses = Some(20)).token;
    let at = |address: &str| {
        Machine::new("gpu-01", 1).with(|r| {
            r.ip_address = address.into();
            r.exporters.clear();
        })
    };
    // Given a registrant from elsewhere that calls itself this machine, or something link-local,
    let own = outward();
    let local = ["127.0.0.1", "127.9.2.1", "::1"]
        .into_iter()
        .chain(own.as_deref());
    for address in local.chain(["169.254.1.1", "fe80::7"]) {
        let refused = register(&strict, FAR, "", &token, &at(address));
        assert_eq!(code(&refused), "ADDRESS_REFUSED", "{address}");
        // also when it asks beforehand, as an installer does before it changes anything,
        assert_eq!(code(&judged(&strict, FAR, &token, address)), "ADDRESS_REFUSED");
    }
    assert_eq!(code(&judged(&strict, FAR, &token, "x\"y")), "INVALID");
    let runs: Value = strict.admin().get("/api/v1/runs").unwrap();
    assert_eq!(runs["items"], json!([]), "none was opened");
    assert_eq!(status(&judged(&strict, FAR, &token, "192.0.2.9")), "200");
    // while who has no good token is told of no address whose it is,
    let nobody = judged(&strict, FAR, "nonsense", "127.0.0.1");
    assert_eq!(code(&nobody), "TOKEN_FOREIGN");
    // also through a proxy on this machine, then it is refused,
    let forwarded = format!("X-Forwarded-For: {FAR}\r\n");
    let refused = register(&strict, "127.0.0.1", &forwarded, &token, &at("127.9.2.1"));
    assert_eq!(code(&refused), "ADDRESS_REFUSED");
    assert_eq!(strict.admin().nodes("").unwrap().items.len(), 0);
    // and what comes from here is not.
    assert_eq!(
        status(&register(&strict, "127.0.0.1", "", &token, &at("127.9.2.1"))),
        "200"
    );

    // The configuration opens either, and not the other with it.
    for (open_local, address, other) in [
        (true, "127.9.2.1", "169.254.1.1"),
        (false, "169.254.1.1", "127.9.2.1"),
    ] {
        let open = House::with(|config| {
            config.plain_http = true;
            (config.allow_local_nodes, config.allow_link_local_nodes) = (open_local, !open_local);
        });
        let token = open.token(|t| t.max_uses = Some(20)).token;
        assert_eq!(
            code(&register(&open, FAR, "", &token, &at(other))),
            "ADDRESS_REFUSED"
        );
        assert_eq!(
            status(&register(&open, FAR, "", &token, &at(address))),
            "200",
            "{address}"
        );
        if let Some(own) = own.as_deref().filter(|_| open_local) {
            assert_eq!(status(&register(&open, FAR, "", &token, &at(own))), "200");
        }
    }
}

/// Everything but the second half of a body.
fn half_a_body(house: &House) -> String {
    let body = json!({ "name": "never whole" }).to_string();
    let (half, _) = body.split_at(body.len() / 2);
    format!(
        "POST /api/v1/groups HTTP/1.1\r\nHost: aami\r\nConnection: close\r\nContent-Length: {}\r\n\
         Authorization: Bearer {}\r\n\r\n{half}",
        body.len(),
        house.admin_key,
    )
}

#[test]
fn a_body_that_does_not_come_is_waited_for_so_long_and_no_longer() {
    let house = House::with(|config| config.patience.body = Duration::from_millis(300));
    let begun = Instant::now();
    let answer = house.heard_from("127.0.0.1", &half_a_body(&house));
    assert_eq!((status(&answer), code(&answer).as_str()), ("408", "TIMED_OUT"));
    assert!(
        answer.contains("the body did not arrive within 0.3 s"),
        "{answer}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(house.admin().groups("").unwrap().items.is_empty());
}

#[test]
fn a_request_as_a_whole_is_answered_within_its_time() {
    let house = House::with(|config| {
        (config.patience.body, config.patience.request) = (Duration::from_secs(300), Duration::from_secs(2));
    });
    let answer = house.heard_from("127.0.0.1", &half_a_body(&house));
    assert_eq!((status(&answer), code(&answer).as_str()), ("408", "TIMED_OUT"));
    assert!(!answer.contains("the body did not arrive"), "{answer}");
    // It is counted as what it was.
    let metrics = house.admin().text("/metrics").unwrap();
    assert!(metrics.contains("code=\"TIMED_OUT\"} 1"), "{metrics}");
}
