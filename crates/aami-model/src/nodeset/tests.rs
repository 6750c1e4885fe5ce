use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn names(text: &str) -> Vec<String> {
    let set: NodeSet = text.parse().unwrap();
    set.iter().map(str::to_owned).collect()
}

#[test]
fn ranges_are_expanded_as_operators_know_them() {
    for (text, expected) in [
        ("gpu1", vec!["gpu1"]),
        ("gpu[1-3]", vec!["gpu1", "gpu2", "gpu3"]),
        ("gpu[008-010]", vec!["gpu008", "gpu009", "gpu010"]),
        ("gpu[99-101]", vec!["gpu99", "gpu100", "gpu101"]),
        ("gpu[099-100]", vec!["gpu099", "gpu100"]),
        ("gpu[998-1000]", vec!["gpu998", "gpu999", "gpu1000"]),
        ("gpu[1-7/3]", vec!["gpu1", "gpu4", "gpu7"]),
        (
            "gpu[1-2,7]-ib[0-1]",
            vec![
                "gpu1-ib0", "gpu1-ib1", "gpu2-ib0", "gpu2-ib1", "gpu7-ib0", "gpu7-ib1",
            ],
        ),
        ("10.0.0.[9-11]", vec!["10.0.0.9", "10.0.0.10", "10.0.0.11"]),
        ("fd00::[1-2]", vec!["fd00::1", "fd00::2"]),
        ("n[1-2].example.com", vec!["n1.example.com", "n2.example.com"]),
        ("[1-2]", vec!["1", "2"]),
        ("gpu1[0-1]0", vec!["gpu100", "gpu110"]),
    ] {
        assert_eq!(names(text), expected, "{text}");
    }
}

#[test]
fn parts_are_joined_from_left_to_right() {
    for (text, expected) in [
        ("b,a, a c\nd", vec!["a", "b", "c", "d"]),
        ("n[1-5]!n[2-3]", vec!["n1", "n4", "n5"]),
        ("n[1-5] ! n[2-3] , n2", vec!["n1", "n2", "n4", "n5"]),
        ("n[1-5]&n[4-9]", vec!["n4", "n5"]),
        ("n[1-3]^n[3-4]", vec!["n1", "n2", "n4"]),
        ("n[1-3]^n[3,3]", vec!["n1", "n2"]),
        ("n1!n1", vec![]),
    ] {
        assert_eq!(names(text), expected, "{text}");
    }
}

#[test]
fn names_stand_in_the_order_of_their_numbers() {
    assert_eq!(
        names("gpu10,gpu9,gpu,gpu1,gpu01,ab2,9,10,gpu1-ib10,gpu1-ib9"),
        [
            "9",
            "10",
            "ab2",
            "gpu",
            "gpu1",
            "gpu1-ib9",
            "gpu1-ib10",
            "gpu01",
            "gpu9",
            "gpu10"
        ]
    );
}

#[test]
fn names_are_folded_as_operators_write_them() {
    for (names, expected) in [
        (vec!["gpu98"], "gpu98"),
        (vec!["gpu1", "gpu2", "gpu3", "gpu5"], "gpu[1-3,5]"),
        (vec!["gpu08", "gpu09", "gpu10"], "gpu[08-10]"),
        (vec!["gpu8", "gpu9", "gpu10"], "gpu[8-10]"),
        (vec!["n1", "n01", "n2", "n02"], "n[1-2,01-02]"),
        (
            vec!["a1-b1", "a1-b2", "a2-b1", "a2-b2", "a3-b1"],
            "a[1-2]-b[1-2],a3-b1",
        ),
        (vec!["login", "gpu1", "login"], "gpu1,login"),
        (vec!["10.0.0.1", "10.0.0.2"], "10.0.0.[1-2]"),
        (vec!["gpu2", "GPU 1", "gpu1"], "GPU 1,gpu[1-2]"),
        (
            vec!["n1234567890123456789", "n1234567890123456790"],
            "n1234567890123456789,n1234567890123456790",
        ),
        (vec![], ""),
    ] {
        assert_eq!(fold(names.iter().copied()), expected, "{names:?}");
    }
    let all: NodeSet = "gpu[001-128]".parse().unwrap();
    assert_eq!(all.to_string(), "gpu[001-128]");
    assert_eq!(all.len(), 128);
    assert!(all.contains("gpu007") && !all.contains("gpu7"));
}

