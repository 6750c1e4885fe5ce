//! Addresses of services.

use serde_json::{Value, json};

use super::{Kind, scalar};
use crate::read::{Path, Reader};
use crate::tree::Node;

/// An http or https address.
pub(crate) struct Url;

/// What one must be, for messages.
pub(crate) const URL: &str = "an address that begins with `http://` or `https://`";

impl Url {
    pub(crate) const fn http() -> Self {
        Self
    }
}

/// Whether a text is an http or https address without a password in it.
pub(crate) fn is_url(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty()
        && !host.starts_with(':')
        && !host.contains('@')
        && text.len() <= 2_048
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
}

impl Kind for Url {
    type Out = String;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<String> {
        scalar(node, path, reader, URL, |text| {
            is_url(text).then(|| text.to_owned())
        })
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "maxLength": 2_048})
    }

    fn words(&self) -> String {
        URL.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_pass() {
        for (text, fits) in [
            ("https://aami.example:8080", true),
            ("http://[::1]:9090/api", true),
            ("ftp://x", false),
            ("https://", false),
            ("https://user:secret@x", false),
            ("https://a b", false),
            ("https://a\nb", false),
            ("example.com", false),
        ] {
            assert_eq!(is_url(text), fits, "{text:?}");
        }
    }
}
