//! The dashboards, as they are written: what Grafana needs to find in each of them. Grafana itself is not here.

use std::collections::BTreeSet;

use aami_monitor::dashboard::{Dashboard, all, installation};
use aami_monitor::promql::Expression;
use serde_json::Value;

fn json(dashboard: &Dashboard) -> Value {
    serde_json::from_str(&dashboard.render()).unwrap()
}

fn panels(json: &Value) -> &[Value] {
    json["panels"].as_array().unwrap()
}

#[test]
fn the_dashboard_about_installations() {
    insta::assert_snapshot!(installation().render());
}

#[test]
fn it_has_the_panels_people_were_promised() {
    let json = json(&installation());
    for (title, kind) in [
        ("Step Progress", "state-timeline"),
        ("Current Step", "stat"),
        ("Installation Duration", "stat"),
        ("Failure Count", "stat"),
    ] {
        let found = panels(&json).iter().find(|panel| panel["title"] == title);
        assert_eq!(found.map(|panel| &panel["type"]), Some(&kind.into()), "{title}");
    }
}

#[test]
fn every_dashboard_has_an_id_and_a_title_of_its_own() {
    let dashboards = all();
    let uids: BTreeSet<&str> = dashboards.iter().map(|dashboard| dashboard.uid).collect();
    let titles: BTreeSet<&str> = dashboards.iter().map(|dashboard| dashboard.title).collect();
    assert_eq!((uids.len(), titles.len()), (dashboards.len(), dashboards.len()));
    // Links and bookmarks name them: they stay as they are.
    assert_eq!(
        uids.into_iter().collect::<Vec<_>>(),
        [
            "aami-fleet",
            "aami-gpu",
            "aami-installation",
            "aami-node",
            "aami-xid"
        ]
    );
    for dashboard in dashboards {
        // At most 40 characters of these (Grafana's `util.IsValidShortUID`).
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(
            dashboard.uid.len() <= 40 && dashboard.uid.chars().all(fits),
            "{}",
            dashboard.uid
        );
        let json = json(&dashboard);
        for member in [
            "uid",
            "title",
            "schemaVersion",
            "time",
            "templating",
            "annotations",
            "panels",
            "tags",
        ] {
            assert!(!json[member].is_null(), "{}: {member}", dashboard.uid);
        }
        assert_eq!(json["id"], Value::Null);
    }
}

#[test]
fn no_panel_lies_on_another_and_every_id_is_its_own() {
    for dashboard in all() {
        let json = json(&dashboard);
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in panels(&json) {
            assert!(ids.insert(panel["id"].as_u64().unwrap()));
            let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{panel}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(
                        taken.insert((x, y)),
                        "{}: {} lies on another",
                        dashboard.uid,
                        panel["title"]
                    );
                }
            }
        }
    }
}

#[test]
fn no_panel_names_a_data_source_of_somebody() {
    for dashboard in all() {
        let json = json(&dashboard);
        assert_eq!(json["templating"]["list"][0]["type"], "datasource");
        let sources = |value: &Value| value["datasource"]["uid"].as_str().unwrap_or_default().to_owned();
        for panel in panels(&json).iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(sources(panel), "${datasource}", "{}", panel["title"]);
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty() && targets.iter().all(|target| sources(target) == "${datasource}"));
        }
        for variable in &json["templating"]["list"].as_array().unwrap()[1..] {
            assert_eq!(sources(variable), "${datasource}", "{variable}");
        }
    }
}

#[test]
fn every_variable_in_a_query_can_be_chosen() {
    let own = ["__rate_interval", "__range", "__range_s", "datasource"];
    for dashboard in all() {
        let known: BTreeSet<&str> = dashboard
            .variables
            .iter()
            .map(|variable| variable.name)
            .chain(own)
            .collect();
        let queries = dashboard
            .panels()
            .flat_map(|panel| &panel.queries)
            .map(|query| query.expr.as_str());
        for query in queries.chain(dashboard.variables.iter().map(|variable| variable.query)) {
            for part in query.split('$').skip(1) {
                let name: String = part
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                // `$1` is what a regular expression of `label_replace` found.
                assert!(
                    name == "1" || known.contains(name.as_str()),
                    "{}: ${name}",
                    dashboard.uid
                );
            }
        }
    }
}

/// A query with the variables filled in, as Grafana asks it.
fn filled_in(query: &str) -> String {
    query
        .replace("$__rate_interval", "1m")
        .replace("$__range_s", "3600")
        .replace("$__range", "1h")
        .replace('$', "")
}

#[test]
fn every_query_can_be_evaluated() {
    for dashboard in all() {
        for panel in dashboard.panels() {
            for query in &panel.queries {
                let query = filled_in(&query.expr);
                if let Err(error) = Expression::parse(&query) {
                    panic!("{}: {}: {error}: {query}", dashboard.uid, panel.title);
                }
            }
        }
    }
}

#[test]
fn every_panel_says_what_its_columns_and_series_are() {
    for dashboard in all() {
        for panel in dashboard.panels() {
            assert!(!panel.title.is_empty());
            let names: BTreeSet<&str> = panel.queries.iter().map(|query| query.legend).collect();
            assert_eq!(
                names.len(),
                panel.queries.len(),
                "{}: {}",
                dashboard.uid,
                panel.title
            );
        }
        let titles: Vec<&str> = dashboard
            .sections
            .iter()
            .flat_map(|section| &section.panels)
            .map(|panel| panel.title)
            .collect();
        assert!(titles.len() >= 5, "{}", dashboard.uid);
    }
}
