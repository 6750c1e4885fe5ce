//! Our reading of PromQL against Prometheus' own: what is accepted here, promtool accepts.

use std::process::Command;

use aami_monitor::promql::{Compared, Expression, Matcher};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::engine::prometheus;

/// Whether promtool takes all of these as alerts.
fn taken(expressions: &[String]) -> Result<(), String> {
    let rules = expressions.iter().enumerate();
    let rules: Vec<_> = rules
        .map(|(at, expr)| json!({"alert": format!("A{at}"), "expr": expr}))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    let text = json!({"groups": [{"name": "g", "rules": rules}]}).to_string();
    std::fs::write(&file, text).unwrap();
    let output = Command::new(prometheus().join("promtool"))
        .args(["check", "rules"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(said)
    }
}

/// Expressions of every kind that there is, put together at random.
fn expression() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "by", "le", "_x1"]);
    let value = prop::sample::select(vec!["\"x\"", "'y\\n'", "`z\\`", "\"\"", "\"{\\\"}\"", "\"ü\""]);
    let sign = prop::sample::select(vec!["=", "!=", "=~", "!~"]);
    let matcher = (label, sign, value).prop_map(|(label, sign, value)| {
        // Not every text is a regular expression.
        let value = if sign.contains('~') { "\"a|b.+\"" } else { value };
        format!("{label} {sign} {value}")
    });
    let name = prop::sample::select(vec!["up", "a:b:c", "count", "job_x", "node_load1"]);
    let selector = (
        name,
        proptest::option::of(proptest::collection::vec(matcher, 0..3)),
        any::<bool>(),
    )
        .prop_map(|(name, matchers, comma)| match matchers {
            None => name.to_owned(),
            Some(matchers) => {
                let comma = if comma && !matchers.is_empty() { "," } else { "" };
                format!("{name} {{{}{comma}}}", matchers.join(", "))
            }
        });
    let later = prop::sample::select(vec![
        "",
        " offset 5m",
        " offset -1h30m",
        " @ 1609746000",
        " @ end() offset 1d",
    ]);
    let leaf = (selector, later).prop_map(|(selector, later)| format!("{selector}{later}"));
    let number = prop::sample::select(vec![
        "1", "0x1f", ".5", "1e-3", "Inf", "nan", "pi()", "time()", "-2 ^ 2",
    ]);
    leaf.prop_recursive(4, 40, 3, move |inner| {
        let set = prop::sample::select(vec!["and", "or", "unless", "AND on (a)", "unless ignoring ()"]);
        let maths = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            "==",
            "> bool",
            "<= on (a, le) group_left (by)",
        ]);
        let number = number.clone();
        let aggregation = prop::sample::select(vec![
            "sum by (a, le) (@)",
            "count(@) without ()",
            "topk(3, @)",
            "QUANTILE by (by) (0.5, @)",
            "count_values('v', @)",
            "group without (a,) (@)",
        ]);
        let function = prop::sample::select(vec![
            "rate(up[5m])",
            "increase(up{a=\"b\"}[1h] offset 5m)",
            "max_over_time((@)[30m:1m])",
            "avg_over_time(sum(@)[1h:] @ start())",
            "abs(@)",
            "clamp(@, 1, 2)",
            "round(@)",
            "round(@, 0.1)",
            "label_replace(@, 'a', '$1', 'b', '(.*)')",
            "label_join(@, 'a', ',', 'b', 'c')",
            "vector(scalar(@))",
            "absent(@)",
            "hour()",
            "hour(@)",
            "quantile_over_time(0.9, up[5m])",
            "sort_desc(@)",
        ]);
        prop_oneof![
            (inner.clone(), set, inner.clone()).prop_map(|(one, set, other)| format!("{one} {set} {other}")),
            (inner.clone(), maths, inner.clone())
                .prop_map(|(one, sign, other)| format!("({one}) {sign} ({other})")),
            (inner.clone(), number).prop_map(|(one, number)| format!("{one} > {number}")),
            (aggregation, inner.clone())
                .prop_map(|(form, inner)| form.replace('@', &format!("{inner} # why\n"))),
            (function, inner.clone()).prop_map(|(form, inner)| {
                if form.contains("start()") || !form.contains('@') {
                    form.replacen("(@)", &format!("({inner})"), 1)
                } else {
                    form.replace('@', &inner)
                }
            }),
            inner.prop_map(|inner| format!("-({inner})")),
        ]
    })
}

