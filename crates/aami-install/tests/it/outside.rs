//! A root with traps in it: nothing outside is ever touched.

use aami_install::{Content, Effect, Plan};

use crate::house::{House, path};
use crate::plan::Wants;

fn writes(paths: &'static [&'static str]) -> Plan {
    let step = Wants::step("all", &[], move || {
        let file = |text: &&str| Effect::file(path(text), Content::bytes("ours"), 0o644, None);
        paths.iter().map(file).collect()
    });
    Plan::new("traps", "Traps", vec![step]).unwrap()
}

#[test]
fn a_link_to_the_real_root_means_the_hosts_root() {
    let house = House::new();
    let outside = house.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    // Given a folder that is a link with an absolute target, and one that climbs,
    std::os::unix::fs::symlink(&outside, house.real("etc/absolute")).unwrap();
    std::os::unix::fs::symlink("../../../../../outside", house.real("etc/climbing")).unwrap();
    // when files are written through them,
    for paths in [&["/etc/absolute/x"], &["/etc/climbing/x"]] {
        let report = house.run(&writes(paths), None).unwrap();
        // then the links are resolved within the root, where nothing is.
        assert!(report.failure().is_some(), "{paths:?}");
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    // And where the host has such a folder, the file goes there.
    std::os::unix::fs::symlink("/opt/real", house.real("etc/inside")).unwrap();
    house.folder("opt/real", 0o755);
    house.install(&writes(&["/etc/inside/x"]));
    assert_eq!(house.read("opt/real/x"), "ours");
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_restored_not_followed() {
    let house = House::new();
    let outside = house.dir.path().join("precious");
    std::fs::write(&outside, "precious").unwrap();
    std::os::unix::fs::symlink(&outside, house.real("etc/x")).unwrap();
    let before = house.picture();
    let plan = writes(&["/etc/x"]);
    house.install(&plan);
    assert_eq!(house.read("etc/x"), "ours");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "precious");
    house.uninstall(&plan);
    house.picture().must_be(&before, "the link is back");
}

#[test]
fn traps_under_the_names_we_write_to_are_not_followed() {
    let house = House::new();
    let outside = house.dir.path().join("precious");
    std::fs::write(&outside, "precious").unwrap();
    // The temporary name of a file, the log, and a saved original are links to something outside.
    let memory = "var/lib/aami/install/default/node";
    house.folder(&format!("{memory}/saved"), 0o700);
    let saved = aami_install::Digest::of(b"ARGS=--the-operators-own\n");
    let traps = [
        "etc/default/.node_exporter.aami-new".to_owned(),
        format!("{memory}/log"),
        format!("{memory}/saved/{saved}"),
        format!("{memory}/.receipt.json.aami-new"),
    ];
    for trap in &traps {
        std::os::unix::fs::symlink(&outside, house.real(trap)).unwrap();
    }
    house.install(&crate::plan::node(&house));
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "precious");
    house.uninstall(&crate::plan::node(&house));
    assert_eq!(
        house.read("etc/default/node_exporter"),
        "ARGS=--the-operators-own\n"
    );
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "precious");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_named_and_not_waited_for() {
    let house = House::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        house.real("etc/x"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let report = house.run(&writes(&["/etc/x"]), None).unwrap();
    let (_, sentence) = report.failure().unwrap();
    assert_eq!(
        sentence,
        "/etc/x is a device, pipe or socket, where a file is wanted"
    );
}
