//! A first configuration, and what it is made into.

use std::os::unix::fs::PermissionsExt as _;

use aami_model::exporter::{Exporter, ExporterKind};
use clap::Parser;

use super::*;
use crate::fleet::{Fleet as _, Installed};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    init: Init,
}

fn init(words: &[&str]) -> Result<Exit, Failure> {
    let line = Line::try_parse_from(std::iter::once("init").chain(words.iter().copied())).unwrap();
    line.init.run(&Surroundings::default())
}

#[test]
fn a_configuration_is_made_once_and_stays() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    // A name that cannot be one is refused before anything is written.
    assert!(init(&["--root", at, "--no-install", "--cluster", "hall 3"]).is_err());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    assert_eq!(
        init(&["--root", at, "--no-install", "--cluster", "hall-3"]).unwrap(),
        Exit::Ok
    );
    let path = root.path().join("etc/aami/config.yaml");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for folder in ["prometheus", "grafana", "targets"] {
        assert!(root.path().join("var/lib/aami").join(folder).is_dir(), "{folder}");
    }
    let place = Place::new(Some(root.path()), None, &Surroundings::default());
    let config = place.read().unwrap().unwrap().read.config;
    assert_eq!(config.cluster.name, "hall-3");
    assert_eq!(config.alerts.presets, ["gpu-production"]);
    // Once more it is left alone, whatever is in it.
    fs::write(&path, "cluster: {name: mine}\n").unwrap();
    init(&["--root", at, "--no-install", "--cluster", "other"]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "cluster: {name: mine}\n");
    // A broken one is told, and nothing is built on it.
    fs::write(&path, "cluster: [\n").unwrap();
    let failure = init(&["--root", at, "--no-install"]).unwrap_err();
    assert_eq!(failure.code(), Some(code::FLEET_INVALID));
}

#[test]
fn a_label_that_was_edited_by_hand_arrives_in_the_lists() {
    // Given a node that was installed,
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap();
    let place = Place::new(Some(root.path()), None, &Surroundings::default());
    let declare = |rack: &str| {
        let text = format!(
            "cluster: {{name: c}}\nnodes:\n  - {{name: gpu-01, ip: 10.0.0.1, labels: {{rack: {rack}}}}}\n"
        );
        fs::write(&place.config, text).unwrap();
    };
    init(&["--root", at]).unwrap();
    declare("A1");
    let installed = Installed {
        name: "gpu-01".to_owned(),
        exporters: vec![Exporter::new(ExporterKind::NodeExporter, 9100)],
    };
    let mut fleet = FileFleet::new(place.clone(), Screen::new(Format::Table));
    fleet.installed(&[installed]).unwrap();
    let list = || fs::read_to_string(place.path("/var/lib/aami/targets/nodes.json")).unwrap();
    assert!(list().contains("A1"), "{}", list());
    // when its label is edited, then looking changes nothing, and init brings it there.
    declare("B2");
    init(&["--root", at, "--dry-run"]).unwrap();
    assert!(list().contains("A1"), "{}", list());
    init(&["--root", at]).unwrap();
    assert!(list().contains("B2") && !list().contains("A1"), "{}", list());
}

#[test]
fn a_dry_run_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    init(&["--root", root.path().to_str().unwrap(), "--dry-run"]).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn what_the_first_configuration_says_is_what_holds_without_it() {
    let place = Place::new(None, None, &Surroundings::default());
    let first = place
        .parse(FIRST.replace(CLUSTER, "default").into_bytes())
        .unwrap();
    let usual = place.usual().unwrap();
    assert!(first.read.warnings.is_empty(), "{:?}", first.read.warnings);
    let (first, usual) = (first.read.config, usual.read.config);
    assert_eq!(
        (&first.ssh, &first.prometheus, &first.grafana),
        (&usual.ssh, &usual.prometheus, &usual.grafana)
    );
    assert_eq!(first.notifications, usual.notifications);
}

#[test]
fn a_component_nobody_knows_is_named_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let failure = init(&[
        "--root",
        root.path().to_str().unwrap(),
        "--components",
        "grafanna",
    ])
    .unwrap_err();
    assert!(failure.to_string().contains("grafanna"), "{failure}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
