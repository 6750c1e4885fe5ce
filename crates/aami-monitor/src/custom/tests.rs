use proptest::prelude::*;

use super::*;

fn custom() -> Custom {
    Custom {
        name: "GpuFanStopped".to_owned(),
        expr: "fan_speed{job=\"custom\"} == 0".to_owned(),
        lasting: "5m".to_owned(),
        severity: Severity::Warning,
        summary: None,
        description: Some("Fan {{ $labels.fan }} of {{$labels.node}}: {{ $value | humanize }}".to_owned()),
        runbook_url: Some("https://wiki.example/fans".to_owned()),
        labels: BTreeMap::from([("team".to_owned(), "cooling".to_owned())]),
        annotations: BTreeMap::from([("page".to_owned(), "yes: it is".to_owned())]),
    }
}

fn wrong(custom: Custom) -> Vec<String> {
    judge(&[custom])
        .unwrap_err()
        .into_iter()
        .map(|error| error.field)
        .collect()
}

#[test]
fn a_sound_rule_is_taken_as_it_is() {
    let rules = judge(&[custom()]).unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].alert, "GpuFanStopped");
    assert_eq!(rules[0].expr, custom().expr);
    assert_eq!(
        (rules[0].lasting.as_str(), rules[0].severity()),
        ("5m", "warning")
    );
    assert_eq!(rules[0].labels["team"], "cooling");
    assert_eq!(
        rules[0].annotations.keys().collect::<Vec<_>>(),
        ["description", "page", "runbook_url", "summary"]
    );
    assert_eq!(
        rules[0].annotations["summary"],
        "GpuFanStopped on {{ with $labels.node }}{{ . }}{{ else }}{{ $labels.instance }}{{ end }}"
    );
}

#[test]
fn each_field_is_judged_and_every_problem_is_told() {
    let with = |change: fn(&mut Custom)| {
        let mut custom = custom();
        change(&mut custom);
        wrong(custom)
    };
    for name in ["", "Gpu Fan", "1Fan", "Fan\nalert: x", "Fan{{ $value }}"] {
        let mut bad = custom();
        bad.name = name.to_owned();
        assert_eq!(wrong(bad), ["name"], "{name:?}");
    }
    assert_eq!(with(|custom| custom.name = "a".repeat(129)), ["name"]);
    assert_eq!(with(|custom| custom.name = "NodeDown".to_owned()), ["name"]);
    assert_eq!(with(|custom| custom.lasting = "5 minutes".to_owned()), ["for"]);
    assert_eq!(with(|custom| custom.expr = "fan_speed ==".to_owned()), ["expr"]);
    assert_eq!(with(|custom| custom.expr = "1".to_owned()), ["expr"]);
    assert_eq!(with(|custom| custom.expr = "x".repeat(10_001)), ["expr"]);
    assert_eq!(
        with(|custom| custom.summary = Some("{{ query \"up\" }}".to_owned())),
        ["summary"]
    );
    assert_eq!(
        with(|custom| custom.summary = Some("{{ $value".to_owned())),
        ["summary"]
    );
    assert_eq!(
        with(|custom| custom.summary = Some("\u{1b}[2J".to_owned())),
        ["summary"]
    );
    assert_eq!(
        with(|custom| custom.description = Some("x".repeat(5000))),
        ["description"]
    );
    assert_eq!(
        with(|custom| custom.runbook_url = Some("file:///etc".to_owned())),
        ["runbook_url"]
    );
    for (name, value) in [
        ("severity", "info"),
        ("a-b", "x"),
        ("node", "x"),
        ("__x", "x"),
        ("a", "{{ $value }}"),
    ] {
        let mut bad = custom();
        bad.labels.insert(name.to_owned(), value.to_owned());
        assert_eq!(wrong(bad), ["labels"], "{name}");
    }
    assert_eq!(
        with(|custom| {
            custom
                .annotations
                .insert("description".to_owned(), "again".to_owned());
            custom.annotations.insert("a b".to_owned(), "x".to_owned());
        }),
        ["annotations", "annotations"]
    );
    // Several at once, each with its rule.
    let mut bad = custom();
    (bad.expr, bad.lasting) = ("up{".to_owned(), "x".to_owned());
    let errors = judge(&[custom(), custom(), bad]).unwrap_err();
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the rule \"GpuFanStopped\": name: another rule has this name already",
            "the rule \"GpuFanStopped\": name: another rule has this name already",
            "the rule \"GpuFanStopped\": for: it is a duration such as 5m or 1h30m",
            "the rule \"GpuFanStopped\": expr: at character 4: the end stands where the name of a label is expected",
        ]
    );
    assert_eq!(
        errors.iter().map(|error| error.at).collect::<Vec<_>>(),
        [1, 2, 2, 2]
    );
    assert_eq!(errors[0].code(), code::ALERT_RULE_INVALID);
}

#[test]
fn a_name_of_a_preset_is_told_with_the_preset() {
    let mut clash = custom();
    clash.name = "GPUXidCritical".to_owned();
    let errors = judge(&[clash]).unwrap_err();
    assert_eq!(
        errors[0].what,
        "the presets' rule gpu_xid_error has this name already"
    );
}

proptest! {
    #[test]
    fn whatever_a_rule_holds_it_is_refused_or_stands_in_the_file_as_it_was(
        name in "[A-Za-z_ ]{0,6}|\\PC*",
        expr in "up(\\{a=\"\\PC{0,8}\"\\})?|\\PC*",
        summary in any::<Option<String>>(),
        label in any::<String>(),
    ) {
        let mut custom = custom();
        (custom.name, custom.expr, custom.summary) = (name, expr, summary);
        custom.labels.insert("team".to_owned(), label);
        if let Ok(rules) = judge(std::slice::from_ref(&custom)) {
            let group = crate::rules::Group {
                name: "custom".to_owned(),
                rules: rules.into_iter().map(crate::rules::Line::Alert).collect(),
            };
            let text = crate::rules::File { groups: vec![group] }.text().unwrap();
            let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            let read = &read["groups"][0]["rules"][0];
            prop_assert_eq!(read["alert"].as_str(), Some(custom.name.as_str()));
            prop_assert_eq!(read["expr"].as_str(), Some(custom.expr.as_str()));
            prop_assert_eq!(read["labels"]["team"].as_str(), Some(custom.labels["team"].as_str()));
            if let Some(summary) = &custom.summary {
                prop_assert_eq!(read["annotations"]["summary"].as_str(), Some(summary.as_str()));
            }
        }
    }
}
