//! What an operator changed after us is never lost and never called ours.

use std::sync::Arc;

use aami_install::checkpoint::Act;
use aami_install::doubles::CutOff;
use aami_install::effect::Placement;
use aami_install::{Content, Effect, Mode, Plan};

use crate::house::{House, path};
use crate::plan::{self, Wants};

#[test]
fn uninstalling_keeps_an_edit_beside_the_restored_original() {
    let house = House::new();
    let before = house.picture();
    house.install(&plan::node(&house));
    // Given edits of files of ours, one over an original and one where nothing was,
    house.write("etc/default/node_exporter", "ARGS=--mine\n", 0o644);
    house.write(
        "etc/systemd/system/node_exporter.service",
        "[Service]\nExecStart=/bin/true\n",
        0o600,
    );
    // when the plan is taken back,
    let report = house.uninstall(&plan::node(&house));
    // then the edits lie beside, are named, and all else is as it was.
    let kept: Vec<_> = report.kept.iter().map(ToString::to_string).collect();
    assert_eq!(
        kept,
        [
            "/etc/systemd/system/node_exporter.service.aami-kept",
            "/etc/default/node_exporter.aami-kept"
        ]
    );
    assert_eq!(house.read("etc/default/node_exporter.aami-kept"), "ARGS=--mine\n");
    assert_eq!(
        house.read("etc/default/node_exporter"),
        "ARGS=--the-operators-own\n"
    );
    for path in &kept {
        std::fs::remove_file(house.real(path)).unwrap();
    }
    house
        .picture()
        .must_be(&before, "after the kept edits are removed");
}

/// A plan of one file that is the operator's to edit.
fn for_the_operator() -> Plan {
    let step = Wants::step("rules", &[], || {
        let first = Content::bytes("# yours\n");
        let file = Placement::new(path("/etc/rules.yaml"), first, 0o644, None);
        vec![Effect::WriteFile(file.for_the_operator())]
    });
    Plan::new("rules", "Rules", vec![step]).unwrap()
}

#[test]
fn what_an_operator_wrote_before_us_stays_as_it_is() {
    let house = House::new();
    house.write("etc/rules.yaml", "mine: true\n", 0o600);
    let before = house.picture();
    house.install(&for_the_operator());
    assert_eq!(house.read("etc/rules.yaml"), "mine: true\n");
    house.uninstall(&for_the_operator());
    house.picture().must_be(&before, "a file nobody of us touched");
}

#[test]
fn what_an_operator_made_of_a_first_version_is_put_beside() {
    let house = House::new();
    house.install(&for_the_operator());
    house.write("etc/rules.yaml", "mine: true\n", 0o644);
    // No run takes it for damage,
    house.run_as(&for_the_operator(), Mode::Repair, None).unwrap();
    assert_eq!(house.read("etc/rules.yaml"), "mine: true\n");
    // and uninstalling loses none of it.
    house.uninstall(&for_the_operator());
    assert!(!house.exists("etc/rules.yaml"));
    assert_eq!(house.read("etc/rules.yaml.aami-kept"), "mine: true\n");
}

#[test]
fn repairing_over_an_edit_keeps_it_once() {
    let house = House::new();
    house.install(&plan::node(&house));
    let wanted = house.read("etc/default/node_exporter");
    for edit in ["ARGS=--mine\n", "ARGS=--mine\n", "ARGS=--another\n"] {
        house.write("etc/default/node_exporter", edit, 0o644);
        house.run_as(&plan::node(&house), Mode::Repair, None).unwrap();
        assert_eq!(house.read("etc/default/node_exporter"), wanted);
    }
    assert_eq!(house.read("etc/default/node_exporter.aami-kept"), "ARGS=--mine\n");
    assert_eq!(
        house.read("etc/default/node_exporter.aami-kept.2"),
        "ARGS=--another\n"
    );
    assert!(!house.exists("etc/default/node_exporter.aami-kept.3"));
}

