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
fn data_keeps_its_owners_where_the_record_of_changes_is_lost() {
    // Given a server that worked, and whose record of changes is gone,
    let house = House::new();
    let before = house.picture();
    house.install();
    at_work(&house);
    std::fs::remove_dir_all(house.real("var/lib/aami/install")).unwrap();
    // when it is taken back, then by the marks its things carry: no unit and no configuration of ours stays,
    let taken = house.uninstall(false);
    assert!(house.units().is_empty());
    for gone in [
        "etc/aami/server.yaml",
        "etc/aami/prometheus.yml",
        "etc/aami/grafana.ini",
    ] {
        assert!(!house.exists(gone), "{gone}");
    }
    // the data is there, and the users it belongs to,
    assert_eq!(house.read("var/lib/aami/server/store.db"), "nodes");
    for user in ["aami:", "aami-prometheus:", "aami-alertmanager:", "aami-grafana:"] {
        assert!(
            house.read("etc/passwd").contains(user),
            "{user} is gone and its data is not"
        );
    }
    // and whatever else is left is named.
    let named: Vec<&str> = (taken.report.left.iter().chain(&taken.stays))
        .filter_map(|line| line.split(": ").next())
        .collect();
    let is_named = |path: &String| {
        let is_or_holds = |named: &&str| {
            let rest = path.strip_prefix(*named);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        named.iter().any(is_or_holds) || path == "/etc/aami/server-install.json"
    };
    let beyond = house.picture().beyond(&before);
    let unnamed: Vec<&String> = beyond.iter().filter(|path| !is_named(path)).collect();
    assert!(unnamed.is_empty(), "{unnamed:#?} of {named:#?}");
    // A server is made of it again.
    house.install();
    assert_eq!(house.read("var/lib/aami/server/store.db"), "nodes");
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
