//! One port for TLS and plain HTTP, trust by pin, and the script that enrols.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use aami_api::client::{ClientError, Pin, Settings, Trust, pinned_ca};
use serde_json::Value;

use crate::house::{House, Machine, code_of, until};

#[test]
fn one_port_speaks_tls_and_to_this_machine_plain_http() {
    let house = House::new();
    assert_eq!(house.stranger().health().unwrap().body.service, "aami");
    assert_eq!(house.encrypted().health().unwrap().body.service, "aami");
}

#[test]
fn a_pin_leads_to_the_ca_and_a_wrong_one_nowhere() {
    let house = House::new();
    let url = house.base.replace("http:", "https:");
    let pin: Pin = house.running().pin().unwrap().parse().unwrap();
    let ca = pinned_ca(&url, pin, Duration::from_secs(5)).unwrap();
    assert_eq!(
        ca.replace('\n', ""),
        house.running().ca().unwrap().replace(['\n', '\r'], "")
    );
    let other: Pin = House::new().running().pin().unwrap().parse().unwrap();
    let error = pinned_ca(&url, other, Duration::from_secs(5)).unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
}

#[test]
fn a_control_plane_with_another_ca_is_not_trusted() {
    let house = House::new();
    let mut settings = Settings::new(house.base.replace("http:", "https:"));
    settings.trust = Trust::Only(House::new().running().ca().unwrap().to_owned());
    let client = aami_api::client::Client::new(&settings).unwrap();
    let error = client.health().unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
}

#[test]
fn plain_http_from_elsewhere_gets_health_and_the_https_address() {
    // Listening on all addresses, asked at this machine's outward one: not loopback.
    let house = House::with(|config| config.listen = "0.0.0.0:0".parse().unwrap());
    let port = house.running().address().port();
    let Some(outward) = outward() else {
        assert!(
            std::env::var_os("CI").is_none(),
            "this machine has no address but loopback"
        );
        println!("skipped: this machine has no address but loopback");
        return;
    };
    let settings = Settings::new(format!("http://{outward}:{port}"));
    let client = aami_api::client::Client::new(&settings)
        .unwrap()
        .with_bearer(&house.admin_key);
    assert_eq!(client.health().unwrap().body.status, "ok");
    match client.status() {
        Err(ClientError::Refused(problem)) => {
            assert_eq!((problem.code.as_str(), problem.status), ("TLS_REQUIRED", 403));
            assert!(
                problem.detail.contains(&format!("https://{outward}:{port}")),
                "{}",
                problem.detail
            );
        }
        other => panic!("{other:?}"),
    }
    let open = House::with(|config| {
        config.listen = "0.0.0.0:0".parse().unwrap();
        config.plain_http = true;
    });
    let settings = Settings::new(format!("http://{outward}:{}", open.running().address().port()));
    let client = aami_api::client::Client::new(&settings)
        .unwrap()
        .with_bearer(&open.admin_key);
    client.status().unwrap();
}

