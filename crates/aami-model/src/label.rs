//! Labels of nodes and groups, as Prometheus knows them.
//!
//! Registrants are hostile: a label name of theirs must not be able to rewrite the scrape address
//! (`__address__`), the job or the identity that AAMI itself sets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels by name, in a stable order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Labels(pub BTreeMap<String, String>);

/// At most this many labels a node may carry.
pub const MOST_LABELS: usize = 64;
/// The longest label name, in bytes.
pub const LONGEST_NAME: usize = 128;
/// The longest label value, in bytes.
pub const LONGEST_VALUE: usize = 1024;

/// Names AAMI sets itself; nobody else may.
pub const RESERVED: [&str; 7] = [
    "instance",
    "job",
    "node",
    "node_id",
    "cluster",
    "org",
    "aami_groups",
];

/// Why a label may not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Not a Prometheus label name.
    #[error("label name {0:?} is not [a-zA-Z_][a-zA-Z0-9_]*, at most 128 characters")]
    Name(String),
    /// Begins with `__`, which Prometheus keeps for itself.
    #[error("label name {0:?} begins with \"__\", which Prometheus keeps for itself")]
    Internal(String),
    /// One that AAMI sets.
    #[error("label name {0:?} is set by AAMI itself")]
    Reserved(String),
    /// Too long, or with control characters.
    #[error("the value of label {0:?} is longer than 1024 bytes or holds control characters")]
    Value(String),
    /// Too many.
    #[error("more than 64 labels")]
    TooMany,
}

/// Cuts what a hostile sender put into a message, so that the message stays one short line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Checks one name against the rules above.
pub fn check_name(name: &str) -> Result<(), LabelError> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || name.len() > LONGEST_NAME || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(LabelError::Name(shown(name)));
    }
    if name.starts_with("__") {
        return Err(LabelError::Internal(shown(name)));
    }
    if RESERVED.contains(&name) {
        return Err(LabelError::Reserved(name.to_owned()));
    }
    Ok(())
}

impl Labels {
    /// Checks every name and value.
    pub fn check(&self) -> Result<(), LabelError> {
        if self.0.len() > MOST_LABELS {
            return Err(LabelError::TooMany);
        }
        for (name, value) in &self.0 {
            check_name(name)?;
            if value.len() > LONGEST_VALUE || value.chars().any(char::is_control) {
                return Err(LabelError::Value(name.clone()));
            }
        }
        Ok(())
    }

    /// These labels with `over` laid on top.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        let mut all = self.0.clone();
        all.extend(over.0.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self(all)
    }

    /// Whether every label of `wanted` stands here with the same value.
    pub fn matches(&self, wanted: &Self) -> bool {
        wanted
            .0
            .iter()
            .all(|(name, value)| self.0.get(name) == Some(value))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(name: &str, value: &str) -> Result<(), LabelError> {
        Labels::from_iter([(name, value)]).check()
    }

    #[test]
    fn ordinary_labels_pass() {
        assert_eq!(one("rack", "A1"), Ok(()));
        assert_eq!(one("_private", "größer \"als\""), Ok(()));
    }

    #[test]
    fn hostile_labels_are_refused() {
        assert_eq!(
            one("__address__", "10.0.0.1:80"),
            Err(LabelError::Internal("__address__".into()))
        );
        assert_eq!(one("job", "node"), Err(LabelError::Reserved("job".into())));
        assert_eq!(one("a\nb", "x"), Err(LabelError::Name("ab".into())));
        assert_eq!(one("1a", "x"), Err(LabelError::Name("1a".into())));
        assert_eq!(one("", "x"), Err(LabelError::Name(String::new())));
        assert_eq!(one("rack", "a\nb"), Err(LabelError::Value("rack".into())));
        assert_eq!(
            one("rack", &"x".repeat(10_000)),
            Err(LabelError::Value("rack".into()))
        );
        assert!(matches!(one(&"x".repeat(10_000), "x"), Err(LabelError::Name(_))));
    }

    proptest! {
        #[test]
        fn what_passes_is_safe_for_prometheus(name in ".{0,12}", value in ".{0,12}") {
            if one(&name, &value).is_ok() {
                prop_assert!(!name.starts_with("__") && !RESERVED.contains(&name.as_str()));
                prop_assert!(!value.contains('\n'));
            }
        }
    }
}
