use aami_model::finding::Severity;
use aami_model::rules::CustomRule;
use aami_model::{RuleSetId, Timestamp};
use proptest::prelude::*;

use super::*;

fn set(group: Option<&str>, presets: &[&str]) -> RuleSet {
    let id: RuleSetId = group.unwrap_or("global").parse().unwrap();
    RuleSet {
        id,
        org: OrgId::default(),
        group: group.map(|group| group.parse().unwrap()),
        description: String::new(),
        enabled: true,
        priority: 0,
        presets: presets.iter().map(|preset| (*preset).to_owned()).collect(),
        custom: Vec::new(),
        overrides: Vec::new(),
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    }
}

fn custom(name: &str, expr: &str) -> CustomRule {
    CustomRule {
        name: name.to_owned(),
        expr: expr.to_owned(),
        lasting: "1m".to_owned(),
        severity: Severity::Warning,
        summary: None,
        description: None,
        runbook_url: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

fn wish(alert: &str) -> RuleOverride {
    RuleOverride {
        alert: alert.to_owned(),
        disabled: false,
        severity: None,
        lasting: None,
        threshold: None,
    }
}

fn files(global: Option<&RuleSet>, groups: &[(&str, &RuleSet)]) -> BTreeMap<String, RuleFile> {
    let org = OrgId::default();
    let tenant = Tenant {
        org: &org,
        global,
        groups: groups.to_vec(),
    };
    let files = render(&[tenant], false, false).unwrap();
    files.into_iter().map(|file| (file.name.clone(), file)).collect()
}

/// The part of a file about one alert.
fn part<'a>(file: &'a RuleFile, alert: &str) -> &'a str {
    let from = file
        .text
        .find(&format!("alert: {alert}\n"))
        .unwrap_or_else(|| panic!("{alert}\n{}", file.text));
    let rest = &file.text[from..];
    &rest[..rest[1..].find("- alert:").map_or(rest.len(), |to| to + 1)]
}

#[test]
fn two_groups_have_it_otherwise_and_everybody_else_as_it_is() {
    // Given a preset for all, a group that wants one alert later and graver, and one that wants none of it,
    let mut global = set(None, &["gpu-basic"]);
    global.custom.push(custom("FanStopped", "fan_rpm == 0"));
    let mut train = set(Some("train"), &[]);
    train.overrides.push(RuleOverride {
        lasting: Some("30m".to_owned()),
        severity: Some(Severity::Critical),
        threshold: Some(7.0),
        ..wish("FanStopped")
    });
    train.priority = 5;
    let mut lab = set(Some("lab"), &["thermal"]);
    lab.overrides.push(RuleOverride {
        disabled: true,
        ..wish("FanStopped")
    });
    judge(&train, Some(&global)).unwrap();
    judge(&lab, Some(&global)).unwrap();
    // when the files are made,
    let files = files(Some(&global), &[("lab", &lab), ("train", &train)]);
    // then each node has the alert by one of them,
    let group = part(&files["aami-rules-train.yaml"], "FanStopped");
    assert!(
        group.contains("aami_groups=~") && group.contains(",train,"),
        "{group}"
    );
    assert!(group.contains("} == 7"), "{group}");
    assert!(
        group.contains("30m") && group.contains("critical") && group.contains("aami_group: train"),
        "{group}"
    );
    let rest = part(&files["aami-rules-global.yaml"], "FanStopped");
    assert!(
        rest.contains(",train,") && rest.contains(",lab,") && rest.contains("} == 0"),
        "{rest}"
    );
    assert!(
        !files["aami-rules-lab.yaml"]
            .alerts
            .contains(&"FanStopped".to_owned())
    );
    // and what is recorded for several stands once.
    assert_eq!(files["aami-recording.yaml"].groups, ["aami_recording"]);
    assert_eq!(files["aami-rules-train.yaml"].groups, ["aami_group_train"]);
    for file in files.values() {
        assert!(rule_file::is_name(&file.name), "{}", file.name);
    }
    assert_eq!(alerts_of(&train, Some(&global)), ["FanStopped"]);
}

#[test]
fn a_set_that_is_switched_off_is_as_if_it_were_not_there() {
    let global = set(None, &["gpu-basic"]);
    let mut group = set(Some("g"), &["gpu-basic"]);
    let before = files(Some(&global), &[]);
    assert_ne!(files(Some(&global), &[("g", &group)]), before);
    group.enabled = false;
    assert_eq!(files(Some(&global), &[("g", &group)]), before);
    let mut off = global;
    off.enabled = false;
    assert!(files(Some(&off), &[]).is_empty());
}