#[test]
fn what_is_accepted_here_promtool_accepts_and_over_fewer_series_too() {
    // Given expressions put together at random, the same each time,
    let mut runner = TestRunner::deterministic();
    let strategy = expression();
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for _ in 0..600 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        match Expression::parse(&text) {
            Ok(read) => {
                let only = Matcher::new("team", Compared::In, ["a", "b.c\"\\"]).unwrap();
                accepted.push(read.restricted(&[only]));
                accepted.push(text);
            }
            // A comparison of a matched label in both groups, say; the grammar above is coarser than PromQL.
            Err(_) => refused += 1,
        }
    }
    assert!(accepted.len() > 900, "{refused} of 600 were refused");
    // then promtool takes every one that was read, and the same over fewer series.
    if let Err(said) = taken(&accepted) {
        panic!("{said}");
    }
}

#[test]
fn what_promtool_refuses_is_refused_here() {
    for text in [
        "",
        "up{",
        "up}",
        "up{a}",
        "up{a=b}",
        "up{a=\"b\"",
        "up{a=\"b\" c=\"d\"}",
        "up{,}",
        "{}",
        "{a=\"\"}",
        "{a=~\".*\"}",
        "{a!=\"x\"}",
        "{a!~\"x\"}",
        "up{__name__=\"x\"}",
        "up{a=~\"[\"}",
        "up{a=~\"\\\\u1234\"}",
        "up{a=~\"x{1001}\"}",
        "up[5m]5",
        "up[]",
        "up[0s]",
        "up[5]",
        "up[5m:0s]",
        "up[5m][5m]",
        "(up)[5m]",
        "up offset 5m[5m]",
        "up offset",
        "up offset 5",
        "up offset 1m offset 2m",
        "1 offset 5m",
        "up @",
        "up @ x",
        "sum",
        "sum(",
        "sum()",
        "sum(1)",
        "sum(up,up)",
        "sum by (up)",
        "sum by a (up)",
        "topk(up)",
        "topk(up, up)",
        "count_values(1, up)",
        "rate()",
        "rate(up)",
        "rate(up[5m], 1)",
        "abs(up,)",
        "nothing(up)",
        "RATE(up[5m])",
        "label_join(up, 'a', 1)",
        "time(up)",
        "up +",
        "+",
        "up up",
        "up == == up",
        "1 == 1",
        "1 and 2",
        "up and 1",
        "up + 'a'",
        "up + on (a) 1",
        "up + on (a group_left up",
        "up + group_left up",
        "up and on (a) group_left (b) up",
        "up > on (a) group_left (a) up",
        "up + bool up",
        "'a",
        "\"a\nb\"",
        "'\\y'",
        "'\\xzz'",
        "0x",
        "1e",
        "1.2.3",
        "5mm",
        "1d1w",
        "up[5m:1m",
        "-'a'",
        "-up[5m]",
        "!up",
        "up = 1",
        "up =~ 'a'",
        "up;",
        "ü",
        "up{ü='a'}",
        "by (a) up",
        "bool",
        "up offset 5m @ 1 offset 5m",
        "up @ 1 @ 2",
        "vector(up)",
        "scalar(1)",
        "round(up, 1, 2)",
    ] {
        let promtool = taken(&[text.to_owned()]);
        let ours = Expression::parse(text);
        if promtool.is_err() || text.is_empty() {
            assert!(ours.is_err(), "{text:?} was read, and promtool says {promtool:?}");
        }
    }
}
