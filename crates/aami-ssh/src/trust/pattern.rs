//! Patterns of OpenSSH's files: `*`, `?`, and `!` in front of one that excludes.

/// Whether a name matches a pattern of literals, `*` and `?`. Both are compared as they are.
///
/// Takes time proportional to both lengths, whatever the pattern is.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it had swallowed then.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    n = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Whether a list of patterns takes one of these names, and no excluding pattern any.
pub(crate) fn list_matches<'a>(patterns: impl Iterator<Item = &'a str>, names: &[impl AsRef<str>]) -> bool {
    let mut taken = false;
    for pattern in patterns {
        let (pattern, excludes) = match pattern.strip_prefix('!') {
            Some(rest) => (rest, true),
            None => (pattern, false),
        };
        let pattern = pattern.to_ascii_lowercase();
        if names
            .iter()
            .any(|name| matches(&pattern, &name.as_ref().to_ascii_lowercase()))
        {
            if excludes {
                return false;
            }
            taken = true;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        assert!(matches("gpu-*", "gpu-17"));
        assert!(matches("*", ""));
        assert!(matches("10.0.?.1", "10.0.3.1"));
        assert!(!matches("10.0.?.1", "10.0.33.1"));
        assert!(matches("a*b*c", "aXXbYYbc"));
        assert!(!matches("a*b*c", "aXXbYYbd"));
        assert!(!matches("", "a"));
        assert!(matches("**", "a"));
    }

    #[test]
    fn an_excluding_pattern_wins_wherever_it_stands() {
        let list = ["!gpu-9", "gpu-*"];
        assert!(list_matches(list.into_iter(), &["gpu-1"]));
        assert!(!list_matches(list.into_iter(), &["gpu-9"]));
        assert!(!list_matches(["gpu-*", "!gpu-9"].into_iter(), &["gpu-9"]));
        assert!(
            !list_matches(["!gpu-9"].into_iter(), &["gpu-1"]),
            "takes nothing by itself"
        );
        assert!(list_matches(["GPU-*"].into_iter(), &["gpu-1"]));
    }

    proptest! {
        #[test]
        fn a_hostile_pattern_ends_and_a_name_matches_itself(name in "[a-z0-9.]{0,40}", pattern in "[a*?]{0,40}") {
            prop_assert!(matches(&name, &name));
            let _ = matches(&pattern, &"a".repeat(200));
        }
    }
}
