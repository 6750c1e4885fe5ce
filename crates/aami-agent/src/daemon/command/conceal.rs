//! Secrets taken out of a text that leaves the node: AAMI's own, passwords in addresses, bearer tokens.

/// What stands in a secret's place.
const CONCEALED: &str = "[concealed]";
/// What AAMI's secrets begin with.
const OURS: [&str; 4] = ["aami_", "aamik_", "aamin_", "aamir_"];
/// Words before a value that nobody else should see.
const BEFORE: [&str; 8] = [
    "bearer ",
    "basic ",
    "password=",
    "password:",
    "passwd=",
    "secret=",
    "token=",
    "token:",
];

/// The text without them.
pub(super) fn concealed(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n")
}

fn line(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split(' ') {
        words.push(word_of(word));
    }
    let mut line = words.join(" ");
    for before in BEFORE {
        let mut from = 0;
        while let Some(found) = line
            .get(from..)
            .and_then(|rest| rest.to_ascii_lowercase().find(before))
        {
            let start = from + found + before.len();
            let rest = &line[start..];
            let blanks = rest.len() - rest.trim_start_matches([' ', '"', '\'']).len();
            let value = &rest[blanks..];
            let length = value.find([' ', '"', '\'', ',', ';', '&']).unwrap_or(value.len());
            let begin = start + blanks;
            line.replace_range(begin..begin + length, if length == 0 { "" } else { CONCEALED });
            from = begin + if length == 0 { 0 } else { CONCEALED.len() };
        }
    }
    line
}

fn word_of(word: &str) -> String {
    let mut word = word.to_owned();
    // scheme://user:password@host
    if let Some(scheme) = word.find("://") {
        let rest = &word[scheme + 3..];
        let end = rest.find(['/', '"', '\'']).unwrap_or(rest.len());
        if let Some(at) = rest[..end].rfind('@') {
            word.replace_range(scheme + 3..scheme + 3 + at, CONCEALED);
        }
    }
    for prefix in OURS {
        let mut from = 0;
        while let Some(found) = word.get(from..).and_then(|rest| rest.find(prefix)) {
            let start = from + found;
            let rest = &word[start..];
            let length = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
                .unwrap_or(rest.len());
            // `aami_install_runs_total` is a name: a secret has 32 characters behind its last `_`.
            let is_secret = rest[..length]
                .rsplit('_')
                .next()
                .is_some_and(|tail| tail.len() >= 24);
            if is_secret {
                word.replace_range(start..start + length, CONCEALED);
                from = start + CONCEALED.len();
            } else {
                from = start + prefix.len();
            }
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use aami_model::secret::{Secret, SecretKind};
    use proptest::prelude::*;

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
            ("PASSWORD=hunter2 next", "PASSWORD=[concealed] next"),
            ("password: 'hunter2'", "password: '[concealed]'"),
            ("aami_install_runs_total 3", "aami_install_runs_total 3"),
            ("token=", "token="),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(concealed(text), wanted);
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(text in "\\PC{0,200}", around in "(token=|bearer |://|@|aami_){0,6}\\PC{0,40}") {
            let _ = concealed(&text);
            let _ = concealed(&around);
        }
    }
}
