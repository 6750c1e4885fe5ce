//! What uninstalling leaves: data and whom it belongs to, or nothing.

use super::house::House;

/// What services write while they run.
fn at_work(house: &House) {
    for (file, text) in [
        ("var/lib/aami/server/store.db", "nodes"),
        ("var/lib/aami/server/admin.key", "aamik_admin"),
        ("var/lib/aami/targets/nodes.json", "[]"),
        ("var/lib/aami/prometheus/lock", ""),
        ("var/lib/aami/grafana/grafana.db", "dashboards"),
        ("etc/aami/alertmanager.yml", "route: {receiver: pager}\n"),
    ] {
        house.write(file, text);
    }
}

#[test]
fn data_stays_with_its_owners_until_it_is_purged() {
    // Given a server that worked,
    let house = House::new();
    let before = house.picture();
    house.install();
    at_work(&house);
    // when it is taken back,
    let taken = house.uninstall(false);
    // then its data stays, with the users it belongs to, and is named;
    assert_eq!(house.read("var/lib/aami/server/store.db"), "nodes");
    assert_eq!(
        house.read("etc/aami/alertmanager.yml"),
        "route: {receiver: pager}\n"
    );
    assert!(house.read("etc/passwd").contains("aami-prometheus"));
    assert_eq!(taken.report.left, Vec::<String>::new());
    for kept in [
        "/var/lib/aami/prometheus",
        "user aami-prometheus",
        "/etc/aami/alertmanager.yml",
    ] {
        assert!(
            taken.stays.iter().any(|what| what == kept),
            "{kept}: {:?}",
            taken.stays
        );
    }
    assert!(house.units().is_empty());
    let beyond = house.picture().beyond(&before);
    let kept = |path: &String| {
        path.starts_with("/var/lib/aami")
            || [
                "/etc/aami",
                "/etc/aami/alertmanager.yml",
                "/etc/aami/server-install.json",
            ]
            .contains(&path.as_str())
    };
    assert!(beyond.iter().all(kept), "{beyond:?}");
    // installing again finds it,
    house.install();
    assert_eq!(house.read("var/lib/aami/server/store.db"), "nodes");
    assert_eq!(
        house.read("etc/aami/alertmanager.yml"),
        "route: {receiver: pager}\n"
    );
    // and purging leaves nothing.
    at_work(&house);
    let taken = house.uninstall(true);
    assert_eq!((taken.report.left, taken.stays), (Vec::new(), Vec::new()));
    assert!(taken.purged.contains(&"/var/lib/aami/server".to_owned()));
    house.picture().must_be(&before, "purged");
}

#[test]
fn data_that_was_left_is_purged_later() {
    let house = House::new();
    let before = house.picture();
    house.install();
    at_work(&house);
    house.uninstall(false);
    assert_eq!(
        house.uninstall(false).report.left,
        Vec::<String>::new(),
        "again is no harm"
    );
    assert_eq!(house.read("var/lib/aami/server/store.db"), "nodes");
    assert_eq!(house.uninstall(true).report.left, Vec::<String>::new());
    house.picture().must_be(&before, "left, then purged");
}

#[test]
fn uninstalling_where_nothing_is_changes_nothing() {
    let house = House::new();
    let before = house.picture();
    for purge in [false, true] {
        assert_eq!(house.uninstall(purge).report.left, Vec::<String>::new());
        house.picture().must_be(&before, "nothing to take back");
    }
}
