//! Paths on the host being changed, always absolute and always below the host's root.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not a path this room will touch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path:?} is not a path on a host: it must be absolute, without '.', '..', control characters or empty parts"
)]
pub struct NotAHostPath {
    /// What was given, cut to 200 characters.
    pub path: String,
}

/// An absolute path as the host sees it (`/etc/aami/agent.yaml`), whatever folder stands for its
/// root. UTF-8, normalised, at most 4095 bytes, each part at most 255 (the limits of Linux,
/// `path_resolution(7)`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPath(String);

impl HostPath {
    /// Checks `path`. Repeated and trailing slashes are dropped; anything that could climb out of
    /// the root or confuse a line of output is refused.
    pub fn new(path: impl AsRef<str>) -> Result<Self, NotAHostPath> {
        let path = path.as_ref();
        let refuse = || NotAHostPath {
            path: path.chars().take(200).collect(),
        };
        if !path.starts_with('/') || path.len() > 4095 {
            return Err(refuse());
        }
        let mut clean = String::with_capacity(path.len());
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if part == "." || part == ".." || part.len() > 255 || part.chars().any(char::is_control) {
                return Err(refuse());
            }
            clean.push('/');
            clean.push_str(part);
        }
        if clean.is_empty() {
            clean.push('/');
        }
        Ok(Self(clean))
    }

    /// `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The path one or more parts below this one.
    pub fn join(&self, below: &str) -> Result<Self, NotAHostPath> {
        Self::new(format!("{}/{below}", self.0))
    }

    /// The path of `name`, one of this room's own names, in this folder.
    pub(crate) fn below(&self, name: &str) -> Self {
        debug_assert!(
            !name.is_empty() && !name.contains("..") && !name.starts_with('/'),
            "{name}"
        );
        Self(format!("{}/{name}", self.0.trim_end_matches('/')))
    }

    /// The folder it lies in; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        let (parent, name) = self.0.rsplit_once('/')?;
        if name.is_empty() {
            return None;
        }
        Some(Self(if parent.is_empty() {
            "/".into()
        } else {
            parent.into()
        }))
    }

    /// The last part; empty for `/`.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, name)| name)
    }

    /// A path in the same folder whose name is this one's with `before` and `after` around it,
    /// shortened where the sum would be longer than a name may be.
    pub(crate) fn beside(&self, before: &str, after: &str) -> Self {
        let room = 255usize.saturating_sub(before.len() + after.len());
        let name = self.name();
        let mut end = name.len().min(room);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let folder = self.parent().map_or(String::new(), |parent| parent.0);
        let folder = if folder == "/" { "" } else { folder.as_str() };
        Self(format!("{folder}/{before}{}{after}", &name[..end]))
    }

    /// Whether `self` is `folder` or lies below it.
    pub fn is_within(&self, folder: &Self) -> bool {
        folder.0 == "/"
            || self.0 == folder.0
            || self
                .0
                .strip_prefix(&folder.0)
                .is_some_and(|rest| rest.starts_with('/'))
    }

    /// The text, starting with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text without the leading `/`, `.` for the root itself: what a look-up relative to the
    /// root's descriptor takes.
    pub(crate) fn relative(&self) -> &str {
        match self.0.trim_start_matches('/') {
            "" => ".",
            rest => rest,
        }
    }
}

impl FromStr for HostPath {
    type Err = NotAHostPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for HostPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_climb_out_is_refused() {
        for text in [
            "",
            "etc",
            "/../etc",
            "/a/./b",
            "/a/../b",
            "/a\nb",
            "/a\0b",
            &format!("/{}", "x".repeat(256)),
        ] {
            assert!(HostPath::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_is_normalised_and_taken_apart() {
        let path = HostPath::new("//etc//aami/agent.yaml/").unwrap();
        assert_eq!(path.as_str(), "/etc/aami/agent.yaml");
        assert_eq!(path.name(), "agent.yaml");
        assert_eq!(path.parent().unwrap().as_str(), "/etc/aami");
        assert_eq!(HostPath::new("/etc").unwrap().parent().unwrap().as_str(), "/");
        assert_eq!(HostPath::new("/").unwrap().parent(), None);
        assert_eq!(path.beside(".", ".new").as_str(), "/etc/aami/.agent.yaml.new");
    }

    #[test]
    fn within_means_whole_parts() {
        let folder = HostPath::new("/etc/aami").unwrap();
        assert!(HostPath::new("/etc/aami/x").unwrap().is_within(&folder));
        assert!(!HostPath::new("/etc/aami2").unwrap().is_within(&folder));
    }
}
