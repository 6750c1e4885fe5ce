//! A metrics path as Prometheus wants it told.
//!
//! `__metrics_path__` becomes the path of a URL as it is: a `?` in it would be escaped to `%3F`, and
//! `%20` to `%2520` (`Target.URL` in `scrape/target.go`). So the path is handed over decoded and each
//! query parameter as a `__param_NAME` label of its own.

use aami_model::label::check_name;

/// A metrics path taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapePath {
    /// The path, decoded.
    pub path: String,
    /// The query, in its order: name and value, decoded. A label can carry one value only, so the first
    /// of a repeated name stands. A name that cannot stand in a label (`collect[]`) cannot be told
    /// through discovery and is left out.
    pub parameters: Vec<(String, String)>,
}

/// Takes a checked path (`aami_model::exporter::Exporter::check`) apart.
pub fn split(text: &str) -> ScrapePath {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let mut parameters: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(&name.replace('+', " "));
        let value = decoded(&value.replace('+', " "));
        if is_label_ending(&name) && !parameters.iter().any(|(known, _)| *known == name) {
            parameters.push((name, value));
        }
    }
    ScrapePath {
        path: decoded(path),
        parameters,
    }
}

/// Whether `__param_NAME` is a label name.
fn is_label_ending(name: &str) -> bool {
    !name.is_empty() && check_name(&format!("x_{name}")).is_ok()
}

/// Undoes percent-encoding; a text that does not decode to printable UTF-8 stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match pair.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' && !after.starts_with(b"+") => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(plain) if !plain.chars().any(char::is_control) => plain,
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameters(text: &str) -> Vec<(String, String)> {
        split(text).parameters
    }

    #[test]
    fn an_ordinary_path_stays() {
        assert_eq!(
            split("/metrics"),
            ScrapePath {
                path: "/metrics".into(),
                parameters: vec![]
            }
        );
    }

    #[test]
    fn a_query_becomes_parameters() {
        let split = split("/probe?module=icmp&target=a%2Fb");
        assert_eq!(split.path, "/probe");
        assert_eq!(
            split.parameters,
            [("module".into(), "icmp".into()), ("target".into(), "a/b".into())]
        );
    }

    #[test]
    fn what_a_label_cannot_carry_is_left_out() {
        assert_eq!(
            parameters("/m?collect%5B%5D=cpu&a=1&a=2"),
            [("a".into(), "1".into())]
        );
        assert_eq!(parameters("/m?&&=x"), []);
    }

    #[test]
    fn what_does_not_decode_stays_as_it_is() {
        for text in ["/%", "/%4", "/%zz", "/%ff", "/%0a", "/%+1"] {
            assert_eq!(split(text).path, text);
        }
        assert_eq!(split("/a%20b").path, "/a b");
    }

    proptest! {
        #[test]
        fn no_path_breaks_it(text in ".{0,40}") {
            for (name, value) in split(&text).parameters {
                prop_assert!(is_label_ending(&name));
                prop_assert!(value.len() <= text.len());
            }
        }
    }
}
