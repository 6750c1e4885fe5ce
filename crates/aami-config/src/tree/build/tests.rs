use proptest::prelude::*;

use super::*;

fn root(text: &str) -> Node<'_> {
    parse(text.as_bytes()).unwrap().root
}

fn refusal(text: &str) -> (usize, String) {
    let problem = parse(text.as_bytes()).unwrap_err();
    (problem.line, problem.sentence)
}

/// What stands at a value's place in the text.
fn at<'t>(text: &'t str, node: &Node<'_>) -> &'t str {
    text[node.span.clone()].trim_end()
}

#[test]
fn every_value_knows_its_place_in_the_text() {
    let text = "\
# ours
cluster:
  name: 'my fleet'   # quoted

nodes:
- name: gpu1
  labels: {rack: A1, row: \"3\"}
- name: gpu2
ssh: {port: 22}
";
    let tree = root(text);
    let name = tree.get("cluster").unwrap().get("name").unwrap();
    assert_eq!(
        (name.line, at(text, name), name.text()),
        (3, "'my fleet'", Some("my fleet"))
    );
    let nodes = tree.get("nodes").unwrap();
    assert_eq!(nodes.items().len(), 2);
    assert_eq!(
        nodes.span.end,
        text.find(
            "
ssh"
        )
        .unwrap()
    );
    let labels = nodes.items()[0].get("labels").unwrap();
    assert_eq!(at(text, labels), "{rack: A1, row: \"3\"}");
    assert_eq!(nodes.items()[1].line, 8);
    assert_eq!(at(text, tree.get("ssh").unwrap()), "{port: 22}");
    let key = tree.entry("ssh").unwrap();
    assert_eq!((&text[key.key_span.clone()], key.line), ("ssh", 9));
}

#[test]
fn places_hold_with_a_byte_order_mark_wide_characters_and_crlf() {
    let text = "\u{feff}name: \u{e4}\u{1f600}\r\nnext: value\r\n";
    let tree = root(text);
    assert_eq!(at(text, tree.get("name").unwrap()), "\u{e4}\u{1f600}");
    assert_eq!(at(text, tree.get("next").unwrap()), "value");
    assert_eq!(tree.get("next").unwrap().line, 2);
}

#[test]
fn an_empty_text_is_an_empty_mapping() {
    for text in ["", "\n", "# nothing yet\n", "---\n", "~\n"] {
        assert!(matches!(root(text).value, Value::Map { .. }), "{text:?}");
    }
}

#[test]
fn nothing_written_is_nothing_and_ends_where_its_key_does() {
    let text = "a:\nb: ~\nc: ''\nd: null\n";
    let tree = root(text);
    let is_null = |key| tree.entry(key).unwrap().value.is_null();
    assert!(is_null("a") && is_null("b") && is_null("d") && !is_null("c"));
    assert!(tree.get("c").unwrap().is_blank());
}

#[test]
fn aliases_are_followed_and_told_where_they_stand() {
    let text = "a: &rack {rack: A1}\nb: *rack\n";
    let tree = root(text);
    let b = tree.get("b").unwrap();
    assert!(b.aliased && b.get("rack").unwrap().aliased);
    assert_eq!((b.line, b.get("rack").unwrap().line), (2, 2));
    assert_eq!(at(text, b), "*rack");
    assert_eq!(b.get("rack").unwrap().text(), Some("A1"));
}

#[test]
fn a_bomb_of_aliases_is_refused_at_its_line() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let one = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![one; 10].join(", ")));
    }
    let (line, sentence) = refusal(&text);
    assert!(
        (3..8).contains(&line) && sentence.contains("100000"),
        "{line}: {sentence}"
    );
}

#[test]
fn aliases_cannot_grow_deeper_than_values_may_lie() {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(refusal(&text).1.contains("32 deep"));
}

#[test]
fn what_is_not_read_here_is_refused_with_its_line() {
    for (text, line, word) in [
        ("a: 1\nb: [\n", 3, "YAML"),
        ("a: 1\n\tb: 2\n", 2, "YAML"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: !secret x\n", 1, "tags"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge"),
        ("? [a, b]\n: c\n", 1, "key"),
        ("a: *nobody\n", 1, "YAML"),
    ] {
        let (found, sentence) = refusal(text);
        assert!(sentence.contains(word), "{text:?}: {sentence}");
        assert!(found.abs_diff(line) <= 1, "{text:?}: line {found}");
    }
    assert!(refusal(&"[".repeat(10_000)).1.contains("YAML"));
    assert!(refusal(&"- ".repeat(10_000)).1.len() < 400);
    assert!(
        parse(&vec![b'a'; MOST_BYTES + 1])
            .unwrap_err()
            .sentence
            .contains("bytes")
    );
}

#[test]
fn keys_given_twice_are_told_and_the_first_one_holds() {
    let tree = parse(b"a: 1\nb: 2\na: 3\n").unwrap();
    assert_eq!(tree.root.get("a").unwrap().text(), Some("1"));
    let problems = tree.problems.into_problems().unwrap();
    assert_eq!(
        (problems.list()[0].line, problems.list()[0].field.as_str()),
        (3, "a")
    );
}

#[test]
fn many_lines_of_comments_are_no_reason_to_refuse() {
    let text = format!("{}a:\n{}  b: 1\n", "# c\n".repeat(5_000), "  # d\n".repeat(5_000));
    assert_eq!(root(&text).get("a").unwrap().get("b").unwrap().text(), Some("1"));
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_text_is_too_strange(text in "[ \\n\\t:#\\-\\[\\]{},&*!|>'\"%@`?~a1\\r\u{feff}\u{e4}]{0,60}") {
        if let Ok(tree) = parse(text.as_bytes()) {
            within(&text, &tree.root)?;
        }
    }
}

/// Every value lies within the text, at borders of characters, however strange the text is.
fn within(text: &str, node: &Node<'_>) -> Result<(), TestCaseError> {
    prop_assert!(text.get(node.span.clone()).is_some(), "{:?}", node.span);
    for item in node.items() {
        within(text, item)?;
    }
    for entry in node.entries() {
        prop_assert!(text.get(entry.key_span.clone()).is_some());
        within(text, &entry.value)?;
    }
    Ok(())
}