#[test]
fn what_cannot_be_used_is_named() {
    let said = |change: fn(&mut RuleSet)| {
        let mut set = set(Some("g"), &["gpu-basic"]);
        change(&mut set);
        judge(&set, None).unwrap_err().to_string()
    };
    let text = said(|set| set.presets.push("gpu-prod".to_owned()));
    assert!(
        text.contains("gpu-prod") && text.contains("gpu-production"),
        "{text}"
    );
    let text = said(|set| set.custom.push(custom("A", "up ==")));
    assert!(text.contains("\"A\"") && text.contains("expr"), "{text}");
    let text = said(|set| set.custom.push(custom("NodeDown", "up == 0")));
    assert!(text.contains("node_down"), "{text}");
    let text = said(|set| set.overrides.push(wish("Nobody")));
    assert!(text.contains("Nobody"), "{text}");
    let text = said(|set| set.overrides.extend([wish("NodeDown"), wish("NodeDown")]));
    assert!(text.contains("twice"), "{text}");
    let text = said(|set| {
        set.overrides.push(RuleOverride {
            threshold: Some(1.0),
            ..wish("NodeDown")
        });
    });
    assert!(text.contains("threshold"), "{text}");
    let text = said(|set| {
        set.overrides.push(RuleOverride {
            lasting: Some("soon".to_owned()),
            ..wish("NodeDown")
        });
    });
    assert!(text.contains("for:"), "{text}");
}

#[test]
fn what_looks_at_nothing_is_no_groups_rule() {
    let mut group = set(Some("g"), &[]);
    group.custom.push(custom("Always", "vector(1)"));
    let org = OrgId::default();
    let tenant = |sets| Tenant {
        org: &org,
        global: None,
        groups: sets,
    };
    let error = render(&[tenant(vec![("g", &group)])], false, false).unwrap_err();
    assert!(error.to_string().contains("Always"), "{error}");
}

#[test]
fn every_organisation_has_its_own_nodes_and_no_others() {
    // Given two organisations at one Prometheus, each with rules for all its nodes,
    let (ours, theirs) = (OrgId::default(), "acme".parse::<OrgId>().unwrap());
    let one = set(None, &["gpu-basic"]);
    let other = RuleSet {
        id: "acme-all".parse().unwrap(),
        org: theirs.clone(),
        ..set(None, &["gpu-basic"])
    };
    let tenants = [(&ours, &one), (&theirs, &other)].map(|(org, set)| Tenant {
        org,
        global: Some(set),
        groups: Vec::new(),
    });
    // when the files are made,
    let files = render(&tenants, true, true).unwrap();
    // then no rule is about both,
    let of = |name: &str| files.iter().find(|file| file.name == name).unwrap();
    assert!(of("aami-rules-global.yaml").text.contains("org=\""));
    assert!(
        of("aami-rules-acme-all.yaml").text.contains("org=\"acme\"")
            || of("aami-rules-acme-all.yaml").text.contains("org=\\\"acme\\\"")
    );
    // and what is about AAMI itself comes along, with what is in it.
    for name in crate::rules::FILES {
        let file = of(name);
        assert!(!file.groups.is_empty() && !file.alerts.is_empty(), "{name}");
    }
}

#[test]
fn a_rule_that_grows_longer_than_one_can_be_read_stays_with_its_organisation() {
    // Given a rule for everybody that is as long as rules may be, and a group that has it otherwise, so that what is left
    // of it is longer still,
    let mut long = "a{x=\"".to_owned();
    long.push_str(&"y".repeat(crate::promql::LONGEST - 20));
    long.push_str("\"} > 1");
    let blind = custom("Always", "vector(1)");
    for org in [OrgId::default(), "acme".parse().unwrap()] {
        let mut global = set(None, &[]);
        global.custom.push(custom("Long", &long));
        let mut group = set(Some("g"), &[]);
        group.overrides.push(RuleOverride {
            severity: Some(Severity::Critical),
            ..wish("Long")
        });
        let of = |global: &RuleSet| {
            let tenant = Tenant {
                org: &org,
                global: Some(global),
                groups: vec![("g", &group)],
            };
            render(&[tenant], true, false)
        };
        // when the files for a Prometheus of several organisations are made,
        let files = of(&global).unwrap();
        // then the rule looks at the nodes of its own alone, in both places.
        let value = if org == OrgId::default() { "" } else { "acme" };
        for file in &files {
            let rule = part(file, "Long").replace('\\', "");
            assert!(
                rule.contains(&format!("org=\"{value}\"}}")),
                "{org}: {}",
                &rule[rule.len() - 300..]
            );
        }
        assert_eq!(files.len(), 2);
        // What looks at nothing at all is nobody's but the default organisation's.
        global.custom.push(blind.clone());
        assert_eq!(of(&global).is_ok(), org == OrgId::default(), "{org}");
    }
}