#[test]
fn what_is_no_notation_is_named_with_its_place() {
    for (text, sentence) in [
        ("", "no node is named"),
        (" \n", "no node is named"),
        ("a,,b", "a name is missing at character 3"),
        ("a,", "a name is missing at character 3"),
        ("!a", "a name is missing at character 1"),
        ("@gpu", "groups (@ at character 1) are not part"),
        ("a;rm -rf /", "';' at character 2 cannot be part of a name"),
        ("a\u{1b}[2J", "'\\u{1b}' at character 2"),
        ("gpü1", "'ü' at character 3"),
        ("gpu[1-2", "the bracket at character 4 has no other half"),
        ("gpu[[1]", "the bracket at character 4 has no other half"),
        ("gpu1]", "the bracket at character 5 has no other half"),
        ("gpu[]", "\"\" at character 5 is no range"),
        ("gpu[a-c]", "\"a-c\" at character 5 is no range"),
        ("gpu[1,-2]", "\"-2\" at character 7 is no range"),
        ("gpu[1-2-3]", "\"1-2-3\" at character 5 is no range"),
        ("gpu[1-9/0]", "\"1-9/0\" at character 5 is no range"),
        ("gpu[7/2]", "\"7/2\" at character 5 is no range"),
        ("gpu[٣]", "is no range"),
        ("gpu[1-99999999999999999999]", "is no range"),
        ("gpu[4-1]", "the range 4-1 at character 5 ends before it begins"),
        ("gpu[001-10]", "begins and ends with another number of digits"),
        ("gpu[1-010]", "begins and ends with another number of digits"),
    ] {
        let error = text.parse::<NodeSet>().unwrap_err().to_string();
        assert!(error.contains(sentence), "{text:?}: {error}");
    }
}

#[test]
fn nothing_is_made_of_what_stands_for_too_much() {
    for text in [
        "a[0-999999999999999999]",
        "a[1-200001]",
        "a[1-1000]b[1-1000]c[1-1000]",
        "[0-999999999999999999][0-999999999999999999][0-999999999999999999]",
        &format!("a[{}]", vec!["1-200000"; 50].join(",")),
    ] {
        assert_eq!(
            text.parse::<NodeSet>(),
            Err(NodeSetError::TooMany { limit: LIMIT }),
            "{text:.60}"
        );
    }
    // Taking away costs as much as adding.
    for text in [
        "a[1-150],b[1-150]",
        "a[1-150]!a[1-150]",
        "a[1-150]&a[1-150]",
        "a[1-150]^a[1-150]",
    ] {
        assert_eq!(
            NodeSet::parse(text, 200),
            Err(NodeSetError::TooMany { limit: 200 }),
            "{text}"
        );
    }
    assert_eq!("a[1-200000]".parse::<NodeSet>().unwrap().len(), LIMIT);
    assert_eq!(
        NodeSet::parse("a,b,c", 2),
        Err(NodeSetError::TooMany { limit: 2 })
    );
    let long = "x".repeat(1_000_000);
    let error = long.parse::<NodeSet>().unwrap_err();
    assert!(matches!(error, NodeSetError::Long { .. }) && error.to_string().len() < 120);
    let brackets = "[1-2]".repeat(100_000);
    assert!(brackets.parse::<NodeSet>().is_err());
}

#[test]
fn a_set_of_names_expands_nothing() {
    assert_eq!(
        NodeSet::from_names(["n2", "n10", "n2"]).unwrap().to_string(),
        "n[2,10]"
    );
    assert!(NodeSet::from_names(["n[1-2]"]).is_err());
    assert!(NodeSet::from_names([""]).is_err());
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,2}[0-9]{1,3}",
        "[ab][0-3]-[01][0-2]{1,2}",
        "[a-z0-9._:-]{1,12}",
        "n0{0,3}[0-9]{1,2}",
        "n[0-9]{17,20}",
    ]
}

proptest! {
    #[test]
    fn what_is_folded_says_the_same_names(names in proptest::collection::btree_set(name(), 1..80)) {
        let set = NodeSet::from_names(&names).unwrap();
        let folded = set.to_string();
        let read: NodeSet = folded.parse().unwrap();
        prop_assert_eq!(&read, &set, "{}", &folded);
        let back: BTreeSet<String> = read.iter().map(str::to_owned).collect();
        prop_assert_eq!(back, names);
        // Folding is the end of it, whatever order the names come in.
        prop_assert_eq!(read.to_string(), folded);
    }

    #[test]
    fn a_range_is_folded_to_itself(first in 0_u64..2_000, count in 1_u64..500, width in 0_usize..7) {
        let all: Vec<String> = (first..first + count).map(|n| format!("gpu{n:0width$}")).collect();
        let folded = fold(all.iter().map(String::as_str));
        let expected = if count == 1 {
            all[0].clone()
        } else {
            format!("gpu[{first:0width$}-{:0width$}]", first + count - 1)
        };
        prop_assert_eq!(folded, expected);
    }

    #[test]
    fn the_order_is_one(mut names in proptest::collection::vec(name(), 3)) {
        names.sort_by(|a, b| natural(a, b));
        prop_assert!(natural(&names[0], &names[2]).is_le());
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            prop_assert_eq!(natural(&names[a], &names[b]), natural(&names[b], &names[a]).reverse());
            prop_assert_eq!(natural(&names[a], &names[b]).is_eq(), names[a] == names[b]);
        }
    }

    #[test]
    fn no_text_does_harm(text in "[a-c0-9\\[\\],!&^@/ \\-\u{e9}]{0,40}") {
        if let Ok(set) = NodeSet::parse(&text, 1_000) {
            prop_assert!(set.len() <= 1_000);
            let folded = set.to_string();
            if !set.is_empty() {
                prop_assert_eq!(folded.parse::<NodeSet>().unwrap(), set);
            }
        }
    }
}
