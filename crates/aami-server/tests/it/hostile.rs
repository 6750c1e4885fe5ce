//! What strangers send.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use aami_api::register::ExporterInfo;
use aami_model::exporter::ExporterKind;
use serde_json::{Value, json};

use crate::house::{House, Machine, code_of};

#[test]
fn hostile_values_are_refused_by_name_and_leave_nothing() {
    let house = House::new();
    let token = house.token(|t| t.max_uses = Some(100)).token;
    let client = house.stranger();
    let base = || Machine::new("gpu-01", 1);
    let long = "x".repeat(10_000);
    let label = |name: &str, value: &str| {
        base().with(|r| {
            r.labels.0.insert(name.into(), value.into());
        })
    };
    let path = |path: &str| {
        base().with(|r| {
            r.exporters = vec![ExporterInfo {
                metrics_path: Some(path.into()),
                ..ExporterInfo::new(ExporterKind::Custom, 9)
            }];
        })
    };
    let address = |address: &str| base().with(|r| r.ip_address = address.into());
    let cases = [
        (base().with(|r| r.hostname = "a\"b".into()), "INVALID"),
        (base().with(|r| r.hostname = "a\nb".into()), "INVALID"),
        (base().with(|r| r.hostname = long.clone()), "INVALID"),
        (label("__address__", "10.0.0.1:80"), "INVALID"),
        (label("job", "x"), "INVALID"),
        (label("a b", "x"), "INVALID"),
        (label("rack", "a\nb"), "INVALID"),
        (label("rack", &long), "INVALID"),
        (path("/metrics\nfoo"), "INVALID"),
        (path("//evil.example/"), "INVALID"),
        (path(&format!("/{long}")), "INVALID"),
        (address("not an address"), "INVALID"),
        (address("169.254.169.254"), "ADDRESS_REFUSED"),
        (address("::ffff:169.254.169.254"), "ADDRESS_REFUSED"),
        (address("fe80::1"), "ADDRESS_REFUSED"),
        (address("224.0.0.1"), "ADDRESS_REFUSED"),
        (address("0.0.0.0"), "ADDRESS_REFUSED"),
        (base().with(|r| r.machine = Some("short".into())), "INVALID"),
        (base().with(|r| r.machine_id = Some("0".repeat(32))), "INVALID"),
        (base().with(|r| r.node_key = Some("AAAA".into())), "INVALID"),
        (base().with(|r| r.credential_hash = None), "INVALID"),
        (
            base().with(|r| drop(r.metadata.insert("k".into(), json!("x".repeat(17_000))))),
            "INVALID",
        ),
        (
            base().with(|r| r.exporters = vec![ExporterInfo::new(ExporterKind::Custom, 9); 2]),
            "INVALID",
        ),
    ];
    for (machine, code) in cases {
        let shown = format!("{:.80}", serde_json::to_string(&machine.request).unwrap());
        assert_eq!(code_of(machine.register(&client, &token)), code, "{shown}");
    }
    assert!(house.admin().nodes("").unwrap().items.is_empty());
    assert_eq!(house.admin().tokens("").unwrap().items[0].used, 0);
}

fn raw(house: &House, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(house.running().address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(house: &House, token: &str, body: &[u8]) -> String {
    let mut request = format!(
        "POST /api/v1/bootstrap/register HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    raw(house, &request)
}

#[test]
fn malformed_huge_and_deep_json_get_one_sentence() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let huge = format!("{{\"hostname\":\"{}\"}}", "x".repeat(2_000_000));
    for (body, status, code) in [
        (b"{".to_vec(), 400, "MALFORMED"),
        (b"[1,2".to_vec(), 400, "MALFORMED"),
        (b"{\"hostname\": \"\xff\xfe\"}".to_vec(), 400, "MALFORMED"),
        (deep.into_bytes(), 400, "MALFORMED"),
        (huge.into_bytes(), 413, "TOO_LARGE"),
    ] {
        let answer = post(&house, &token, &body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer:.200}"
        );
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer:.400}");
        assert!(answer.contains("application/problem+json"), "{answer:.400}");
        assert!(answer.len() < 2000, "what was sent is not repeated");
    }
}