#[test]
fn an_alert_that_sums_its_nodes_up_is_still_its_organisations() {
    let org = "acme".parse::<OrgId>().unwrap();
    let mut global = set(None, &[]);
    global.custom.push(custom("Few", "count(up) < 3"));
    let tenant = Tenant {
        org: &org,
        global: Some(&global),
        groups: Vec::new(),
    };
    let files = render(&[tenant], true, false).unwrap();
    let text = part(&files[0], "Few");
    assert!(text.contains("org: acme"), "{text}");
}

#[test]
fn another_number_stands_where_an_expression_ends_in_one() {
    let with = |text: &str| Expression::parse(text).unwrap().compared_with(0.5);
    for (text, expected) in [
        ("a > 85", Some("a > 0.5")),
        ("a >= bool -3", Some("a >= bool 0.5")),
        (
            "sum by (node) (rate(a[5m])) < 1e3 ",
            Some("sum by (node) (rate(a[5m])) < 0.5 "),
        ),
        ("a > 1 and b > 2", None),
        ("a unless b == 2", None),
        ("(a > 85)", None),
        ("a + 85", None),
        ("a > b", None),
        ("a", None),
    ] {
        assert_eq!(with(text).as_deref(), expected, "{text}");
    }
}

fn sets() -> impl Strategy<Value = Vec<RuleSet>> {
    let presets = proptest::sample::subsequence(
        presets::all().iter().map(|preset| preset.id).collect::<Vec<_>>(),
        0..4,
    );
    let customs = proptest::sample::subsequence(vec!["A", "B", "C", "D"], 0..4);
    let wishes = proptest::sample::subsequence(vec!["A", "B", "NodeDown", "GPUMemoryHigh"], 0..3);
    proptest::collection::vec((presets, customs, wishes, 0..3_u16, any::<bool>()), 1..5).prop_map(|all| {
        let made = all
            .into_iter()
            .enumerate()
            .map(|(at, (presets, customs, wishes, priority, disabled))| {
                let name = format!("g{at}");
                let mut set = set((at > 0).then_some(name.as_str()), &presets);
                set.priority = priority;
                set.custom = customs.into_iter().map(|name| custom(name, "up == 0")).collect();
                set.overrides = (wishes.into_iter())
                    .map(|alert| RuleOverride {
                        disabled,
                        lasting: Some("9m".to_owned()),
                        ..wish(alert)
                    })
                    .collect();
                set
            });
        made.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_order_things_come_in_changes_no_byte(sets in sets(), seed in any::<u64>()) {
        let bytes = |sets: &[RuleSet]| {
            let names: Vec<String> = sets.iter().map(|set| set.id.to_string()).collect();
            let org = OrgId::default();
            let tenant = Tenant {
                org: &org,
                global: sets.iter().find(|set| set.group.is_none()),
                groups: names.iter().map(String::as_str).zip(sets).filter(|(_, set)| set.group.is_some()).collect(),
            };
            rule_file::canonical(&render(&[tenant], false, true).unwrap())
        };
        let before = bytes(&sets);
        // A cheap shuffle, of the sets and of what is in them.
        let mut random = seed;
        let mut next = |most: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap_or(0) % most.max(1)
        };
        let mut mixed = sets;
        for set in &mut mixed {
            let at = next(set.presets.len());
            set.presets.rotate_left(at);
            set.custom.reverse();
            set.overrides.reverse();
        }
        let at = next(mixed.len());
        mixed.rotate_left(at);
        prop_assert_eq!(&before, &bytes(&mixed));
        // Nor does putting a set into its one order.
        for set in &mut mixed {
            put_in_order(set);
        }
        prop_assert_eq!(&before, &bytes(&mixed));
    }
}
