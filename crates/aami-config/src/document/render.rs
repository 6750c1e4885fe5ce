//! Values as they are written.

use super::plain::Plain;
use crate::newnode::NewNode;
use crate::variable::escape;

/// A text that means itself, whatever it looks like: `${` is escaped.
pub(super) fn literal(text: &str) -> String {
    escape(text)
}

/// A node's entry.
pub(super) fn node(node: &NewNode) -> Plain {
    let mut pairs = Vec::new();
    let mut pair = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            pairs.push((key.to_owned(), Plain::Text(literal(&value))));
        }
    };
    pair("name", Some(node.name.to_string()));
    pair("ip", Some(node.ip.to_string()));
    pair("group", node.group.clone());
    pair("ssh_user", node.ssh_user.clone());
    pair("ssh_key", node.ssh_key.clone());
    pair("ssh_port", node.ssh_port.map(|port| port.to_string()));
    pair("proxy_jump", node.proxy_jump.as_ref().map(ToString::to_string));
    if !node.labels.0.is_empty() {
        let labels = node
            .labels
            .0
            .iter()
            .map(|(name, value)| (name.clone(), Plain::Text(literal(value))))
            .collect();
        pairs.push(("labels".to_owned(), Plain::Map(labels)));
    }
    Plain::Map(pairs)
}

/// A plain value. Quotes where YAML, or another reader of it, could take it for something else.
pub(super) fn scalar(text: &str) -> String {
    let first = text.bytes().next();
    let begins_well = first.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'/') || text.starts_with("~/");
    let is_simple = begins_well
        && !text.ends_with(':')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_./:@+=%~-\\".contains(&b));
    if is_simple && !is_another_type(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let code = u32::from(c);
                quoted.push_str(&format!("\\U{code:08X}"));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A value of `set`: numbers and `true` stay what they are.
pub(super) fn setting(text: &str) -> String {
    let is_number = !text.is_empty()
        && text.len() < 19
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if is_number || matches!(text, "true" | "false") {
        return text.to_owned();
    }
    scalar(text)
}

/// Whether readers of YAML 1.1 or 1.2 take a plain text for a number, a truth, a date or nothing.
fn is_another_type(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_word = matches!(
        lower.as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "~" | "nan" | "inf"
    );
    // An address is a number in no notation; whatever else begins with a digit and goes on like a number is quoted.
    let like_a_number = text.bytes().next().is_some_and(|b| b.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b"._+-:xXoO".contains(&b))
        && text.parse::<std::net::IpAddr>().is_err();
    let is_sexagesimal =
        text.contains(':') && text.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.');
    is_word || like_a_number || is_sexagesimal
}

/// A value in brackets, on one line.
pub(super) fn flow(value: &Plain) -> String {
    match value {
        Plain::Nothing => "null".to_owned(),
        Plain::Text(text) => flow_scalar(text),
        Plain::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Plain::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key), flow(value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

fn flow_scalar(text: &str) -> String {
    setting(text)
}

/// A value as lines: the first without indentation, the others indented by `indent`. What follows a key is on the
/// key's own line or below it.
pub(super) fn block(value: &Plain, indent: usize, broken: &str) -> String {
    let spaces = " ".repeat(indent);
    match value {
        Plain::Nothing => "null".to_owned(),
        Plain::Text(text) => setting(text),
        Plain::List(items) if items.is_empty() => "[]".to_owned(),
        Plain::Map(pairs) if pairs.is_empty() => "{}".to_owned(),
        Plain::List(items) => {
            let lines: Vec<String> = items
                .iter()
                .map(|item| format!("- {}", block(item, indent + 2, broken)))
                .collect();
            lines.join(&format!("{broken}{spaces}"))
        }
        Plain::Map(pairs) => {
            let lines: Vec<String> = pairs
                .iter()
                .map(|(key, value)| {
                    let key = scalar(key);
                    if is_collection(value) {
                        let deeper = indent + 2;
                        let below = block(value, deeper, broken);
                        format!("{key}:{broken}{}{below}", " ".repeat(deeper))
                    } else {
                        format!("{key}: {}", block(value, indent, broken))
                    }
                })
                .collect();
            lines.join(&format!("{broken}{spaces}"))
        }
    }
}

/// Whether a value takes lines of its own.
fn is_collection(value: &Plain) -> bool {
    match value {
        Plain::Nothing | Plain::Text(_) => false,
        Plain::List(items) => !items.is_empty(),
        Plain::Map(pairs) => !pairs.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree;

    #[test]
    fn quotes_stand_where_they_are_needed() {
        for (text, written) in [
            ("gpu1", "gpu1"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::1", "\"::1\""),
            ("~/.ssh/id_ed25519", "~/.ssh/id_ed25519"),
            ("corp\\ann", "corp\\ann"),
            ("yes", "\"yes\""),
            ("010", "\"010\""),
            ("1e3", "\"1e3\""),
            ("12:30", "\"12:30\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("${X}", "\"${X}\""),
            ("a\nb\u{7}", "\"a\\nb\\U00000007\""),
            ("- a", "\"- a\""),
        ] {
            assert_eq!(scalar(text), written, "{text:?}");
        }
        assert_eq!(setting("100"), "100");
        assert_eq!(setting("true"), "true");
        assert_eq!(setting("007"), "\"007\"");
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in "\\PC{0,20}|[a-z:#,\\[\\]{}&*!|>'\"%@` \\n\\t-]{0,12}") {
            let value = Plain::Map(vec![("key".to_owned(), Plain::Text(text))]);
            for written in [format!("{}\n", block(&value, 0, "\n")), flow(&value)] {
                let tree = tree::parse(written.as_bytes()).unwrap();
                prop_assert_eq!(&Plain::of(&tree.root), &value, "{}", written);
            }
        }
    }
}
