use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> SyntaxError {
    match Expression::parse(text) {
        Ok(read) => panic!("{text:?} was read as {read:?}"),
        Err(error) => error,
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, at, what) in [
        (
            "",
            0,
            "the end stands where a metric, a function or a number is expected",
        ),
        (
            "up ==",
            5,
            "the end stands where a metric, a function or a number is expected",
        ),
        ("rate(up)", 5, "rate takes series over a time, and this is series"),
        ("rate(up[5m]", 11, "the end stands where \",\" is expected"),
        ("rte(up[5m])", 0, "there is no function \"rte\""),
        (
            "up{job=node}",
            7,
            "\"node\" stands where a text in quotes is expected",
        ),
        (
            "up{job=~\"[\"}",
            8,
            "\"[\" is no regular expression that Prometheus knows",
        ),
        ("up{", 3, "the end stands where the name of a label is expected"),
        (
            "{job=~\".*\"}",
            0,
            "this chooses every series there is; name a metric, or a label that is not empty",
        ),
        ("up) or vector(1", 2, "\")\" is not expected here"),
        ("1 > 2", 2, "two numbers are compared with bool, as in > bool"),
        ("up[5x]", 3, "\"5x\" is no number and no duration"),
        (
            "(up)[5m]",
            4,
            "a range belongs to a metric, a range with a step to series",
        ),
        ("up and 1", 3, "and, or and unless stand between series"),
        ("größe", 2, "'ö' means nothing here"),
    ] {
        let error = refused(text);
        assert_eq!((error.at, error.what.as_str()), (at, what), "{text}");
    }
    assert_eq!(
        refused("rte(up)").to_string(),
        "at character 1: there is no function \"rte\""
    );
}

#[test]
fn what_an_expression_gives_is_known() {
    for (text, kind) in [
        ("up", Kind::Vector),
        ("up[5m]", Kind::Range),
        ("\"up\"", Kind::Text),
        ("1 + -2 ^ 3 % Inf", Kind::Scalar),
        ("scalar(up) * 2", Kind::Scalar),
        ("time() - up", Kind::Vector),
        ("max_over_time(sum by (a) (up)[30m:1m] offset 1h)", Kind::Vector),
        ("count_values without (a) (\"v\", up) # and why", Kind::Vector),
    ] {
        assert_eq!(Expression::parse(text).unwrap().kind(), kind, "{text}");
    }
}

#[test]
fn matchers_go_into_every_selector_and_nothing_else_changes() {
    let group = |compared, values: &[&str]| Matcher::new("group", compared, values.iter().copied()).unwrap();
    let only = [group(Compared::In, &["a"])];
    for (text, restricted) in [
        ("up", "up{group=\"a\"}"),
        ("up{}", "up{group=\"a\"}"),
        ("up { job = 'x', } == 0", "up { job = 'x', group=\"a\"} == 0"),
        ("{job=\"x\"}", "{job=\"x\",group=\"a\"}"),
        (
            "rate(a[5m] offset 1h) / on (x) group_left (y) sum by (x) (b{c!~\"}\"}) # up",
            "rate(a{group=\"a\"}[5m] offset 1h) / on (x) group_left (y) sum by (x) (b{c!~\"}\",group=\"a\"}) # up",
        ),
        ("sum(count) by (by)", "sum(count{group=\"a\"}) by (by)"),
        ("absent(up) or vector(1)", "absent(up{group=\"a\"}) or vector(1)"),
    ] {
        let read = Expression::parse(text).unwrap();
        assert_eq!(read.restricted(&only), restricted);
        assert_eq!(read.restricted(&[]), text);
    }
    let both = [
        group(Compared::NotIn, &["b", "a.b", "b"]),
        Matcher::new("node", Compared::In, ["x\"\n\\"]).unwrap(),
    ];
    assert_eq!(
        Expression::parse("up").unwrap().restricted(&both),
        "up{group!~\"a\\\\.b|b\",node=\"x\\\"\\n\\\\\"}"
    );
    assert_eq!(Matcher::new("a-b", Compared::In, ["x"]), None);
    assert_eq!(Matcher::new("a", Compared::In, [""; 0]), None);
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_at_once() {
    assert!(refused(&"a".repeat(LONGEST + 1)).what.contains("longer"));
    for nested in ["(", "-", "sum(", "a ^ ", "a[5m:1m"] {
        refused(&nested.repeat(LONGEST / nested.len()));
    }
    let deep = format!("{}up{}", "(".repeat(30), ")".repeat(30));
    assert!(Expression::parse(&deep).is_ok());
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in any::<String>()) {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn no_heap_of_words_breaks_the_parser(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "up", "{", "}", "(", ")", "[", "]", "5m", ":", ",", "\"x\"", "'", "`", "=", "=~", "!~", "by", "on",
                "sum", "rate", "and", "unless", "group_left", "offset", "@", "1", "-", "^", "#", "\n", "\\", "bool",
            ]),
            0..60,
        ),
    ) {
        if let Ok(read) = Expression::parse(&words.join(" ")) {
            // What is read stays readable over fewer series, and the same fewer.
            let node = Matcher::new("node", Compared::In, ["a|b", "\"}"]).unwrap();
            let restricted = read.restricted(&[node]);
            let again = Expression::parse(&restricted).unwrap();
            prop_assert_eq!(again.kind(), read.kind());
            prop_assert_eq!(again.metrics().collect::<Vec<_>>(), read.metrics().collect::<Vec<_>>());
            prop_assert_eq!(restricted.matches("node=~").count(), read.selectors.len());
        }
    }

    #[test]
    fn any_value_is_matched_as_itself(values in proptest::collection::vec(any::<String>(), 1..4)) {
        let matcher = Matcher::new("a", Compared::In, values).unwrap();
        let text = Expression::parse("up").unwrap().restricted(&[matcher]);
        prop_assert!(Expression::parse(&text).is_ok(), "{}", text);
    }
}
