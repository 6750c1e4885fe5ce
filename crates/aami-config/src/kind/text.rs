//! Texts with rules.

use std::net::IpAddr;

use aami_model::hostname::Hostname;
use serde_json::{Value, json};

use super::Kind;
use crate::read::{Path, Reader};
use crate::text::{is_name, is_user, nearest};
use crate::tree::Node;

/// A text that keeps a rule.
pub(crate) struct Text {
    what: &'static str,
    most: usize,
    fits: fn(&str) -> bool,
    is_preset: bool,
}

impl Text {
    const fn new(what: &'static str, most: usize, fits: fn(&str) -> bool) -> Self {
        Self {
            what,
            most,
            fits,
            is_preset: false,
        }
    }

    /// A name of a cluster, a group and the like.
    pub(crate) const fn name() -> Self {
        Self::new(
            "a name: letters, digits, `.`, `_` and `-`, a letter or digit first, at most 63 characters",
            63,
            is_name,
        )
    }

    /// A login name.
    pub(crate) const fn user() -> Self {
        Self::new(
            "a login name: letters, digits and `._@\\+-$`, no `-` first",
            64,
            is_user,
        )
    }

    /// The name of a preset there is.
    pub(crate) const fn preset() -> Self {
        Self {
            is_preset: true,
            ..Self::new("the name of a preset, such as `gpu-production`", 63, is_name)
        }
    }

    /// The name of an alert.
    pub(crate) const fn alert() -> Self {
        Self::new(
            "an alert's name: one line of at most 128 characters",
            128,
            is_line,
        )
    }

    /// PromQL; Prometheus itself says whether it is any.
    pub(crate) const fn expression() -> Self {
        Self::new(
            "a PromQL expression of at most 16384 characters",
            16_384,
            are_lines,
        )
    }

    /// One line.
    pub(crate) const fn line() -> Self {
        Self::new("one line of at most 1024 characters", 1_024, is_line)
    }

    /// Some lines.
    pub(crate) const fn lines() -> Self {
        Self::new("a text of at most 8192 characters", 8_192, are_lines)
    }

    /// A pin of a key.
    pub(crate) const fn pin() -> Self {
        Self::new("a pin: `sha256//` and 44 characters of base64", 60, is_pin)
    }

    /// A host by name or address.
    pub(crate) const fn host() -> Self {
        Self::new("a host name or an address", 253, |text| {
            text.parse::<IpAddr>().is_ok() || text.parse::<Hostname>().is_ok()
        })
    }

    /// A mail address, with or without a name before it.
    pub(crate) const fn mailbox() -> Self {
        Self::new(
            "a mail address: `ops@example.com` or `Ops <ops@example.com>`",
            320,
            is_mailbox,
        )
    }

    /// A size as Prometheus writes it.
    pub(crate) const fn size() -> Self {
        Self::new(
            "a size such as `500GB`: a number with B, KB, MB, GB, TB, PB or EB",
            20,
            is_size,
        )
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn are_lines(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

fn is_pin(text: &str) -> bool {
    text.strip_prefix("sha256//").is_some_and(|rest| {
        rest.len() == 44
            && rest.ends_with('=')
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    })
}

fn is_mailbox(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => match rest.strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
        None => text,
    };
    let plain = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || "<>,;:\"".contains(c))
    };
    !text.chars().any(char::is_control)
        && address
            .split_once('@')
            .is_some_and(|(local, host)| plain(local) && plain(host) && !host.contains('@'))
}

fn is_size(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse::<u64>().is_ok_and(|number| number > 0);
    number && ["B", "KB", "MB", "GB", "TB", "PB", "EB"].contains(&&text[digits..])
}

impl Kind for Text {
    type Out = String;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<String> {
        let given = reader.scalar(node, path, self.what)?;
        if given.text.chars().count() > self.most || !(self.fits)(&given.text) {
            reader.refuse(node, path, &given.text, self.what);
            return None;
        }
        if self.is_preset
            && let Some(known) = reader.environment.presets
            && !known.contains(&given.text.as_str())
        {
            let meant = nearest(&given.text, known.iter().copied());
            let hint = match meant {
                Some(meant) => format!("Did you mean `{meant}`? `aami alerts list-presets` shows all."),
                None => format!("There are: {}.", known.join(", ")),
            };
            reader.refuse_because(node, path, &given.text, "there is no preset of this name", &hint);
            return None;
        }
        reader.known(path, given.text.clone(), given.source);
        Some(given.text)
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": self.most})
    }

    fn words(&self) -> String {
        self.what.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_rules() {
        for (text, fits) in [
            ("ops@example.com", true),
            ("Ops <ops@example.com>", true),
            ("ops", false),
            ("a@b@c", false),
            ("a@", false),
            ("a@b\nBcc: c@d", false),
            ("Ops <ops@example.com> x", false),
            ("a@b, c@d", false),
        ] {
            assert_eq!(is_mailbox(text), fits, "{text:?}");
        }
        for (text, fits) in [
            ("500GB", true),
            ("0B", false),
            ("GB", false),
            ("5", false),
            ("5gb", false),
            ("5é", false),
        ] {
            assert_eq!(is_size(text), fits, "{text:?}");
        }
        assert!(is_pin("sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
        assert!(!is_pin("sha256//short="));
    }
}
