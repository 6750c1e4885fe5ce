//! Folders that were there before a server came: they stay what they are, and whose they are.

use std::os::unix::fs::PermissionsExt as _;

use aami_install::Mode;
use aami_model::code;

use super::house::House;

fn folder(house: &House, below: &str, mode: u32) {
    std::fs::create_dir_all(house.real(below)).unwrap();
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(house.real(below), permissions).unwrap();
}

#[test]
fn folders_that_are_named_and_there_keep_their_modes() {
    // Given folders of the operator's in the places that are named,
    let house = House::new();
    folder(&house, "opt/aami", 0o2775);
    folder(&house, "var/lib/aami", 0o2771);
    let before = house.picture();
    // when a server is installed there, and looked at,
    house.install();
    assert!(house.status().is_healthy());
    // then they have the modes they had, through a repair too,
    for _ in 0..2 {
        assert_eq!(house.mode("opt/aami"), 0o2775);
        assert_eq!(house.mode("var/lib/aami"), 0o2771);
        assert!(!house.run(Mode::Repair, None).unwrap().0.wrote);
    }
    // and when it is purged they are still there.
    house.uninstall(true);
    assert_eq!(house.mode("opt/aami"), 0o2775);
    let gone = before.beyond(&house.picture());
    assert!(!gone.contains(&"/opt/aami".to_owned()), "{gone:?}");
}

#[test]
fn a_folder_with_somebody_elses_data_is_not_taken_over() {
    // Given a Prometheus of the distribution's whose data lies where ours would,
    let house = House::new();
    folder(&house, "var/lib/aami/prometheus", 0o755);
    house.write("var/lib/aami/prometheus/queries.active", "theirs");
    let before = house.picture();
    // when a server is to be installed,
    let (report, _) = house.run(Mode::Fresh, None).unwrap();
    // then that is refused in one sentence, and nothing has changed;
    let (failed, sentence) = report.failure().unwrap();
    assert_eq!(failed, code::FOLDER_UNFIT);
    assert!(
        sentence.contains("/var/lib/aami/prometheus is not the server's and holds queries.active"),
        "{sentence}"
    );
    house.picture().must_be(&before, "refused");
    // a purge does not touch it either.
    house.uninstall(true);
    assert_eq!(house.read("var/lib/aami/prometheus/queries.active"), "theirs");
}

#[test]
fn a_folder_the_services_cannot_enter_or_everybody_may_write_into_is_refused() {
    for (mode, why) in [
        (0o2770, "users may not enter it"),
        (0o777, "everybody may replace what lies in it"),
    ] {
        let house = House::new();
        folder(&house, "opt/aami", mode);
        let before = house.picture();
        let (report, _) = house.run(Mode::Fresh, None).unwrap();
        let (failed, sentence) = report.failure().unwrap();
        assert_eq!(failed, code::FOLDER_UNFIT, "{mode:o}");
        assert!(
            sentence.contains("/opt/aami") && sentence.contains(why),
            "{sentence}"
        );
        house.picture().must_be(&before, "refused");
    }
}

#[test]
fn a_folder_that_a_person_may_replace_is_refused() {
    use std::os::unix::fs::chown;
    // Only root can make a folder somebody else's.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for (uid, gid, mode, why) in [
        (Some(4711), None, 0o755, "user 4711 may replace what lies in it"),
        (None, Some(4712), 0o775, "group 4712 may replace what lies in it"),
    ] {
        let house = House::new();
        folder(&house, "opt/aami", mode);
        chown(house.real("opt/aami"), uid, gid).unwrap();
        let (report, _) = house.run(Mode::Fresh, None).unwrap();
        let (failed, sentence) = report.failure().unwrap();
        assert_eq!(failed, code::FOLDER_UNFIT);
        assert!(
            sentence.contains("/opt/aami") && sentence.contains(why),
            "{sentence}"
        );
    }
}
