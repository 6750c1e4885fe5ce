//! Words that have no place in the tree: paths of one machine, references that mean nothing to its reader,
//! and names the project no longer uses.

use super::Breach;
use crate::house::House;

/// Says its own forbidden words.
const THIS_FILE: &str = "xtask/src/tidy/words.rs";

/// Files written by tools, which name registries on purpose.
const BY_TOOLS: &[&str] = &["Cargo.lock", "package-lock.json", "deny.toml"];

const FORBIDDEN: &[(&str, &str)] = &[
    ("/home/user", "is a path of one machine"),
    ("/root/.cargo", "is a path of one machine"),
    (
        "issue #",
        "means nothing to a reader of the tree; say what it is about",
    ),
    ("contextcore", "is a name from before; it is aami now"),
    ("aio-worker", "is a name from before; it is aami-agent now"),
];

/// "phase 3" and the like.
const FORBIDDEN_BEFORE_A_NUMBER: &[&str] = &["requirements ", "issue ", "phase "];

pub(super) fn check(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in &house.files {
        if file.path == THIS_FILE || BY_TOOLS.contains(&file.name()) {
            continue;
        }
        for (at, line) in file.text.lines().enumerate() {
            if let Some(what) = forbidden(line) {
                breaches.push(Breach::new(format!("{}:{}", file.path, at + 1), what));
            }
        }
    }
    breaches
}

fn forbidden(line: &str) -> Option<String> {
    let lower = line.to_lowercase();
    for (word, why) in FORBIDDEN {
        if let Some(at) = lower.find(word) {
            // A folder that merely ends in the same letters is somebody's own.
            let begins_a_path =
                !lower[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '}' | '.' | '~'));
            if !word.starts_with('/') || begins_a_path {
                return Some(format!("{word:?} {why}"));
            }
        }
    }
    for word in FORBIDDEN_BEFORE_A_NUMBER {
        let mut rest = lower.as_str();
        while let Some(at) = rest.find(word) {
            rest = &rest[at + word.len()..];
            if rest.starts_with(|c: char| c.is_ascii_digit()) {
                return Some(format!(
                    "{:?} and a number: say what it is about",
                    word.trim_end()
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::model_house::with_files;
    use super::*;

    #[test]
    fn each_forbidden_word_is_found_in_any_file_at_its_line() {
        for (word, _) in FORBIDDEN {
            for path in ["docs/guide/start.md", "crates/aami/src/up.rs", "scripts/a.sh"] {
                let house = with_files(&[(path, &format!("fine\nsee {word}main for more\n"))]);
                let found = check(&house);
                assert_eq!(found.len(), 1, "{word} in {path}");
                assert_eq!(found[0].place, format!("{path}:2"));
            }
        }
    }

    #[test]
    fn numbered_references_are_found_and_plain_words_are_not() {
        assert!(forbidden("as Requirements 1 says").is_some());
        assert!(forbidden("see issue 12").is_some());
        assert!(forbidden("the requirements of etcd").is_none());
        assert!(forbidden("$dir/home/user").is_none());
        assert!(forbidden("an issue with a socket").is_none());
    }

    #[test]
    fn files_written_by_tools_are_passed_over() {
        let house = with_files(&[("Cargo.lock", "see issue #7\n")]);
        assert!(check(&house).is_empty());
    }
}
