//! The presets' rules, judged by promtool: each is seen firing and silent on series such as exporters export, and each
//! part of each expression is there for a reason that a test knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use aami_monitor::presets::{self, Options, Preset, RuleFile};
use aami_monitor::promql::Expression;
use aami_monitor::rules::Rule;
use serde_json::{Value, json};

use crate::engine::{prometheus, run};

/// Parts of expressions whose absence changes nothing that a test could see: alert, basis, part, why they stand there.
const EQUIVALENT: &[(&str, &str, &str, &str)] = &[(
    "NodeDown",
    "node",
    "== 0",
    "a node of which something is up is excepted as well; it is what people read",
)];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/presets")
}

fn promtool() -> Command {
    Command::new(prometheus().join("promtool"))
}

/// Every test there is: for each, what it asks about each alert.
fn tests() -> Vec<Value> {
    let mut tests = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let file: Value =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        tests.extend(file["tests"].as_array().unwrap().iter().cloned());
    }
    tests
}

/// Every rule of every preset, by the name of its alert.
fn rules() -> BTreeMap<String, Vec<Rule>> {
    let mut rules: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for rule in presets::ids().flat_map(presets::rules_of) {
        let same = rules.entry(rule.alert.clone()).or_default();
        // Two ids may have one rule.
        if !same.contains(&rule) {
            same.push(rule);
        }
    }
    rules
}

/// What is recorded for the rules.
fn recorded() -> Value {
    let file = serde_json::to_value(presets::find("gpu-basic").unwrap().file()).unwrap();
    let rules = file["groups"][0]["rules"].as_array().unwrap();
    rules
        .iter()
        .filter(|rule| rule.get("record").is_some())
        .cloned()
        .collect()
}

