use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::cli::failure::Failure;
use crate::cli::screen::{Format, Screen};
use crate::cli::surroundings::Surroundings;

use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;
use aami_model::nodeset::NodeSet;

/// A configuration as people write them: with comments, an order of its own and variables.
const WRITTEN: &str = "\
# The GPU cluster in hall 3.
cluster:
  name: hall-3 # never rename
nodes:
  # The old ones
  - {name: old-1, ip: 10.0.0.1}
ssh:
  user: ${FLEET_USER}
";

fn fleet(root: &Path) -> FileFleet {
    fs::create_dir_all(root.join("etc/aami")).unwrap();
    fs::write(root.join("etc/aami/config.yaml"), WRITTEN).unwrap();
    let surroundings = Surroundings {
        variables: [("FLEET_USER".to_owned(), "ops".to_owned())].into(),
        ..Surroundings::default()
    };
    FileFleet::new(
        Place::new(Some(root), None, &surroundings),
        Screen::new(Format::Json),
    )
}

fn node(name: &str, ip: &str) -> NewNode {
    NewNode {
        node: aami_config::NewNode::new(name.parse().unwrap(), ip.parse().unwrap()),
        groups: Vec::new(),
    }
}

fn text(root: &Path) -> String {
    fs::read_to_string(root.join("etc/aami/config.yaml")).unwrap()
}

fn set(names: &str) -> NodeSet {
    names.parse().unwrap()
}

