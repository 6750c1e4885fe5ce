//! A component that cannot be had stops nothing, and is fetched when it appears.

use aami_install::Mode;
use aami_model::{Exit, code};
use aami_plans::stack::Part;

use super::house::House;

fn runs(house: &House, part: Part) -> bool {
    house
        .units()
        .iter()
        .any(|unit| unit.unit == part.unit() && unit.active)
}

#[test]
fn a_component_nobody_offers_is_named_and_the_rest_runs() {
    let undisturbed = House::new();
    undisturbed.install();
    // Given a folder without Grafana,
    let house = House::new();
    house.offer(&["prometheus", "alertmanager", "node_exporter"]);
    // when the server is installed,
    let (_, missing) = house.install();
    // then Grafana is named, the others run,
    assert_eq!(missing, ["grafana"]);
    for part in [Part::ControlPlane, Part::Prometheus, Part::Alertmanager] {
        assert!(runs(&house, part), "{part}");
    }
    assert!(!runs(&house, Part::Grafana) && !house.exists("etc/aami/grafana.ini"));
    // the status says so,
    let status = house.status();
    assert!(!status.is_healthy());
    let download = status.steps.iter().find(|step| step.id == "download").unwrap();
    assert!(
        format!("{:?}", download.standing).contains("grafana"),
        "{:?}",
        download.standing
    );
    // it stays named,
    assert_eq!(house.install().1, ["grafana"]);
    // and when it appears, the same plan finishes and comes to what it would have been.
    house.offer(&["prometheus", "alertmanager", "grafana", "node_exporter"]);
    let (report, missing) = house.run(Mode::Resume, None).unwrap();
    assert_eq!((report.failure(), missing), (None, Vec::new()));
    assert!(runs(&house, Part::Grafana));
    house
        .picture()
        .must_be(&undisturbed.picture(), "Grafana came later");
    assert!(!house.run(Mode::Fresh, None).unwrap().0.wrote);
}

#[test]
fn a_file_that_is_gone_from_the_mirror_is_a_component_that_cannot_be_had() {
    let house = House::new();
    let file = house.components().join("prometheus-1.0.0.linux-amd64.tar.gz");
    let archive = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let (_, missing) = house.install();
    assert_eq!(missing, ["prometheus"]);
    assert!(runs(&house, Part::Grafana));
    assert!(
        !house
            .read("etc/aami/grafana/datasources/aami.yaml")
            .contains("9090")
    );
    // When it is back, Grafana learns of it.
    std::fs::write(&file, archive).unwrap();
    assert_eq!(house.install().1, Vec::<String>::new());
    assert!(
        house
            .read("etc/aami/grafana/datasources/aami.yaml")
            .contains("9090")
    );
    assert!(runs(&house, Part::Prometheus));
}

#[test]
fn a_grafana_without_its_folder_is_refused_before_anything_is_placed() {
    let house = House::new();
    let file = house.components().join("components.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("tree = \"grafana\"\n", "")).unwrap();
    let before = house.picture();
    let (report, _) = house.run(Mode::Fresh, None).unwrap();
    let (failed, sentence) = report.failure().unwrap();
    assert_eq!(failed, code::CATALOGUE_INVALID);
    assert!(
        sentence.contains("grafana 1.0.0: its entry in components.toml names no tree"),
        "{sentence}"
    );
    house.uninstall(true);
    house.picture().must_be(&before, "refused");
}

#[test]
fn a_file_that_is_not_the_one_pinned_stops_everything() {
    let house = House::new();
    let file = house.components().join("prometheus-1.0.0.linux-amd64.tar.gz");
    let mut archive = std::fs::read(&file).unwrap();
    let middle = archive.len() / 2;
    archive[middle] ^= 1;
    std::fs::write(&file, archive).unwrap();
    let (report, _) = house.run(Mode::Fresh, None).unwrap();
    assert_eq!(report.failure().unwrap().0, code::CHECKSUM_MISMATCH);
    assert_eq!(report.exit(), Exit::Integrity);
    assert!(!house.exists("opt/aami/prometheus-1.0.0/prometheus"));
    assert!(house.units().is_empty());
}