#[test]
fn an_operators_own_return_to_the_original_is_no_edit() {
    let house = House::new();
    let before = house.picture();
    house.install(&plan::node(&house));
    house.write("etc/default/node_exporter", "ARGS=--the-operators-own\n", 0o600);
    let report = house.uninstall(&plan::node(&house));
    assert_eq!(report.kept, []);
    house
        .picture()
        .must_be(&before, "uninstalled over a restored original");
}

#[test]
fn a_link_pointed_elsewhere_is_kept_and_a_folder_with_something_in_it_stays() {
    let house = House::new();
    house.install(&plan::node(&house));
    std::fs::remove_file(house.real("usr/local/bin/node_exporter")).unwrap();
    std::os::unix::fs::symlink("/opt/mine", house.real("usr/local/bin/node_exporter")).unwrap();
    house.write("var/lib/node_exporter/textfile/mine.prom", "x 1\n", 0o644);
    let report = house.uninstall(&plan::node(&house));
    let target = |path: &str| {
        std::fs::read_link(house.real(path))
            .unwrap()
            .display()
            .to_string()
    };
    assert_eq!(target("usr/local/bin/node_exporter.aami-kept"), "/opt/mine");
    assert_eq!(target("usr/local/bin/node_exporter"), "/opt/theirs/node_exporter");
    assert_eq!(
        report.left,
        [
            "/var/lib/node_exporter/textfile is not empty",
            "/var/lib/node_exporter is not empty"
        ]
    );
    assert_eq!(house.read("var/lib/node_exporter/textfile/mine.prom"), "x 1\n");
}

#[test]
fn a_user_that_became_another_is_left() {
    let house = House::new();
    house.install(&plan::node(&house));
    let passwd = house
        .read("etc/passwd")
        .replace("AAMI plan=node cluster=default", "somebody");
    house.write("etc/passwd", &passwd, 0o644);
    let report = house.uninstall(&plan::node(&house));
    assert!(
        house.read("etc/passwd").contains("node_exporter:"),
        "the user is gone"
    );
    assert!(
        report
            .left
            .iter()
            .any(|why| why.contains("the user node_exporter is another by now")),
        "{:?}",
        report.left
    );
}

#[test]
fn what_stands_in_the_way_is_named_and_not_removed() {
    let house = House::new();
    house.folder("etc/default/node_exporter.d", 0o755);
    std::fs::remove_file(house.real("etc/default/node_exporter")).unwrap();
    house.folder("etc/default/node_exporter/precious", 0o755);
    let report = house.run(&plan::node(&house), None).unwrap();
    let (_, sentence) = report.failure().unwrap();
    assert_eq!(
        sentence,
        "/etc/default/node_exporter is a folder, where a file is wanted"
    );
    assert!(house.exists("etc/default/node_exporter/precious"));
    // Nothing of that step was begun.
    assert!(!house.exists("opt/aami/1.9.1/node_exporter"));
}

#[test]
fn what_somebody_put_where_an_interrupted_run_never_came_is_theirs() {
    // Given a run killed between its record and its effects,
    let house = House::new();
    let watch = Arc::new(CutOff::never());
    let probe = House::new();
    probe.run(&plan::node(&probe), Some(watch.clone())).unwrap();
    let unit = "/etc/systemd/system/node_exporter.service";
    let at = watch
        .passed()
        .iter()
        .position(|(act, subject)| *act == Act::Effect && subject == unit)
        .unwrap();
    let _ = house.run(&plan::node(&house), Some(Arc::new(CutOff::at(at as u64))));
    assert!(!house.exists(unit));
    // and somebody's own file in that place since,
    house.write(unit, "theirs", 0o600);
    // when the plan is taken back,
    let report = house.uninstall(&plan::node(&house));
    // then it stays where it is.
    assert_eq!(house.read(unit), "theirs");
    assert_eq!(
        report.left,
        [format!("{unit} is neither ours nor as it was before")]
    );
}
