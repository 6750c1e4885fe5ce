//! What a mirror wants to see before it answers.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The longest credential file that is read, in bytes.
const LONGEST: u64 = 8 * 1024;

/// A credential, as the value of an `Authorization` header. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

/// Why a file holds no credential. The message never holds the file's content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// It cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not one line of printable ASCII.
    #[error("{} does not hold one line with a token, with user:password, or with the value of an Authorization header", .path.display())]
    Shape {
        /// The file.
        path: PathBuf,
    },
}

impl Credential {
    /// From a file of one line: `Bearer x` or `Basic x` as it stands, `user:password` as Basic
    /// (RFC 7617), anything else as a bearer token (RFC 6750).
    pub fn from_file(path: &Path) -> Result<Self, CredentialError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(|source| CredentialError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
        Self::parse(&text).ok_or_else(|| CredentialError::Shape {
            path: path.to_owned(),
        })
    }

    /// A bearer token.
    pub fn bearer(token: &str) -> Option<Self> {
        let is_token = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        is_token.then(|| Self(format!("Bearer {token}")))
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.trim();
        if line.is_empty() || !line.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return None;
        }
        match line.split_once(' ') {
            Some((scheme, _))
                if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("basic") =>
            {
                Some(Self(line.to_owned()))
            }
            _ if line.contains(':') => {
                let encoded = data_encoding::BASE64.encode(line.as_bytes());
                Some(Self(format!("Basic {encoded}")))
            }
            _ => Self::bearer(line),
        }
    }

    /// What a file holds that keeps it for a mirror: the address, and the header's value, a line each.
    #[cfg(feature = "stack")]
    pub(crate) fn kept_for(&self, mirror: &str) -> String {
        format!("{mirror}\n{}\n", self.0)
    }

    /// From what such a file holds; nothing where it keeps none, or another mirror's.
    #[cfg(feature = "stack")]
    pub(crate) fn of_kept(text: &str, mirror: &str) -> Option<Self> {
        let (kept_for, rest) = text.split_once('\n')?;
        (kept_for == mirror).then(|| Self::parse(rest)).flatten()
    }

    pub(crate) fn header(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<String> {
        Credential::parse(text).map(|credential| credential.0)
    }

    #[test]
    fn each_form_becomes_a_header() {
        assert_eq!(header("abc.def\n").as_deref(), Some("Bearer abc.def"));
        assert_eq!(header("Bearer abc").as_deref(), Some("Bearer abc"));
        assert_eq!(
            header("user:pass word").as_deref(),
            Some("Basic dXNlcjpwYXNzIHdvcmQ=")
        );
        assert_eq!(header(""), None);
        assert_eq!(header("two\nlines"), None);
        assert_eq!(header("two words"), None);
    }

    #[cfg(feature = "stack")]
    #[test]
    fn it_is_kept_for_one_mirror() {
        let mirror = "https://mirror.example.com/aami";
        for text in ["abc.def", "Basic dXNlcjpwYXNz", "user:pass word"] {
            let credential = Credential::parse(text).unwrap();
            let kept = credential.kept_for(mirror);
            assert_eq!(Credential::of_kept(&kept, mirror), Some(credential));
            for other in [
                "https://mirror.example.com",
                "https://mirror.example.com/aami/",
                "",
            ] {
                assert_eq!(Credential::of_kept(&kept, other), None, "{other}");
            }
        }
        for text in ["", mirror, "https://mirror.example.com/aami\n", "Bearer abc\n"] {
            assert_eq!(Credential::of_kept(text, mirror), None, "{text:?}");
        }
    }

    #[test]
    fn it_does_not_show_itself() {
        let credential = Credential::parse("canary-secret").unwrap();
        assert!(!format!("{credential:?}").contains("canary"));
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("credential");
        std::fs::write(&path, "canary\nsecret").unwrap();
        let error = Credential::from_file(&path).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
