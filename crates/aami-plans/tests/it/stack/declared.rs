//! The same plan where no control plane is wanted: a declared fleet's texts, and the programs that read them.

use aami_monitor::alertmanager;
use aami_plans::stack::{Part, Rendered};

use super::house::House;

fn house() -> House {
    let rendered = Rendered {
        prometheus: "global: {}\n".to_owned(),
        alertmanager: alertmanager::Rendered {
            text: "route: {receiver: nobody}\n".to_owned(),
            secrets: vec![alertmanager::SecretFile {
                path: "/etc/aami/secrets/alertmanager-smtp-password".to_owned(),
                content: "hunter2".to_owned(),
            }],
        },
    };
    let mut house = House::new();
    house.declared = Some(rendered);
    house
}

#[test]
fn a_fleet_without_a_control_plane_has_the_other_parts_and_nothing_of_it() {
    // Given a host, and a fleet that is declared in a file,
    let house = house();
    // when the plan is run without a control plane,
    let (report, missing) = house.install();
    // then the three programs run, each with what was made from the declaration,
    assert!(report.wrote && missing.is_empty(), "{missing:?}");
    let running: Vec<String> = house.units().into_iter().map(|unit| unit.unit).collect();
    for part in Part::FOREIGN {
        assert!(
            running.iter().any(|unit| unit == part.unit()),
            "{part}: {running:?}"
        );
    }
    assert!(house.read("etc/aami/prometheus.yml").ends_with("global: {}\n"));
    assert!(house.exists("etc/aami/rules"), "rules have a folder");
    assert!(
        house
            .read("etc/aami/grafana/json/aami-fleet.json")
            .contains("\"uid\": \"aami-fleet\"")
    );
    for (file, part) in [
        ("etc/aami/alertmanager.yml", "receiver: nobody"),
        ("etc/aami/secrets/alertmanager-smtp-password", "hunter2"),
    ] {
        assert!(house.read(file).contains(part), "{file}");
        assert_eq!(house.mode(file), 0o640, "{file}");
    }
    assert!(house.exists("var/lib/aami/targets"));
    // nothing of a control plane is there: no unit, no key, no token, no user, no program,
    assert!(
        !running.iter().any(|unit| unit == Part::ControlPlane.unit()),
        "{running:?}"
    );
    for path in [
        "etc/aami/server.yaml",
        "etc/aami/secrets/discovery.key",
        "etc/aami/secrets/first-token",
        "usr/local/bin/aami",
        "var/lib/aami/server",
        "opt/aami/0.1.0",
    ] {
        assert!(!house.exists(path), "{path}");
    }
    let users = house.read("etc/passwd");
    assert!(!users.lines().any(|line| line.starts_with("aami:")), "{users}");
    let unit = house.read("etc/systemd/system/aami-prometheus.service");
    assert!(!unit.contains("aami-server"), "{unit}");
    assert_eq!(*house.tokens.lock().unwrap(), 0);
    // what only looks finds it well, secrets included,
    assert!(house.status().is_healthy(), "{:#?}", house.status());
    // and once more changes nothing.
    let picture = house.picture();
    assert!(!house.install().0.wrote);
    house.picture().must_be(&picture, "two runs");
}

#[test]
fn data_of_a_declared_fleet_stays_unless_it_is_asked_for_and_its_routing_goes() {
    let house = house();
    let before = house.picture();
    house.install();
    let taken = house.uninstall(false);
    assert!(house.exists("var/lib/aami/prometheus"), "{taken:#?}");
    assert!(!house.exists("etc/aami/alertmanager.yml"));
    house.uninstall(true);
    house.picture().must_be(&before, "the data went too");
}

#[test]
fn what_a_declared_fleet_installed_is_taken_back_whole() {
    let house = house();
    let before = house.picture();
    house.install();
    house.uninstall(true);
    house.picture().must_be(&before, "installed and taken back");
}

#[test]
fn a_part_a_declared_fleet_cannot_have_is_named_and_the_rest_runs() {
    let house = house();
    house.offer(&["prometheus", "alertmanager"]);
    assert_eq!(house.install().1, ["grafana"]);
    assert!(
        house
            .units()
            .iter()
            .any(|unit| unit.unit == Part::Prometheus.unit() && unit.active)
    );
    house.offer(&["prometheus", "alertmanager", "grafana"]);
    assert_eq!(house.install().1, Vec::<String>::new());
}