#[test]
fn a_certificate_of_ones_own_is_shown_and_the_one_line_trusts_what_the_system_trusts() {
    // Given a certificate for this address, by a CA that is not ours
    let folder = tempfile::tempdir().unwrap();
    let mut of_ca = rcgen::CertificateParams::default();
    of_ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(of_ca, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca).unwrap();
    let [cert_file, key_file] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert_file, leaf.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let house = House::with(|config| {
        (config.tls_cert, config.tls_key) = (Some(cert_file.clone()), Some(key_file));
    });

    // then whoever trusts that CA is answered, and whoever trusts another is not,
    let trusting = |pem: &str| {
        let mut settings = Settings::new(house.base.replace("http:", "https:"));
        settings.trust = Trust::Only(pem.to_owned());
        aami_api::client::Client::new(&settings).unwrap()
    };
    assert_eq!(trusting(&ca.pem()).health().unwrap().body.status, "ok");
    let other = House::new();
    let error = trusting(other.running().ca().unwrap()).health().unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
    // there is no CA of ours, and nothing is pinned,
    assert_eq!((house.running().ca(), house.running().pin()), (None, None));
    assert!(!house.folder.path().join("data/tls").exists());
    assert_eq!(code_of(house.stranger().text("/ca.pem")), "NOT_FOUND");
    // and what is pasted on a node leaves trust to the system, with curl and with wget.
    let made = house.token(|_| {});
    assert!(made.one_line.starts_with("curl -fsSL -H "), "{}", made.one_line);
    assert!(!made.one_line.contains("--pinnedpubkey"), "{}", made.one_line);
    let wget = made.one_line_wget.unwrap();
    assert!(
        wget.starts_with("wget -nv -O- ") && !wget.contains("--no-check"),
        "{wget}"
    );
    // Where the system does not trust it, wget says so and the shell gets nothing to run.
    let typed = Command::new("sh")
        .args(["-c", &wget.replace("| sudo sh", "| sh -x")])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&typed.stderr);
    assert!(said.contains("certificate") && !said.contains("+ "), "{said}");
    assert!(typed.stdout.is_empty(), "{typed:?}");
    let script = house
        .stranger()
        .with_bearer(&made.token)
        .text("/bootstrap.sh")
        .unwrap();
    assert!(!script.contains("BEGIN CERTIFICATE"));

    // A key that is not the certificate's is refused before anything is served.
    let stray = folder.path().join("stray.pem");
    std::fs::write(&stray, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let (chain, key) = (read(&cert_file), read(&stray));
    let error = aami_server::judge_certificate((&cert_file, &chain), (&stray, &key)).unwrap_err();
    assert_eq!(error.code().symbol, "CONFIG_INVALID");
}

pub fn outward() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_loopback())
}

#[test]
fn the_script_is_rendered_for_its_token_and_says_why_a_bad_one_is_refused() {
    let house = House::new();
    let token = house.token(|_| {}).token;
    let script = house
        .stranger()
        .with_bearer(&token)
        .text("/bootstrap.sh")
        .unwrap();
    assert!(script.contains(&token) && script.contains("BEGIN CERTIFICATE"));
    let generic = house.stranger().text("/bootstrap.sh").unwrap();
    assert!(generic.contains("server=''") && !generic.contains("BEGIN CERTIFICATE"));

    // A bad token gets a script that exits 4 with sentence, code and hint.
    house
        .admin()
        .delete(&format!(
            "/api/v1/bootstrap-tokens/{}",
            token.split('_').nth(1).unwrap()
        ))
        .unwrap();
    let refused = house
        .stranger()
        .with_bearer(&token)
        .text("/bootstrap.sh")
        .unwrap();
    assert!(!refused.contains(&token));
    let ran = Command::new("sh").args(["-c", &refused]).output().unwrap();
    assert_eq!(ran.status.code(), Some(4));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("has been revoked. [AAMI-E-0004]") && said.contains("hint: "),
        "{said}"
    );
}

#[test]
fn a_stop_lets_what_has_begun_finish() {
    let mut house = House::new();
    let token = house.token(|t| t.max_uses = Some(200)).token;
    let (client, count) = (house.stranger(), 60_u8);
    let (told, done) = std::sync::mpsc::channel();
    let registering = std::thread::spawn(move || {
        let mut known = Vec::new();
        for n in 0..count {
            match Machine::new(&format!("gpu-{n}"), n + 1).register(&client, &token) {
                Ok(answer) => known.push(answer.node.id),
                Err(_) => break,
            }
            let _ = told.send(());
        }
        known
    });
    // In the middle of it.
    for _ in 0..5 {
        done.recv().unwrap();
    }
    house.stop();
    let known = registering.join().unwrap();
    // Everybody who got an answer is there.
    let house = house.restart(|_| {});
    for id in known {
        house.admin().node(&id).unwrap();
    }
}

