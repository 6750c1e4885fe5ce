//! The dashboards, as they are written. That their queries answer is shown where a real run told its numbers.

use std::collections::BTreeSet;

use aami_monitor::dashboard::installation;
use serde_json::Value;

#[test]
fn the_dashboard_about_installations() {
    insta::assert_snapshot!(installation().render());
}

#[test]
fn it_has_the_panels_people_were_promised() {
    let dashboard: Value = serde_json::from_str(&installation().render()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for (title, kind) in [
        ("Step Progress", "state-timeline"),
        ("Current Step", "stat"),
        ("Installation Duration", "stat"),
        ("Failure Count", "stat"),
    ] {
        let found = panels.iter().find(|panel| panel["title"] == title);
        assert_eq!(found.map(|panel| &panel["type"]), Some(&kind.into()), "{title}");
    }
}

#[test]
fn no_panel_lies_on_another_and_every_id_is_its_own() {
    let dashboard: Value = serde_json::from_str(&installation().render()).unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies on another", panel["title"]);
            }
        }
    }
}
