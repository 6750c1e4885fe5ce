//! Secrets taken out of a text that leaves the node: AAMI's own, passwords in addresses, and values whose name says
//! that they are secret, in settings as in JSON.
//!
//! It errs on the side of too much: of a value whose end is not clear, everything up to the end of the line goes.

use std::ops::Range;

/// What stands in a secret's place.
const CONCEALED: &str = "[concealed]";
/// What AAMI's secrets begin with.
const OURS: [&str; 4] = ["aami_", "aamik_", "aamin_", "aamir_"];
/// Ends of names of values that nobody else should see.
const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "secret_key",
    "private_key",
];
/// Words before a value that nobody else should see.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// The text without them.
pub(in crate::daemon) fn concealed(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n")
}

fn line(text: &str) -> String {
    let mut line = without(text, |from| login(text, from));
    line = without(&line, |from| own(&line, from));
    for (words, begins) in [
        (&NAMES[..], setting as fn(&str) -> Option<usize>),
        (&SCHEMES[..], next_word),
    ] {
        for word in words {
            let lower = line.to_ascii_lowercase();
            line = without(&line, |from| value(&line, &lower, from, word, begins));
        }
    }
    line
}

/// The text with something else in the place of each part that `next` finds at or behind a place, from left to right.
/// A part may be empty: then nothing is replaced, and the search goes on behind it.
fn without(text: &str, next: impl Fn(usize) -> Option<Range<usize>>) -> String {
    let mut left = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(found) = next(from) {
        left.push_str(&text[from..found.start]);
        if !found.is_empty() {
            left.push_str(CONCEALED);
        }
        from = found.end;
    }
    left.push_str(&text[from..]);
    left
}

const fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

/// How long a word is: to the next blank or quote.
fn word(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || is_quote(c))
        .unwrap_or(text.len())
}

/// `scheme://user:password@host`. A password may hold anything that is no blank, also `/` and `@`.
fn login(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text[from..].find("://")? + 3;
    let word = &text[start..start + word(&text[start..])];
    Some(match word.rfind('@') {
        Some(at) => start..start + at,
        None => start + word.len()..start + word.len(),
    })
}

/// A secret of AAMI's.
fn own(text: &str, from: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    let start = from + OURS.iter().filter_map(|prefix| rest.find(prefix)).min()?;
    let rest = &text[start..];
    let length = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        .unwrap_or(rest.len());
    // `aami_install_runs_total` is a name: a secret has a part of 32 characters.
    let is_secret = rest[..length].split('_').any(|part| part.len() >= 24);
    Some(if is_secret {
        start..start + length
    } else {
        start + length..start + length
    })
}

/// The value behind a word; `begins` says where it does, in what stands behind the word.
fn value(
    text: &str,
    lower: &str,
    from: usize,
    word: &str,
    begins: impl Fn(&str) -> Option<usize>,
) -> Option<Range<usize>> {
    let behind = from + lower[from..].find(word)? + word.len();
    Some(match begins(&text[behind..]) {
        Some(blanks) => {
            let start = behind + blanks;
            start..start + length(text, start)
        }
        None => behind..behind,
    })
}

/// `name=value`, `name: value`, `"name": "value"`, and that once more in quotes.
fn setting(behind: &str) -> Option<usize> {
    let rest = behind.trim_start_matches(['\\', '"', '\'']).trim_start();
    let value = rest.trim_start_matches(['=', ':', '>']);
    (value.len() < rest.len()).then(|| behind.len() - unquoted(value).len())
}

/// `Bearer value`.
fn next_word(behind: &str) -> Option<usize> {
    let value = behind.trim_start();
    (value.len() < behind.len()).then(|| behind.len() - unquoted(value).len())
}

/// Behind blanks and one quote.
fn unquoted(text: &str) -> &str {
    let value = text.trim_start();
    let inner = value.trim_start_matches('\\');
    inner.strip_prefix(is_quote).unwrap_or(value)
}

