//! The shapes of secrets: `<prefix><id>_<secret>`, lower-case base32.
//!
//! The prefix says what it is (and lets secret scanners find it), the id is public and finds the
//! record, the secret is 160 random bits. Only the SHA-256 of the secret is ever stored.

use std::fmt;

use crate::id::{base32, base32_len};

/// What a secret opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Lets machines enrol.
    BootstrapToken,
    /// An operator's or a program's.
    ApiKey,
    /// One enrolled node's.
    NodeCredential,
    /// One run's.
    RunCredential,
}

impl SecretKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::BootstrapToken,
        Self::ApiKey,
        Self::NodeCredential,
        Self::RunCredential,
    ];

    /// What the text begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::BootstrapToken => "aami_",
            Self::ApiKey => "aamik_",
            Self::NodeCredential => "aamin_",
            Self::RunCredential => "aamir_",
        }
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BootstrapToken => "a bootstrap token",
            Self::ApiKey => "an API key",
            Self::NodeCredential => "a node credential",
            Self::RunCredential => "a run credential",
        }
    }
}

/// A secret in clear. It never shows itself in debug output or logs; [`Secret::reveal`] is the one
/// way to its text, so a reader can find every place that uses it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    kind: SecretKind,
    id: String,
    text: String,
}

/// Why a text is not a secret of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    /// No known prefix.
    #[error("it begins with none of aami_, aamik_, aamin_, aamir_")]
    Prefix,
    /// The id or the secret half is missing, too long, or has other characters.
    #[error("it is cut off or has characters that do not belong there")]
    Shape,
}

impl Secret {
    /// A fresh secret for `id` from twenty random bytes.
    pub fn from_random(kind: SecretKind, id: &str, bytes: [u8; 20]) -> Self {
        Self {
            kind,
            id: id.to_owned(),
            text: format!("{}{id}_{}", kind.prefix(), base32(&bytes)),
        }
    }

    /// Reads a secret in clear; surrounding white space is ignored.
    pub fn parse(text: &str) -> Result<Self, NotASecret> {
        let text = text.trim();
        if text.len() > 200 {
            return Err(NotASecret::Shape);
        }
        let (head, rest) = text.split_once('_').ok_or(NotASecret::Prefix)?;
        let kind = SecretKind::ALL
            .into_iter()
            .find(|kind| kind.prefix().strip_suffix('_') == Some(head))
            .ok_or(NotASecret::Prefix)?;
        let (id, secret) = rest.split_once('_').ok_or(NotASecret::Shape)?;
        let id_fits = (1..=40).contains(&id.len())
            && !id.starts_with('-')
            && id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let secret_fits = secret
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && base32_len(secret).is_some_and(|bytes| bytes >= 16);
        if !id_fits || !secret_fits {
            return Err(NotASecret::Shape);
        }
        Ok(Self {
            kind,
            id: id.to_owned(),
            text: text.to_owned(),
        })
    }

    /// What it opens.
    pub const fn kind(&self) -> SecretKind {
        self.kind
    }

    /// The public half, by which its record is found.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole text. For hashing, for a 0600 file, for a header; never for a log.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}_(hidden)", self.kind.prefix(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_reads_back_and_hides_itself() {
        for kind in SecretKind::ALL {
            let secret = Secret::from_random(kind, "abc", [7; 20]);
            assert_eq!(Secret::parse(secret.reveal()), Ok(secret.clone()));
            let shown = format!("{secret:?}");
            assert!(shown.ends_with("abc_(hidden)"), "{shown}");
        }
    }

    #[test]
    fn a_token_cut_off_is_not_a_token() {
        let whole = Secret::from_random(SecretKind::BootstrapToken, "abc", [7; 20]);
        for end in 0..20 {
            assert!(
                Secret::parse(&whole.reveal()[..end]).is_err(),
                "{end} characters are not a secret"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_a_stranger_sends_panics(text in ".{0,80}") {
            let _ = Secret::parse(&text);
        }
    }
}
