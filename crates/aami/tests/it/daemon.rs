//! `aami server` as a service manager sees it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::plane::{Plane, Said, aami};

#[test]
fn it_stops_when_told_and_finds_its_data_again() {
    // Given a control plane with a group in it
    let mut plane = Plane::start();
    assert_eq!(plane.aami(&["groups", "create", "racks"]).exit, 0);
    let key = std::fs::read_to_string(plane.data().join("admin.key")).unwrap();

    // when it is told to stop and started again
    assert_eq!(plane.stop(), 0);
    let gone = plane.aami(&["status"]);
    plane.start_again();

    // then commands in between failed for that reason, and everything is as it was.
    assert_eq!(gone.exit, 1, "{gone:?}");
    assert!(
        gone.err.contains("UNREACHABLE") && gone.err.contains("refused"),
        "{gone:?}"
    );
    let groups = plane.aami(&["groups", "list", "-o", "json"]).json();
    assert_eq!(groups[0]["name"], "racks");
    assert_eq!(
        std::fs::read_to_string(plane.data().join("admin.key")).unwrap(),
        key
    );
    let mode = plane
        .data()
        .join("admin.key")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn its_log_is_json_lines_without_any_secret() {
    let mut plane = Plane::start();
    let created = plane
        .aami(&["tokens", "create", "--name", "t", "-o", "json", "--show-secret"])
        .json();
    plane.stop();
    let log = plane.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(
            entry["level"].is_string() && entry["timestamp"].is_string(),
            "{line}"
        );
    }
    let key = std::fs::read_to_string(plane.data().join("admin.key")).unwrap();
    for secret in [created["token"].as_str().unwrap(), key.trim()] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_second_one_on_the_same_data_says_who_holds_it() {
    let plane = Plane::start();
    let second = Said::by(aami(&["server", "--listen", "127.0.0.1:0", "--data-dir"]).arg(plane.data()));
    assert_eq!(second.exit, 6, "{second:?}");
    assert!(second.err.contains("STORE_LOCKED"), "{second:?}");
}

#[test]
fn an_address_somebody_else_holds_is_named() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let said =
        Said::by(aami(&["server", "--listen", &address, "--data-dir"]).arg(folder.path().join("data")));
    assert_eq!(said.exit, 6, "{said:?}");
    assert!(
        said.err.contains("ADDRESS_IN_USE") && said.err.contains(&address),
        "{said:?}"
    );
}

#[test]
fn a_bad_invocation_and_a_bad_configuration_end_as_service_managers_know_them() {
    let invocation = Said::by(&mut aami(&["server", "--no-such-flag"]));
    assert_eq!(invocation.exit, 64, "{invocation:?}");

    let setting = Said::by(aami(&["server"]).env("AAMI_LISTEN", "here"));
    assert_eq!(setting.exit, 78, "{setting:?}");
    assert!(
        setting.err.contains("listen") && setting.err.contains("the environment"),
        "{setting:?}"
    );

    let file = Said::by(&mut aami(&["server", "--config", "/no/such/file"]));
    assert_eq!(file.exit, 78, "{file:?}");

    for half in ["--tls-cert", "--tls-key"] {
        let said = Said::by(&mut aami(&["server", half, "/etc/ssl/mine.pem"]));
        assert_eq!(said.exit, 78, "{said:?}");
        assert!(
            said.err.contains("tls_cert and tls_key belong together"),
            "{said:?}"
        );
    }
}

#[test]
fn print_config_says_where_each_value_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.yaml");
    std::fs::write(&file, "cluster: from-file\nopen_rate: 7\n").unwrap();
    let said = Said::by(
        aami(&["server", "--print-config", "--drain", "5s", "--config"])
            .arg(&file)
            .env("AAMI_CLUSTER", "from-env")
            .env("AAMI_DRAIN", "9s"),
    );
    assert_eq!(said.exit, 0, "{said:?}");
    let line = |name: &str| {
        let found = said
            .out
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        found.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("cluster"), "cluster from-env the environment");
    assert_eq!(line("open_rate"), "open_rate 7 the file");
    assert_eq!(line("drain"), "drain 5s a flag");
    assert_eq!(line("listen"), "listen 0.0.0.0:8080 default");
}