/// How long the value is that begins at `start`: to its closing quote, which is escaped no deeper than the opening
/// one; to the next blank or quote where it has none.
fn length(text: &str, start: usize) -> usize {
    let (before, value) = text.split_at(start);
    let Some(quote) = before.chars().next_back().filter(|c| is_quote(*c)) else {
        return word(value);
    };
    let opened = &before[..before.len() - 1];
    let depth = opened.len() - opened.trim_end_matches('\\').len();
    let mut slashes = 0;
    for (at, c) in value.char_indices() {
        if c == quote && slashes <= depth {
            return at - slashes;
        }
        slashes = if c == '\\' { slashes + 1 } else { 0 };
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use aami_model::secret::{Secret, SecretKind};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn no_secret_of_ours_leaves_whatever_stands_around_it() {
        for kind in SecretKind::ALL {
            let secret = Secret::from_random(kind, "abc", [7; 20]);
            let text = secret.reveal();
            for around in [
                format!("x {text} y"),
                format!("token=\"{text}\""),
                format!("Authorization: Bearer {text}"),
                format!("https://h/?t={text}&x=1"),
                format!("({text})"),
                format!("aami_{text}_total"),
            ] {
                assert!(!concealed(&around).contains(text), "{around}");
            }
        }
    }

    #[test]
    fn passwords_in_addresses_and_settings_are_taken_out_and_the_rest_stays() {
        for (text, wanted) in [
            (
                "proxy http://me:hunter2@p:3128/ up",
                "proxy http://[concealed]@p:3128/ up",
            ),
            (
                "http://a:1/,http://me:hun/ter@2@p and https://x/ too",
                "http://[concealed]@p and https://x/ too",
            ),
            ("PASSWORD=hunter2 next", "PASSWORD=[concealed] next"),
            ("password: 'hunter2'", "password: '[concealed]'"),
            (
                r#"{"password":"hunter 2","port":1}"#,
                r#"{"password":"[concealed]","port":1}"#,
            ),
            (
                r#"{"log":"{\"db_password\" : \"hun\\\"ter2\"}"}"#,
                r#"{"log":"{\"db_password\" : \"[concealed]\"}"}"#,
            ),
            ("secret => \"hunter2\"", "secret => \"[concealed]\""),
            (
                "authorization: Basic aHVudGVy",
                "authorization: Basic [concealed]",
            ),
            ("aami_install_runs_total 3", "aami_install_runs_total 3"),
            ("token_file=/root/token", "token_file=/root/token"),
            ("https://x/a/b?c=d", "https://x/a/b?c=d"),
            ("token=", "token="),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(concealed(text), wanted);
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "\\PC{0,200}", around in "(token=|bearer |://|@|aami_|\"|\\\\){0,6}\\PC{0,40}") {
            let _ = concealed(&text);
            let _ = concealed(&around);
        }

        #[test]
        fn no_password_without_blanks_or_quotes_leaves(
            password in "[A-Za-z0-9/@:&;,!$%^*+=?.-]{12,24}",
            before in "[ a-z]{0,10}",
        ) {
            for text in [
                format!("{before} http://u:{password}@h/x http://v:{password}@h"),
                format!("{before}_PASSWORD={password} next"),
                format!("{before} 'token' : {password}"),
                format!("Authorization: Bearer {password}"),
            ] {
                prop_assert!(!concealed(&text).contains(&password), "{}", concealed(&text));
            }
        }

        #[test]
        fn no_password_in_json_leaves_however_often_that_is_put_into_a_string(
            password in "x\\PC{12,24}",
            name in "(password|client_secret|API_KEY|Token)",
        ) {
            let mut told = json!({ "a": 1, name: password, "z": 2 });
            let mut shown = json!(password).to_string();
            for _ in 0..3 {
                let text = told.to_string();
                let secret = &shown[1..shown.len() - 1];
                prop_assert!(!concealed(&text).contains(secret), "{text}: {}", concealed(&text));
                told = json!(text);
                shown = json!(secret).to_string();
            }
        }
    }
}
