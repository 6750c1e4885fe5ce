//! Secrets: read, checked, never shown.

use serde_json::{Value, json};

use super::Kind;
use super::url::{URL, is_url};
use crate::read::{Path, ReadSecret, Reader};
use crate::secret::{NotSet, SecretValue};
use crate::tree::Node;

/// A secret.
pub(crate) struct Secret {
    what: &'static str,
    fits: fn(&str) -> bool,
}

impl Secret {
    /// Any one line.
    pub(crate) const fn text() -> Self {
        Self {
            what: "one line of at most 4096 characters",
            fits: |text| text.len() <= 4_096 && !text.chars().any(char::is_control),
        }
    }

    /// An address that lets its reader in.
    pub(crate) const fn url() -> Self {
        Self {
            what: URL,
            fits: is_url,
        }
    }
}

impl Kind for Secret {
    type Out = SecretValue;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<SecretValue> {
        match reader.secret(node, path, self.what)? {
            ReadSecret::Unset(variables) => Some(SecretValue::missing(NotSet {
                field: path.to_string(),
                line: node.line,
                variables,
            })),
            ReadSecret::Given(given) if (self.fits)(&given.text) => {
                reader.known(path, "(hidden)".to_owned(), given.source);
                Some(SecretValue::known(given.text))
            }
            ReadSecret::Given(_) => {
                let sentence = format!("what is written here is not {}", self.what);
                reader.problem(
                    node.line,
                    path,
                    sentence,
                    Some("It is a secret and not shown.".to_owned()),
                );
                None
            }
        }
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "writeOnly": true})
    }

    fn words(&self) -> String {
        format!("a secret: {}", self.what)
    }
}
