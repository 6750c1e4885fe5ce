//! A file of rules on its way to a Prometheus, and which of a folder's files are ours.
//!
//! Whoever renders rules makes these, whoever brings them to a folder (`aami-plans`, room `rules`) takes these. In
//! between they may travel: then they are hostile until [`check`] has looked at them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What is recorded for rules of several files.
pub const RECORDING_FILE: &str = "aami-recording.yaml";
/// Which nodes should be there.
pub const DECLARED_FILE: &str = "aami-declared.yaml";
/// An operator's own rules.
pub const CUSTOM_FILE: &str = "aami-custom.yaml";

/// More files are no set of rules.
pub const MOST_FILES: usize = 512;
/// All files together are no longer: some 10,000 declared nodes.
pub const LONGEST_TEXTS: usize = 16 * 1024 * 1024;
/// No name is longer.
const LONGEST_NAME: usize = 128;
/// Names of groups and alerts in all files together.
const MOST_NAMES: usize = 100_000;

/// One file for a rules folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RuleFile {
    /// Its name, without a folder.
    pub name: String,
    /// What stands in it.
    pub text: String,
    /// The names of the groups in it; a Prometheus that has loaded the file shows each of them.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The names of the alerts in it, each once; none where it only records.
    #[serde(default)]
    pub alerts: Vec<String>,
}

/// Why files may not be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlaceable {
    /// A name that could lead elsewhere, or that Prometheus would not read.
    #[error("{0:?} is no name of a file of rules")]
    Name(String),
    /// Two files of one name.
    #[error("{0} stands there twice")]
    Twice(String),
    /// Too many files or names.
    #[error("there are more than {0} of them")]
    TooMany(usize),
    /// Too long.
    #[error("together they are longer than {LONGEST_TEXTS} bytes")]
    TooLong,
    /// A file that says which groups it has is the only one that can be seen to be loaded.
    #[error("{0} names no group")]
    NoGroup(String),
}

/// Whether a file may have this name: `aami-...yaml` in small letters, digits and hyphens, so that it leads nowhere else.
pub fn is_name(name: &str) -> bool {
    let middle = name
        .strip_prefix("aami-")
        .and_then(|rest| rest.strip_suffix(".yaml"));
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= LONGEST_NAME
        && middle.is_some_and(|middle| !middle.is_empty() && middle.bytes().all(is_plain))
}

/// Whether a file of this name in a rules folder is one of those that are made for a declared fleet, so that one that is
/// no longer made can go even where nobody noted it.
pub fn is_of_a_fleet(name: &str) -> bool {
    let preset = name
        .strip_prefix("aami-preset-")
        .and_then(|rest| rest.strip_suffix(".yaml"));
    preset.is_some_and(|preset| !preset.is_empty())
        || [RECORDING_FILE, DECLARED_FILE, CUSTOM_FILE].contains(&name)
}

/// Whether these files may be placed together.
pub fn check(files: &[RuleFile]) -> Result<(), NotPlaceable> {
    if files.len() > MOST_FILES {
        return Err(NotPlaceable::TooMany(MOST_FILES));
    }
    let mut names = BTreeSet::new();
    let (mut length, mut count) = (0_usize, 0_usize);
    for file in files {
        if !is_name(&file.name) {
            let shown = file.name.chars().take(LONGEST_NAME).collect();
            return Err(NotPlaceable::Name(shown));
        }
        if !names.insert(file.name.as_str()) {
            return Err(NotPlaceable::Twice(file.name.clone()));
        }
        if file.groups.is_empty() {
            return Err(NotPlaceable::NoGroup(file.name.clone()));
        }
        length = length.saturating_add(file.text.len());
        count = count.saturating_add(file.groups.len() + file.alerts.len());
    }
    if length > LONGEST_TEXTS {
        return Err(NotPlaceable::TooLong);
    }
    if count > MOST_NAMES {
        return Err(NotPlaceable::TooMany(MOST_NAMES));
    }
    Ok(())
}

/// The bytes that name this set of files, whatever order they come in: names and texts, each with its length. The hash of
/// a bundle is taken over them.
pub fn canonical(files: &[RuleFile]) -> Vec<u8> {
    let mut sorted: Vec<&RuleFile> = files.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let mut bytes = b"aami-rules-1\n".to_vec();
    for file in sorted {
        for part in [&file.name, &file.text] {
            bytes.extend_from_slice(format!("{}\n", part.len()).as_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_name_in_any_order_and_no_two_sets_share_one() {
        let (one, other) = (file("aami-a.yaml", "x"), file("aami-b.yaml", "y"));
        assert_eq!(
            canonical(&[one.clone(), other.clone()]),
            canonical(&[other.clone(), one.clone()])
        );
        assert_ne!(
            canonical(&[one.clone(), other]),
            canonical(&[one.clone(), file("aami-b.yaml", "z")])
        );
        assert_ne!(
            canonical(&[file("aami-a.yaml", "x\n11\naami-b.yaml")]),
            canonical(&[one, file("aami-b.yaml", "")])
        );
    }

    fn file(name: &str, text: &str) -> RuleFile {
        RuleFile {
            name: name.to_owned(),
            text: text.to_owned(),
            groups: vec!["g".to_owned()],
            alerts: Vec::new(),
        }
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(is_name("aami-preset-gpu-production.yaml") && is_name("aami-custom.yaml"));
        for name in [
            "",
            "aami-.yaml",
            "aami-a.yml",
            "other.yaml",
            "aami-../../etc/cron.d/x.yaml",
            "aami-a/b.yaml",
            "aami-A.yaml",
            "aami-a\n.yaml",
            "aami-a\0.yaml",
        ] {
            assert!(!is_name(name), "{name:?}");
            assert!(check(&[file(name, "")]).is_err(), "{name:?}");
        }
        assert!(!is_name(&format!("aami-{}.yaml", "a".repeat(200))));
    }

    #[test]
    fn what_is_too_much_or_stands_twice_is_refused() {
        assert_eq!(
            check(&[file("aami-a.yaml", "x"), file("aami-b.yaml", "x")]),
            Ok(())
        );
        assert!(matches!(
            check(&[file("aami-a.yaml", "x"), file("aami-a.yaml", "y")]),
            Err(NotPlaceable::Twice(_))
        ));
        assert_eq!(
            check(&[file("aami-a.yaml", &"x".repeat(LONGEST_TEXTS + 1))]),
            Err(NotPlaceable::TooLong)
        );
        let many: Vec<RuleFile> = (0..=MOST_FILES)
            .map(|at| file(&format!("aami-{at}.yaml"), ""))
            .collect();
        assert!(matches!(check(&many), Err(NotPlaceable::TooMany(_))));
    }
}
