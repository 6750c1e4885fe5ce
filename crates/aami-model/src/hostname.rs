//! Host names, as RFC 952 and RFC 1123 (section 2.1) allow them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A host name in the one form it is compared in: lower case, without a trailing dot.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hostname(Box<str>);

/// Why a text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a host name is up to 253 characters: labels of a-z, 0-9 and '-' (1 to 63, no '-' at either end) joined by dots"
)]
pub struct NotAHostname;

impl Hostname {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = NotAHostname;

    fn from_str(text: &str) -> Result<Self, NotAHostname> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let label_fits = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() > 253 || !text.split('.').all(label_fits) {
            return Err(NotAHostname);
        }
        Ok(Self(text.to_ascii_lowercase().into_boxed_str()))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Hostname {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hostname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Hostname {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .examples(["gpu-node-01.example.com"])
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Hostname {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_one_form() {
        assert_eq!(
            "GPU-01.Example.COM.".parse::<Hostname>().unwrap().as_str(),
            "gpu-01.example.com"
        );
    }

    #[test]
    fn hostile_names_are_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a\nb",
            "a\"b",
            "a_b",
            "ä",
            &"a".repeat(64),
            &"a.".repeat(200),
        ] {
            assert_eq!(text.parse::<Hostname>(), Err(NotAHostname), "{text:?}");
        }
    }
}