#[test]
fn a_stop_waits_for_the_answer_of_a_request_that_is_under_way() {
    // Given a request of which the body is still to come, and the control plane waits for it,
    let mut house = House::new();
    let address = house.running().address();
    let body = r#"{"name":"kept"}"#;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST /api/v1/groups HTTP/1.1\r\nHost: aami\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        house.admin_key,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    // when the control plane stops,
    let stopping = std::thread::spawn(move || {
        house.stop();
        house
    });
    // then nobody new is taken in,
    until("new connections are refused", || {
        match TcpStream::connect(address) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(!stopping.is_finished());
    // and the one under way is answered, and what it made is there.
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let house = stopping.join().unwrap().restart(|_| {});
    let kept = house.admin().groups("").unwrap().items;
    assert_eq!(
        kept.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(),
        ["kept"]
    );
}

#[test]
fn a_stop_does_not_wait_for_requests_that_are_not_whole() {
    // Given somebody who sent half of the headers of a first request, and somebody who did so after a whole one
    let mut house = House::new();
    let whole = "GET /health/live HTTP/1.1\r\nHost: aami\r\n\r\n";
    let half = &whole[..whole.len() - 2];
    let connect = |says: &str| {
        let mut stream = TcpStream::connect(house.running().address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(says.as_bytes()).unwrap();
        stream
    };
    let mut first = connect(half);
    let mut second = connect(whole);
    let mut answer = [0; 12];
    second.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    second.write_all(half.as_bytes()).unwrap();
    for _ in 0..20 {
        house.stranger().health().unwrap();
    }
    // when the control plane stops, then it waits for neither of them,
    let begun = Instant::now();
    house.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // and both are told that nothing more comes.
    let mut rest = Vec::new();
    for stream in [&mut first, &mut second] {
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn the_checked_in_api_description_is_the_one_that_is_served() {
    let house = House::new();
    let served: Value = house.stranger().get("/api/v1/openapi.json").unwrap();
    assert_eq!(served, aami_server::openapi());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/aami-v1.json");
    if std::env::var_os("AAMI_WRITE_OPENAPI").is_some() {
        std::fs::write(
            path,
            format!("{}\n", serde_json::to_string_pretty(&served).unwrap()),
        )
        .unwrap();
    }
    let checked_in: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(
        checked_in == served,
        "openapi/aami-v1.json is not what is served; run `cargo xtask openapi`"
    );
}

#[test]
fn a_person_opening_the_address_sees_a_true_page() {
    let house = House::new();
    let page = house.stranger().text("/").unwrap();
    assert!(
        page.contains("AAMI control plane") && page.contains("answers"),
        "{page}"
    );
    let explained = house.stranger().text("/docs/explain/AAMI-P-0012").unwrap();
    assert!(explained.contains("PORT_IN_USE"), "{explained}");
    assert_eq!(
        code_of(house.stranger().text("/docs/explain/AAMI-P-9999")),
        "NOT_FOUND"
    );
}

#[test]
fn all_admin_keys_lost_are_recovered_on_the_server_machine() {
    let mut house = House::new();
    let url = format!("sqlite:{}", house.folder.path().join("data/store.db").display());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let recover = || {
        runtime.block_on(aami_server::recover_admin_key(
            &url,
            "recovered",
            &aami_server::World::system(),
        ))
    };
    // Not while the control plane holds the store.
    assert_eq!(recover().unwrap_err().code().symbol, "STORE_LOCKED");
    house.stop();
    let key = recover().unwrap();
    let house = house.restart(|_| {});
    let recovered = house.stranger().with_bearer(key.reveal());
    let audit = recovered.audit(0, 1000).unwrap().entries;
    assert!(
        audit
            .iter()
            .any(|entry| entry.action == "key.recover" && entry.actor == "store")
    );
}
