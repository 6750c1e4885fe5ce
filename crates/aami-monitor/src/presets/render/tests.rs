use aami_model::rule_file::is_of_a_fleet;

use super::*;
use crate::presets::find;
use crate::promql::{Compared, Matcher};

fn rendered(names: &[&str], options: &Options) -> Vec<RuleFile> {
    let presets: Vec<&Preset> = names.iter().map(|name| find(name).unwrap()).collect();
    render(&presets, &[], options).unwrap()
}

fn names(files: &[RuleFile]) -> Vec<&str> {
    files.iter().map(|file| file.name.as_str()).collect()
}

fn own(name: &str, expr: &str) -> Custom {
    Custom {
        name: name.to_owned(),
        expr: expr.to_owned(),
        lasting: "1m".to_owned(),
        severity: aami_model::finding::Severity::Info,
        summary: None,
        description: None,
        runbook_url: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

#[test]
fn presets_that_share_ids_define_no_rule_twice() {
    // Given two presets of which one holds the other, asked for in any order and twice,
    let files = rendered(&["gpu-production", "gpu-basic", "gpu-basic"], &Options::default());
    // then each has what the one before it has not,
    assert_eq!(
        names(&files),
        [
            "aami-preset-gpu-basic.yaml",
            "aami-preset-gpu-production.yaml",
            "aami-recording.yaml"
        ]
    );
    assert!(files[0].alerts.contains(&"NodeDown".to_owned()));
    assert!(!files[1].alerts.contains(&"NodeDown".to_owned()));
    assert_eq!(files[1].groups, ["aami_preset_gpu_production"]);
    let all: String = files.iter().map(|file| file.text.as_str()).collect();
    assert_eq!(all.matches("alert: NodeMissing").count(), 1);
    // and what they share is recorded once.
    assert_eq!(all.matches("record: aami:gpu_fb_used:ratio").count(), 1);
    // What nobody looks at is not recorded, and a preset that adds nothing has no file.
    assert_eq!(
        names(&rendered(&["storage"], &Options::default())),
        ["aami-preset-storage.yaml"]
    );
    let order = rendered(&["thermal", "gpu-production"], &Options::default());
    assert_eq!(
        order,
        rendered(&["gpu-production", "thermal"], &Options::default())
    );
    for file in files {
        assert!(is_of_a_fleet(&file.name));
    }
    for name in [
        "aami-agents.yaml",
        "mine.yaml",
        "aami-preset-.yaml",
        "aami-preset-x.yml",
    ] {
        assert!(!is_of_a_fleet(name), "{name}");
    }
}

#[test]
fn own_rules_and_declared_nodes_have_files_of_their_own() {
    let declared = |node: &str, in_maintenance, gpus| Declared {
        node: node.to_owned(),
        cluster: "prod".to_owned(),
        labels: BTreeMap::from([("rack".to_owned(), "a: \"1\"\n- x".to_owned())]),
        in_maintenance,
        gpus,
    };
    let options = Options {
        labels: BTreeMap::from([
            ("site".to_owned(), "north".to_owned()),
            ("severity".to_owned(), "none".to_owned()),
        ]),
        declared: vec![
            declared("n1", false, Some(8)),
            declared("n2", true, None),
            declared("n1", false, Some(4)),
        ],
        scope: Scope::default(),
    };
    let plain = render(&[], &[own("Mine", "up == 0")], &options).unwrap();
    assert_eq!(
        names(&plain),
        ["aami-custom.yaml"],
        "no rule looks at what is declared"
    );
    let files = render(
        &[],
        &[own("Mine", "aami_declared_node unless on (node) up")],
        &options,
    )
    .unwrap();
    assert_eq!(names(&files), ["aami-custom.yaml", "aami-declared.yaml"]);
    assert_eq!(files[0].alerts, ["Mine"]);
    assert!(files[1].alerts.is_empty());
    let read: serde_json::Value = serde_saphyr::from_str(&files[0].text).unwrap();
    let labels = &read["groups"][0]["rules"][0]["labels"];
    assert_eq!(
        (labels["site"].as_str(), labels["severity"].as_str()),
        (Some("north"), Some("info"))
    );
    let read: serde_json::Value = serde_saphyr::from_str(&files[1].text).unwrap();
    let rules = read["groups"][0]["rules"].as_array().unwrap();
    let told: Vec<_> = rules
        .iter()
        .map(|rule| {
            (
                rule["record"].as_str().unwrap(),
                rule["labels"]["node"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("aami_declared_gpus", "n1"),
            ("aami_declared_node", "n1"),
            ("aami_declared_node", "n2")
        ]
    );
    assert_eq!(rules[2]["labels"]["state"], "maintenance");
    assert_eq!(rules[0]["labels"]["rack"], "a: \"1\"\n- x");
}

#[test]
fn a_scope_is_in_every_file_that_alerts_and_a_bad_rule_stops_all() {
    let scope = Scope::of([Matcher::new("team", Compared::In, ["a"]).unwrap()]);
    let options = Options {
        scope,
        ..Options::default()
    };
    for file in rendered(&["gpu-basic"], &options) {
        assert_eq!(
            file.text.contains("team="),
            !file.alerts.is_empty(),
            "{}",
            file.name
        );
    }
    let preset = find("gpu-basic").unwrap();
    let always = render(&[preset], &[own("Always", "vector(1)")], &options).unwrap_err();
    assert!(matches!(&always, RenderError::Everywhere(alert) if alert == "Always"));
    let bad = render(
        &[preset],
        &[own("Bad", "up =="), own("NodeDown", "up")],
        &Options::default(),
    )
    .unwrap_err();
    assert!(matches!(&bad, RenderError::Custom(errors) if errors.len() == 2));
    assert_eq!(bad.code(), code::ALERT_RULE_INVALID);
    assert!(bad.to_string().contains("\"Bad\": expr: at character 6"), "{bad}");
}
