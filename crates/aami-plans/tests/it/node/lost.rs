//! A node whose record of changes is lost: it is taken back by the marks its things carry.

use super::house::House;

#[test]
fn without_a_record_no_unit_of_ours_runs_on_and_what_carries_no_mark_is_named() {
    // Given a node whose record of changes is gone,
    let house = House::new();
    let before = house.picture();
    house.install();
    house.lose("var/lib/aami/install");
    // when it is taken back,
    let report = house.undo(None).unwrap();
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    // then nothing of ours runs on or would come up again,
    assert_eq!(house.running(), Vec::<String>::new());
    let left = house.picture().beyond(&before);
    let units: Vec<&String> = left
        .iter()
        .filter(|path| path.starts_with("/etc/systemd/"))
        .collect();
    assert!(units.is_empty(), "{units:?}");
    // and each thing that stays is named, or holds one that is, or lies in one.
    let named: Vec<&str> = (report.left.iter())
        .filter_map(|line| line.split(": ").next())
        .collect();
    let is_in = |path: &str, folder: &str| {
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_named = |path: &&String| named.iter().any(|thing| is_in(path, thing) || is_in(thing, path));
    let unnamed: Vec<&String> = left.iter().filter(|path| !is_named(path)).collect();
    assert!(unnamed.is_empty(), "{unnamed:#?} of {named:#?}");
}

#[test]
fn without_a_record_a_node_leaves_its_control_plane_all_the_same() {
    // Given a node of a control plane whose record of changes is gone,
    let house = House::enrolling();
    house.install();
    house.lose("var/lib/aami/install");
    // when it is taken back, then the control plane, asked by the node's own credential, knew as what.
    let report = house.undo(None).unwrap();
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    assert!(house.nodes().is_empty(), "{:?}", house.nodes());
}
