//! Typed ids: one type per noun, so that a node's id cannot be handed where a token's is meant.
//!
//! They are copied everywhere, into every index and every picture of the state, so a copy costs a count.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The alphabet of ids and secrets: RFC 4648 base32 in lower case, without padding. Safe in URLs,
/// file names and Prometheus labels, and never broken in two by a double click.
pub(crate) fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// How many bytes a text of that alphabet stands for; `None` when it is not of it.
pub(crate) fn base32_len(text: &str) -> Option<usize> {
    BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .ok()
        .map(|bytes| bytes.len())
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to 40 characters of a-z, 0-9 and '-', not starting with '-'")]
pub struct NotAnId;

fn checked(text: &str) -> Result<Arc<str>, NotAnId> {
    let fits = (1..=40).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(text.into()) } else { Err(NotAnId) }
}

macro_rules! ids {
    ($( $(#[$doc:meta])* $name:ident )+) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A fresh id from ten random bytes: 16 characters, 80 bits.
            pub fn from_random(bytes: [u8; 10]) -> Self {
                Self(base32(&bytes).into())
            }

            /// A fresh id that sorts after those made before: six bytes of time in milliseconds, four random
            /// ones. What is made together lies together in the store, which is what makes writing it cheap.
            pub fn at(now: crate::Timestamp, bytes: [u8; 4]) -> Self {
                let mut all = [0; 10];
                all[..6].copy_from_slice(&now.millis().to_be_bytes()[2..]);
                all[6..].copy_from_slice(&bytes);
                Self(data_encoding::BASE32HEX_NOPAD.encode(&all).to_ascii_lowercase().into())
            }

            /// What sorts before every id, for ranges; no thing has it.
            pub fn lowest() -> Self {
                Self("".into())
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                checked(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some("^[a-z0-9][a-z0-9-]{0,39}$"))
                    .into()
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {}
    )+ };
}

ids! {
    /// A managed, installed system.
    NodeId
    /// One execution of a plan on one host.
    RunId
    /// One OS installation of one machine.
    TaskId
    /// A bootstrap token (its public half).
    TokenId
    /// A named set of nodes.
    GroupId
    /// A check's definition.
    CheckId
    /// The alerts of one scope.
    RuleSetId
    /// A Prometheus that is told what to alert on.
    PrometheusId
    /// An API key (its public half).
    KeyId
    /// A fact that happened.
    EventId
    /// Something a node was told to do.
    CommandId
    /// Where events are delivered.
    WebhookId
    /// One bulk action over many nodes.
    BatchId
    /// A person, as the site knows them.
    UserId
    /// A tenant. `default` where nobody says otherwise.
    OrgId
}

impl Default for OrgId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl OrgId {
    /// Whose what is that belongs to all tenants at once: who sees only some of them sees nothing of it, and none of
    /// them is called so.
    pub fn every() -> Self {
        Self("every".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_id_is_sixteen_lower_case_characters() {
        let id = NodeId::from_random([0xff; 10]);
        assert_eq!(id.as_str(), "7777777777777777");
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn ids_with_time_sort_by_it() {
        let at = |millis| NodeId::at(crate::Timestamp::from_millis(millis), [0xff; 4]);
        let mut last = at(0);
        for millis in [
            1,
            31,
            32,
            1_000,
            1_800_000_000_000,
            1_800_000_000_001,
            4_000_000_000_000,
        ] {
            assert!(at(millis) > last, "{millis}");
            last = at(millis);
            assert_eq!(
                (last.as_str().len(), last.as_str().parse()),
                (16, Ok(last.clone()))
            );
        }
    }

    #[test]
    fn what_could_break_a_path_is_no_id() {
        for text in ["", "-a", "A", "a/b", "a b", "ä", "..", &"a".repeat(41)] {
            assert_eq!(text.parse::<NodeId>(), Err(NotAnId), "{text:?}");
        }
    }
}