/// What the tests say of one alert, and these rules, in a folder; whether promtool agrees, and what it says.
fn agrees(alert: &str, tests: &[Value], recorded: &Value, rules: &[Rule]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = Vec::new();
    for test in tests {
        let mut test = test.clone();
        let about = test["alert_rule_test"].as_array().unwrap().iter();
        let about: Vec<Value> = about.filter(|ask| ask["alertname"] == alert).cloned().collect();
        if !about.is_empty() {
            test["alert_rule_test"] = about.into();
            asked.push(test);
        }
    }
    let plain = rules.iter().map(
        |rule| json!({"alert": rule.alert, "expr": rule.expr, "for": rule.lasting, "labels": rule.labels}),
    );
    let all: Vec<Value> = recorded
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .chain(plain)
        .collect();
    let groups = json!({"groups": [{"name": "tested", "rules": all}]});
    std::fs::write(folder.path().join("rules.yaml"), groups.to_string()).unwrap();
    let test = json!({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": asked});
    let file = folder.path().join("test.yaml");
    std::fs::write(&file, test.to_string()).unwrap();
    let output = promtool().args(["test", "rules"]).arg(&file).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        Ok(())
    } else {
        Err(said)
    }
}

#[test]
fn every_rule_is_seen_firing_and_seen_silent() {
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for test in tests() {
        for ask in test["alert_rule_test"].as_array().unwrap() {
            let alert = ask["alertname"].as_str().unwrap().to_owned();
            let fired = ask["exp_alerts"].as_array().unwrap();
            for expected in fired {
                let basis = expected["exp_labels"]["basis"].as_str().unwrap_or_default();
                firing.insert((alert.clone(), basis.to_owned()));
            }
            if fired.is_empty() {
                silent.insert(alert);
            }
        }
    }
    for (alert, rules) in rules() {
        assert!(silent.contains(&alert), "no test in which {alert} is silent");
        for rule in rules {
            let basis = rule.labels.get("basis").cloned().unwrap_or_default();
            assert!(
                firing.remove(&(alert.clone(), basis.clone())),
                "no test in which {alert} {basis} fires"
            );
        }
    }
    assert!(
        firing.is_empty(),
        "tests of alerts that no preset has: {firing:?}"
    );
}

#[test]
fn promtool_sees_each_alert_as_its_tests_say() {
    let (tests, recorded) = (tests(), recorded());
    let wrong = rules()
        .into_iter()
        .filter_map(|(alert, rules)| agrees(&alert, &tests, &recorded, &rules).err());
    let wrong: String = wrong.collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_part_of_an_expression_is_there_for_nothing() {
    // Given rules of which one has a comparison that holds always, or an exception that excepts nothing,
    let (tests, recorded) = (tests(), recorded());
    let (mut unseen, mut tried) = (Vec::new(), 0);
    for (alert, rules) in rules() {
        for (at, rule) in rules.iter().enumerate() {
            for (what, expr) in mutants(&rule.expr) {
                let mut wrong = rules.clone();
                wrong[at].expr = expr;
                tried += 1;
                // when promtool runs the tests, then one of them sees it.
                let is_seen = agrees(&alert, &tests, &recorded, &wrong).is_err();
                let basis = rule.labels.get("basis").map_or("", String::as_str);
                let is_known = EQUIVALENT
                    .iter()
                    .any(|known| (known.0, known.1, known.2) == (&*alert, basis, &*what));
                if is_seen == is_known {
                    unseen.push(format!(
                        "{alert} {basis}: {what} ({})",
                        if is_seen { "seen" } else { "unseen" }
                    ));
                }
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert!(unseen.is_empty(), "of {tried}:\n{}", unseen.join("\n"));
}

/// The expression with one comparison that always holds, or one exception or condition less.
fn mutants(expr: &str) -> Vec<(String, String)> {
    let mut mutants = Vec::new();
    for sign in [" > ", " >= ", " < ", " <= ", " == ", " != "] {
        for (at, _) in expr.match_indices(sign) {
            let after = &expr[at + sign.len()..];
            let number: String = after
                .chars()
                .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | 'e'))
                .collect();
            if !number.is_empty() {
                let rest = &after[number.len()..];
                mutants.push((
                    format!("{}{number}", sign.trim_start()),
                    format!("{} > -1e99{rest}", &expr[..at]),
                ));
            }
        }
    }
    for (word, other) in [(" unless ", " or "), (" and ", " or ")] {
        for (at, _) in expr.match_indices(word) {
            let rest = &expr[at + word.len()..];
            let named: String = rest.chars().take(60).collect();
            mutants.push((
                format!("{}{named}", word.trim_start()),
                format!("{}{other}{rest}", &expr[..at]),
            ));
        }
    }
    // What still cannot be read is no mutant.
    mutants.retain(|(_, expr)| Expression::parse(expr).is_ok());
    mutants
}

fn written(files: &[RuleFile]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    folder
}

fn checked(folder: &Path) -> String {
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    run(promtool()
        .args(["check", "rules", "--lint=all", "--lint-fatal"])
        .args(files))
}

#[test]
fn promtool_has_nothing_to_say_about_any_file() {
    let declared = presets::Declared {
        node: "gpu-01".to_owned(),
        cluster: "prod".to_owned(),
        labels: BTreeMap::from([("rack".to_owned(), "r: \"1\"\n".to_owned())]),
        gpus: Some(8),
        ..presets::Declared::default()
    };
    let options = Options {
        declared: vec![declared],
        ..Options::default()
    };
    // All of them together, and each alone, as it is applied and as it is shown.
    let all: Vec<&Preset> = presets::all().iter().collect();
    let files = presets::render(&all, &[], &options).unwrap();
    assert_eq!(
        files.len(),
        all.len() + 2,
        "one file for each, what is recorded, and what is declared"
    );
    checked(written(&files).path());
    for preset in all {
        checked(written(&presets::render(&[preset], &[], &options).unwrap()).path());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shown.yaml"), preset.file().text().unwrap()).unwrap();
        checked(folder.path());
    }
}

#[test]
fn a_declared_node_is_missed_when_nobody_looks_at_it_and_its_gpus_are_counted() {
    // Given three declared nodes as a fleet renders them, of which one is scraped whole, one has lost a GPU and one is
    // no target at all,
    let declared = |node: &str| presets::Declared {
        node: node.to_owned(),
        cluster: "prod".to_owned(),
        gpus: Some(2),
        ..presets::Declared::default()
    };
    let options = Options {
        declared: ["gpu-01", "gpu-02", "gpu-03"].into_iter().map(declared).collect(),
        ..Options::default()
    };
    let preset = presets::find("gpu-production").unwrap();
    let folder = written(&presets::render(&[preset], &[], &options).unwrap());
    let series = |series: &str, values: &str| json!({"series": series, "values": values});
    let gpu = |node: &str, uuid: &str| {
        format!("DCGM_FI_DEV_GPU_TEMP{{cluster=\"prod\",node=\"{node}\",job=\"dcgm\",UUID=\"{uuid}\"}}")
    };
    let up =
        |node: &str| format!("up{{cluster=\"prod\",node=\"{node}\",job=\"dcgm\",instance=\"{node}:9400\"}}");
    let input = [
        series(&up("gpu-01"), "1x30"),
        series(&up("gpu-02"), "1x30"),
        series(&gpu("gpu-01", "a"), "50x30"),
        series(&gpu("gpu-01", "b"), "50x30"),
        series(&gpu("gpu-02", "c"), "50x30"),
    ];
    let firing = |alert: &str, at: &str, nodes: &[&str]| {
        let samples: Vec<Value> = nodes
            .iter()
            .map(|node| json!({"labels": format!("{{node=\"{node}\"}}"), "value": 1}))
            .collect();
        let expr = format!("count by (node) (ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})");
        json!({"expr": expr, "eval_time": at, "exp_samples": samples})
    };
    // when Prometheus has looked for long enough and not before, then exactly those are told.
    let tests = json!({
        "rule_files": ["aami-*.yaml"], "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": input, "promql_expr_test": [
            firing("NodeMissing", "4m", &[]),
            firing("GPULost", "1m", &[]),
            firing("NodeMissing", "15m", &["gpu-03"]),
            firing("GPULost", "15m", &["gpu-02"]),
        ]}],
    });
    let file = folder.path().join("test.yaml");
    std::fs::write(&file, tests.to_string()).unwrap();
    run(promtool().args(["test", "rules"]).arg(&file));
}

#[test]
fn texts_are_filled_in_without_a_gap() {
    // Given all files with their texts, and tests that expect other texts,
    let all: Vec<&Preset> = presets::all().iter().collect();
    let folder = written(&presets::render(&all, &[], &Options::default()).unwrap());
    // One over days takes long with all rules, and its text is like others.
    let tests: Vec<Value> = tests()
        .into_iter()
        .filter(|test| test["interval"] == "1m")
        .collect();
    let test = json!({"rule_files": ["aami-*.yaml"], "evaluation_interval": "1m", "tests": tests});
    let file = folder.path().join("test.yaml");
    std::fs::write(&file, test.to_string()).unwrap();
    // when promtool says what it got instead,
    let output = promtool().args(["test", "rules"]).arg(&file).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let texts: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("Annotations:{") && line.contains("summary="))
        .collect();
    assert!(texts.len() > 60, "{said}");
    // then no label that is named is missing.
    for text in texts {
        let text = &text[text.find("Annotations:{").unwrap()..];
        for gap in [
            "  ",
            " , ",
            " .",
            "\" ",
            "of \"",
            "on \"",
            "``",
            "<no value>",
            "error expanding",
        ] {
            assert!(!text.contains(gap), "{gap:?} in {text}");
        }
    }
}

