//! The generated `prometheus.yml`, as written and as promtool reads it.

use std::collections::BTreeMap;
use std::process::Command;

use aami_monitor::Shape;
use aami_monitor::prometheus::Configuration;

use crate::engine::{prometheus, run};

fn full() -> Configuration {
    Configuration {
        control_planes: vec![
            "https://[2001:db8::1]:8080/".into(),
            "http://127.0.0.1:8080".into(),
        ],
        ca_file: Some("ca.pem".into()),
        shape: Shape::Grouped,
        list_file: Some("targets/*.json".into()),
        rule_files: vec!["rules/*.yml".into()],
        alertmanagers: vec!["127.0.0.1:9093".into()],
        external_labels: BTreeMap::from([("replica".into(), "a: \"b\" #c\nd".into())]),
        itself: Some("127.0.0.1:9090".into()),
        ..Configuration::new("true", "", "keys/discovery key", 1)
    }
}

#[test]
fn the_usual_configuration() {
    let configuration = Configuration::new("prod", "http://127.0.0.1:8080", "/etc/prometheus/aami.key", 1);
    insta::assert_snapshot!(configuration.render().unwrap());
}

#[test]
fn the_configuration_with_everything() {
    insta::assert_snapshot!(full().render().unwrap());
}

#[test]
fn promtool_accepts_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    };
    file("keys/discovery key", "aamik_x_y");
    file("ca.pem", CA);
    file("targets/nodes.json", "[]");
    file("rules/none.yml", "groups: []\n");
    let usual = Configuration::new("prod", "http://127.0.0.1:8080", "keys/discovery key", 1);

    for (name, configuration) in [("usual.yml", usual), ("full.yml", full())] {
        let path = file(name, &configuration.render().unwrap());
        let said = run(Command::new(prometheus().join("promtool"))
            .args(["check", "config"])
            .arg(&path));
        assert!(said.contains("is valid prometheus config file syntax"), "{said}");
    }
}

/// A self-signed certificate; promtool reads the file, nothing more.
const CA: &str = "-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIUQ2lN5pxZ2mVNYXI1l3DqJ4v0y0QwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
";
