//! `${VAR}` in a value: found, put in, and never taken for more than text.
//!
//! What a variable holds is put in after YAML was read, so nothing in it can become a key, a comment or a list.
//! `$${` stands for `${` itself.

/// A piece of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// A value with its variables put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// The text; what is not set is left out of it.
    pub(crate) text: String,
    /// The variables that were put in, each once, in their order.
    pub(crate) used: Vec<String>,
    /// Those that are not set.
    pub(crate) unset: Vec<String>,
}

/// Why a value's variables cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotVariables {
    /// `${` without `}`.
    #[error("`${{` is not closed")]
    Open,
    /// Something else than a name.
    #[error("between `${{` and `}}` stands a variable's name: letters, digits and `_`")]
    Name,
}

/// Puts the variables in. In: a value, and where variables are looked up; an empty one counts as not set. Fails where
/// a `${` is not closed or holds no name.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, NotVariables> {
    let mut expanded = Expanded::default();
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => expanded.text.push_str(text),
            Piece::Variable(name) => {
                let found = lookup(name).filter(|value| !value.is_empty());
                let names = if found.is_some() {
                    &mut expanded.used
                } else {
                    &mut expanded.unset
                };
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
                expanded.text.push_str(&found.unwrap_or_default());
            }
        }
    }
    Ok(expanded)
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, NotVariables> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            // `$${`: one of the two dollars goes.
            pieces.push(Piece::Text(&rest[..at - 1]));
            pieces.push(Piece::Text("${"));
            rest = &rest[at + 2..];
            continue;
        }
        pieces.push(Piece::Text(&rest[..at]));
        let inner = &rest[at + 2..];
        let (name, after) = inner.split_once('}').ok_or(NotVariables::Open)?;
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !first || name.len() > 128 || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(NotVariables::Name);
        }
        pieces.push(Piece::Variable(name));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// The text that reads back as `text`: `${` escaped.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "B" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_put_in_once() {
        for (text, wanted) in [
            ("${A}", "one"),
            ("x${A}y${A}", "xoneyone"),
            ("${B}", "${A}"),
            ("$${A}", "${A}"),
            ("$A", "$A"),
            ("a$", "a$"),
            ("{{ $labels.node }}", "{{ $labels.node }}"),
        ] {
            assert_eq!(expand(text, &lookup).unwrap().text, wanted, "{text:?}");
        }
        assert_eq!(expand("${A}${A}${B}", &lookup).unwrap().used, ["A", "B"]);
    }

    #[test]
    fn what_is_not_set_is_named_and_never_empty() {
        let expanded = expand("${NO}/${EMPTY}/${NO}", &lookup).unwrap();
        assert_eq!(expanded.unset, ["NO", "EMPTY"]);
        assert!(expanded.used.is_empty());
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        assert_eq!(expand("${A", &lookup), Err(NotVariables::Open));
        for text in ["${}", "${A:-x}", "${1}", "${a b}", "${A\n}", "${${A}}"] {
            assert_eq!(expand(text, &lookup), Err(NotVariables::Name), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_escaped_reads_back(text in "[a${}A]{0,12}") {
            prop_assert_eq!(expand(&escape(&text), &lookup).unwrap().text, text);
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,40}") {
            let _ = expand(&text, &lookup);
        }
    }
}