#[test]
fn a_client_that_never_finishes_its_headers_is_let_go() {
    let house = House::new();
    let mut stream = TcpStream::connect(house.running().address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        .unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    // Whether it is told (408) or just let go, the connection ends by itself.
    assert!(ended.is_ok(), "{ended:?}");
    // And meanwhile everybody else is served.
    assert_eq!(house.stranger().health().unwrap().body.status, "ok");
}

#[test]
fn rubbish_on_the_port_harms_nobody() {
    let house = House::new();
    for rubbish in [
        &b"\x16\x03\x01\x00\x05rubbish"[..],
        b"\x00\x01\x02",
        b"SSH-2.0-x\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nx",
    ] {
        let mut stream = TcpStream::connect(house.running().address()).unwrap();
        let _ = stream.write_all(rubbish);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    assert_eq!(house.stranger().health().unwrap().body.status, "ok");
}

#[test]
fn guessing_tokens_is_slowed_down_and_honest_callers_are_not_named() {
    let house = House::new();
    let client = house.stranger();
    let guess = |n: u32| {
        let secret = aami_model::secret::Secret::from_random(
            aami_model::secret::SecretKind::BootstrapToken,
            "guess",
            [u8::try_from(n % 251).unwrap(); 20],
        );
        code_of(client.with_bearer(secret.reveal()).validate_only())
    };
    let codes: Vec<String> = (0..400).map(guess).collect();
    assert_eq!(codes[0], "TOKEN_INVALID");
    assert_eq!(codes.last().unwrap(), "RATE_LIMITED");
}

#[test]
fn secrets_sent_in_a_query_are_accepted_but_repeated_nowhere() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let answer = raw(
        &house,
        format!("GET /api/v1/bootstrap-tokens/validate?token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains(&token));
}

#[test]
fn downloads_lead_nowhere_but_to_dist() {
    let house = House::new();
    let data = house.folder.path().join("data");
    std::fs::create_dir_all(data.join("dist/amd64")).unwrap();
    std::fs::write(data.join("dist/amd64/aami-agent"), b"agent").unwrap();
    let get = |path: &str| {
        raw(
            &house,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
    };
    assert!(get("/dist/amd64/aami-agent").ends_with("agent"));
    let sum = "d4f0bc5a29de06b510f9aa428f1eedba926012b591fef7a518e776a7c9bd1824";
    assert!(get("/dist/amd64/aami-agent.sha256").ends_with(&format!("{sum}  aami-agent\n")));
    assert!(get("/dist/arm64/aami-agent").contains("AGENT_ARCH_MISSING"));
    for path in [
        "/dist/../admin.key",
        "/dist/..%2fadmin.key",
        "/dist/amd64/..%2f..%2fadmin.key",
        "/dist/%2e%2e/admin.key",
        "/dist/",
    ] {
        let answer = get(path);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer:.200}");
        assert!(!answer.contains("aamik_"), "{path}");
    }
    let range = raw(
        &house,
        b"GET /dist/amd64/aami-agent HTTP/1.1\r\nHost: x\r\nRange: bytes=2-\r\nConnection: close\r\n\r\n",
    );
    assert!(
        range.starts_with("HTTP/1.1 206 ") && range.ends_with("\r\n\r\nent"),
        "{range}"
    );
}

#[test]
fn an_unknown_path_or_method_is_a_problem_too() {
    let house = House::new();
    let admin = house.admin();
    assert_eq!(code_of(admin.get::<Value>("/api/v1/nothing")), "NOT_FOUND");
    assert_eq!(code_of(admin.delete("/api/v1/status")), "METHOD_NOT_ALLOWED");
    assert_eq!(
        code_of(admin.get::<Value>("/api/v1/nodes/..%2f..%2fkeys")),
        "NOT_FOUND"
    );
    assert_eq!(
        code_of(admin.get::<Value>("/api/v1/nodes?limit=100000")),
        "INVALID"
    );
    assert_eq!(code_of(admin.get::<Value>("/api/v1/nodes?label=x")), "INVALID");
}