#[test]
fn nodes_are_written_beside_what_a_person_wrote() {
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    let added = fleet.add(&[node("gpu-02", "10.0.0.12"), node("gpu-01", "10.0.0.11")], false);
    assert!(added.unwrap().iter().all(Result::is_ok));
    let text = text(root.path());
    for line in WRITTEN.lines() {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("ops"), "a variable stays one: {text}");
    let mode = fs::metadata(root.path().join("etc/aami/config.yaml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // They are reached as the file says, in an order people expect.
    let members = fleet.members(&Which::all()).unwrap();
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["gpu-01", "gpu-02", "old-1"]);
    assert_eq!((members[0].user.as_str(), members[0].port), ("ops", 22));
}

#[test]
fn a_name_or_address_that_is_taken_stops_all_of_them() {
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    for nodes in [
        vec![node("gpu-01", "10.0.0.11"), node("old-1", "10.0.0.12")],
        vec![node("gpu-01", "10.0.0.1")],
        vec![node("gpu-01", "10.0.0.11"), node("gpu-01", "10.0.0.12")],
        vec![node("gpu-01", "10.0.0.11"), node("gpu-02", "::ffff:10.0.0.11")],
    ] {
        let failure = fleet.add(&nodes, false).unwrap_err();
        assert_eq!(failure.code(), Some(code::NODE_DECLARED), "{failure}");
        assert_eq!(text(root.path()), WRITTEN);
    }
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    assert!(fleet.add(&[node("gpu-01", "10.0.0.11")], true).unwrap()[0].is_ok());
    assert!(fleet.add(&[node("old-1", "10.0.0.11")], true).is_err());
    assert_eq!(text(root.path()), WRITTEN);
}

#[test]
fn a_node_that_is_removed_leaves_the_lists_prometheus_reads() {
    // Given two nodes that were installed,
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    let mut labelled = node("gpu-01", "10.0.0.11");
    labelled.node.labels = Labels::from_iter([("rack", "A1")]);
    fleet
        .add(&[labelled, node("gpu-02", "10.0.0.12")], false)
        .unwrap();
    let installed = ["gpu-01", "gpu-02"].map(|name| Installed {
        name: name.to_owned(),
        exporters: vec![
            Exporter::new(ExporterKind::NodeExporter, 9100),
            Exporter::new(ExporterKind::DcgmExporter, 9400),
        ],
    });
    fleet.installed(&installed).unwrap();
    let list = |name: &str| fs::read_to_string(root.path().join("var/lib/aami/targets").join(name)).unwrap();
    let nodes = list("nodes.json");
    for part in ["10.0.0.11:9100", "10.0.0.12:9100", "hall-3", "A1"] {
        assert!(nodes.contains(part), "{part}: {nodes}");
    }
    // one that is declared and was not installed is no target,
    assert!(!nodes.contains("10.0.0.1:9100"), "{nodes}");
    assert!(list("dcgm.json").contains("10.0.0.12:9400"));
    // when one is removed, then it is in none of them any more.
    fleet.remove(&set("gpu-02")).unwrap();
    assert!(!list("nodes.json").contains("10.0.0.12") && list("nodes.json").contains("10.0.0.11"));
    assert!(!list("dcgm.json").contains("10.0.0.12"));
    assert!(!text(root.path()).contains("gpu-02"));
    assert!(text(root.path()).contains("# The old ones"));
}

#[test]
fn what_a_file_fleet_cannot_do_names_the_way_out() {
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    let failure = fleet.plane("aami nodes rotate").err().unwrap();
    assert_eq!(failure.code(), Some(code::NEEDS_CONTROL_PLANE));
    assert!(failure.to_string().contains("aami nodes rotate"), "{failure}");
    assert!(failure.hint().unwrap().contains("--server"));
    let by_status = Which {
        status: Some(aami_model::node_status::NodeStatus::Online),
        ..Which::all()
    };
    let failure: Failure = fleet.list(&by_status).unwrap_err();
    assert_eq!(failure.code(), Some(code::NEEDS_CONTROL_PLANE));
}

#[test]
fn names_nobody_has_are_told_folded() {
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    let failure = fleet.members(&Which::named(set("old-1,gpu[1-3]"))).unwrap_err();
    assert_eq!(failure.code(), Some(code::NOT_FOUND));
    assert!(failure.to_string().contains("gpu[1-3]"), "{failure}");
}

#[test]
fn without_a_file_the_way_to_one_is_named() {
    let root = tempfile::tempdir().unwrap();
    let place = Place::new(Some(root.path()), None, &Surroundings::default());
    let mut fleet = FileFleet::new(place, Screen::new(Format::Json));
    let failure = fleet.add(&[node("a", "10.0.0.1")], false).unwrap_err();
    assert_eq!(failure.code(), Some(code::FLEET_MISSING));
    assert!(failure.hint().unwrap().contains("aami init"));
}

#[test]
fn an_editor_that_wrote_in_between_keeps_what_it_wrote() {
    let root = tempfile::tempdir().unwrap();
    let fleet = fleet(root.path());
    let by_editor = format!("{WRITTEN}# edited\n");
    let failure = fleet
        .change(|document, _| {
            fs::write(root.path().join("etc/aami/config.yaml"), &by_editor).unwrap();
            document.add_preset("gpu-basic").map(|_| ())
        })
        .unwrap_err();
    assert_eq!(failure.code(), Some(code::FLEET_CHANGED));
    assert_eq!(text(root.path()), by_editor);
}

fn on(name: &str) -> Installed {
    Installed {
        name: name.to_owned(),
        exporters: vec![Exporter::new(ExporterKind::NodeExporter, 9100)],
    }
}

#[test]
fn a_note_that_cannot_be_read_is_told_and_never_begun_anew() {
    // Given a note that is cut off, empty, strange or of a newer program,
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    let note = root.path().join("var/lib/aami/fleet.json");
    fs::create_dir_all(note.parent().unwrap()).unwrap();
    for broken in [
        "",
        "{\"version\": 1, \"nodes\": {\"old-1\"",
        "[]",
        "{\"nodes\": {}}",
        "{\"version\": 1}",
        "{\"version\": 2, \"nodes\": {}}",
    ] {
        fs::write(&note, broken).unwrap();
        // when something would change it, then it is named and stays, and so does the configuration.
        let failures = [
            fleet.installed(&[on("old-1")]).unwrap_err(),
            fleet.introducer().ready().unwrap_err(),
            fleet.remove(&set("old-1")).unwrap_err(),
        ];
        for failure in failures {
            assert_eq!(failure.code(), Some(code::FLEET_INVALID), "{broken}");
            assert!(
                failure.to_string().contains("var/lib/aami/fleet.json"),
                "{failure}"
            );
        }
        assert_eq!(fs::read_to_string(&note).unwrap(), broken);
        assert_eq!(text(root.path()), WRITTEN);
    }
}

#[test]
fn another_configuration_does_not_take_the_lists() {
    // Given a fleet whose note is of an earlier program, which is taken over,
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    let folder = root.path().join("var/lib/aami");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("fleet.json"), "{\"version\": 1, \"nodes\": {}}").unwrap();
    fleet.installed(&[on("old-1")]).unwrap();
    let before = fs::read_to_string(folder.join("fleet.json")).unwrap();
    assert!(
        before.contains("\"/etc/aami/config.yaml\"") && before.contains("hall-3"),
        "{before}"
    );
    // when another configuration installs and removes,
    let other = root.path().join("other.yaml");
    fs::write(
        &other,
        "cluster: {name: lab}\nnodes:\n  - {name: lab-1, ip: 10.9.0.1}\n",
    )
    .unwrap();
    let place = Place::new(Some(root.path()), Some(&other), &Surroundings::default());
    let mut second = FileFleet::new(place, Screen::new(Format::Json));
    let ready = second.introducer().ready().unwrap_err();
    let noted = second.installed(&[on("lab-1")]).unwrap_err();
    second.remove(&set("lab-1")).unwrap();
    // then it is told whose lists they are, and they are as they were.
    for failure in [ready, noted] {
        assert_eq!(failure.code(), Some(code::CONFLICT));
        assert!(failure.to_string().contains("/etc/aami/config.yaml"), "{failure}");
    }
    assert_eq!(fs::read_to_string(folder.join("fleet.json")).unwrap(), before);
    let nodes = fs::read_to_string(folder.join("targets/nodes.json")).unwrap();
    assert!(nodes.contains("10.0.0.1:9100"), "{nodes}");
}

#[test]
fn nodes_that_end_together_are_all_noted_before_they_count_as_done() {
    let root = tempfile::tempdir().unwrap();
    let mut fleet = fleet(root.path());
    let nodes: Vec<NewNode> = (1..=20)
        .map(|number| node(&format!("gpu-{number}"), &format!("10.0.1.{number}")))
        .collect();
    fleet.add(&nodes, false).unwrap();
    let introducer = fleet.introducer();
    introducer.ready().unwrap();
    let note = root.path().join("var/lib/aami/fleet.json");
    std::thread::scope(|scope| {
        for number in 1..=20 {
            let (introducer, note) = (&introducer, &note);
            scope.spawn(move || {
                let name = format!("gpu-{number}");
                introducer.installed(on(&name)).unwrap();
                let text = fs::read_to_string(note).unwrap();
                assert!(text.contains(&format!("\"{name}\"")), "{name}: {text}");
            });
        }
    });
    let list = fs::read_to_string(root.path().join("var/lib/aami/targets/nodes.json")).unwrap();
    assert!((1..=20).all(|number| list.contains(&format!("10.0.1.{number}:9100"))));
}