#[test]
fn what_is_kept_to_a_group_fires_for_its_nodes_alone() {
    use aami_monitor::promql::{Compared, Matcher};
    use aami_monitor::scope::Scope;

    let scope = Scope::of([Matcher::new("team", Compared::In, ["a", "b"]).unwrap()]);
    let options = Options {
        scope,
        ..Options::default()
    };
    let files = presets::render(&[presets::find("gpu-production").unwrap()], &[], &options).unwrap();
    let folder = written(&files);
    checked(folder.path());
    std::fs::write(
        folder.path().join("test.yaml"),
        include_str!("presets_scoped.test.yaml"),
    )
    .unwrap();
    // The texts are not what this is about.
    for file in files {
        let plain: Value = serde_saphyr::from_str(&file.text).unwrap();
        let mut plain = plain;
        for rule in plain["groups"][0]["rules"].as_array_mut().unwrap() {
            rule.as_object_mut().unwrap().remove("annotations");
        }
        std::fs::write(folder.path().join(&file.name), plain.to_string()).unwrap();
    }
    run(promtool()
        .args(["test", "rules"])
        .arg(folder.path().join("test.yaml")));
}

#[test]
fn the_guide_tells_every_preset_and_every_alert_as_they_are() {
    let guide = include_str!("../../../../docs/guide/alerts.md");
    let row = |cells: &[&str]| format!("| {} |", cells.join(" | "));
    let mut rows = BTreeSet::new();
    for id in presets::ids() {
        for rule in presets::rules_of(id) {
            let start = row(&[
                &format!("`{id}`"),
                &format!("`{}`", rule.alert),
                rule.severity(),
                &rule.lasting,
            ]);
            assert!(guide.contains(&start), "the guide has no row {start}");
            rows.insert(start);
        }
    }
    let told = guide
        .lines()
        .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 5);
    assert_eq!(
        told.count(),
        rows.len(),
        "the guide tells of alerts that no preset has"
    );
    for preset in presets::all() {
        let ids: Vec<String> = preset.ids.iter().map(|id| format!("`{id}`")).collect();
        let start = row(&[&format!("`{}`", preset.id), &ids.join(" ")]);
        assert!(guide.contains(&start), "the guide has no row {start}");
    }
}
