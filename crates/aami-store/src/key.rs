//! Keys: short UTF-8 paths.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The longest key, in bytes.
const LONGEST_KEY: usize = 1024;
/// The longest part between two slashes that is kept readable, in bytes after escaping.
const LONGEST_SEGMENT: usize = 240;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key is 1 to 1024 bytes of non-empty parts between single '/', without control characters")]
pub struct InvalidKey;

/// The name of an entry: parts joined by `/`, neither starting nor ending with one. A copy is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// From parts that may hold anything: what could end a part or hide in a terminal is written as
    /// `%xx`, and a part that stays too long is replaced by its SHA-256, so every text gives a key
    /// and two texts never give the same.
    pub(crate) fn from_parts(parts: &[&str]) -> Self {
        let mut path = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
        for part in parts {
            if !path.is_empty() {
                path.push('/');
            }
            push_segment(&mut path, part);
        }
        Self(path.into())
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes, as they stand in the path.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// What follows `prefix`, when the key is under it.
    pub fn strip(&self, prefix: &Prefix) -> Option<&str> {
        self.0.strip_prefix(&*prefix.0)
    }

    /// A key read back from an engine, which only ever holds what [`Key`] let in.
    pub(crate) fn trusted(path: &str) -> Self {
        Self(path.into())
    }
}

fn push_segment(path: &mut String, part: &str) {
    let start = path.len();
    for byte in part.bytes() {
        // Letters beyond ASCII are escaped too: two spellings of one letter must not look alike.
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'@' | b'+' | b'=') {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push_str(&HEXLOWER.encode(&[byte]));
        }
    }
    if part.is_empty() {
        // A lone percent sign stands for nothing else.
        path.push('%');
    }
    if path.len() - start > LONGEST_SEGMENT {
        path.truncate(start);
        path.push('~');
        path.push_str(&HEXLOWER.encode(&Sha256::digest(part.as_bytes())));
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(path: &str) -> Result<Self, InvalidKey> {
        let fits = path.len() <= LONGEST_KEY
            && path.split('/').all(|part| !part.is_empty())
            && !path.chars().any(char::is_control);
        if fits {
            Ok(Self(path.into()))
        } else {
            Err(InvalidKey)
        }
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a group of keys begins with: empty for all, otherwise ending in `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Every key.
    pub fn all() -> Self {
        Self("".into())
    }

    /// The keys under these parts, escaped as [`Key`]'s are.
    pub(crate) fn from_parts(parts: &[&str]) -> Self {
        Self(format!("{}/", Key::from_parts(parts)).into())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a key is among them.
    pub fn holds(&self, key: &Key) -> bool {
        key.0.starts_with(&*self.0)
    }

    /// The first text after all keys with this prefix; `None` when there is no end.
    pub(crate) fn end(&self) -> Option<String> {
        // '0' follows '/'.
        self.0.strip_suffix('/').map(|stem| format!("{stem}0"))
    }
}

impl FromStr for Prefix {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text.strip_suffix('/') {
            Some(stem) => Key::from_str(stem).map(|_| Self(text.into())),
            None if text.is_empty() => Ok(Self::all()),
            None => Err(InvalidKey),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_an_empty_part_or_a_control_character_is_no_key() {
        for path in ["", "/", "a/", "/a", "a//b", "a\nb", "a\0", &"a".repeat(1025)] {
            assert_eq!(path.parse::<Key>(), Err(InvalidKey), "{path:?}");
        }
        assert_eq!(
            "s/nodes/ä b".parse::<Key>().expect("it is a path").as_str(),
            "s/nodes/ä b"
        );
    }

    #[test]
    fn no_text_breaks_out_of_its_part() {
        // Given parts that a stranger may choose
        for hostile in ["../x", "a/b", "", "\n", "%", "ü", &"x".repeat(5000)] {
            // when a key is made of one
            let key = Key::from_parts(&["s", "idem", hostile, "end"]);
            // then it still has the four parts and is a key
            assert_eq!(key.segments().count(), 4, "{key}");
            assert_eq!(key.as_str().parse::<Key>().as_ref(), Ok(&key));
        }
    }

    #[test]
    fn different_texts_give_different_parts() {
        let texts = ["", "%", "%25", "a%2fb", "a/b", "A", "a"];
        let keys: std::collections::BTreeSet<_> = texts.iter().map(|text| Key::from_parts(&[text])).collect();
        assert_eq!(keys.len(), texts.len());
    }

    #[test]
    fn a_prefix_ends_where_its_last_key_does() {
        let prefix: Prefix = "s/nodes/".parse().expect("it is a prefix");
        let end = prefix.end().expect("it has an end");
        for inside in ["s/nodes/!", "s/nodes/\u{10ffff}"] {
            let key: Key = inside.parse().expect("it is a key");
            assert!(prefix.holds(&key) && key.as_str() < end.as_str());
        }
        assert!(!prefix.holds(&"s/nodes0".parse().expect("it is a key")));
        assert_eq!("s/nodes".parse::<Prefix>(), Err(InvalidKey));
    }
}
