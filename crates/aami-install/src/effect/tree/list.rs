//! The list of what a tree holds: what looking compares with, what mending and undoing go by.
//!
//! It lies in the tree itself, with this plan's mark in its first line, and beside the receipt under its
//! digest, which the record names. A line is `d PATH`, `f SHA256 PATH` (`x` where it can be executed) or
//! `l PATH<tab>TARGET`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::archive::Kind;
use crate::digest::Digest;
use crate::path::HostPath;

/// The list's name in its tree.
pub(super) const LIST: &str = ".aami-tree";
/// A list longer than this is none.
pub(super) const LONGEST_LIST: u64 = 32 << 20;

/// One thing below a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    Folder,
    File { digest: Digest, executable: bool },
    Link { target: String },
}

impl Thing {
    pub(super) fn of(kind: &Kind, digest: Digest) -> Self {
        match kind {
            Kind::Folder => Self::Folder,
            Kind::File { executable } => Self::File {
                digest,
                executable: *executable,
            },
            Kind::Link { target } => Self::Link {
                target: target.clone(),
            },
        }
    }

    /// Its permission bits; those of a link mean nothing.
    pub(super) const fn mode(&self) -> u32 {
        match self {
            Self::File {
                executable: false, ..
            } => 0o644,
            _ => 0o755,
        }
    }
}

/// Everything below a tree, by its path from there; a folder stands before what lies in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing(pub(super) BTreeMap<String, Thing>);

impl Listing {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (path, thing) in &self.0 {
            let _ = match thing {
                Thing::Folder => writeln!(text, "d {path}"),
                Thing::File { digest, executable } => {
                    let sign = if *executable { 'x' } else { 'f' };
                    writeln!(text, "{sign} {digest} {path}")
                }
                Thing::Link { target } => writeln!(text, "l {path}\t{target}"),
            };
        }
        text
    }

    /// Reads a list; none where it is not one, or names what does not lie below a tree.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut things = BTreeMap::new();
        for line in std::str::from_utf8(bytes).ok()?.lines() {
            let (sign, rest) = line.split_once(' ')?;
            let (path, thing) = match sign {
                "#" => continue,
                "d" => (rest, Thing::Folder),
                "f" | "x" => {
                    let (digest, path) = rest.split_once(' ')?;
                    let (digest, executable) = (digest.parse().ok()?, sign == "x");
                    (path, Thing::File { digest, executable })
                }
                "l" => {
                    let (path, target) = rest.split_once('\t')?;
                    let target = target.to_owned();
                    (path, Thing::Link { target })
                }
                _ => return None,
            };
            // The same path written in another way would be another thing.
            let known = HostPath::root().join(path).ok()?;
            if known.relative() != path {
                return None;
            }
            things.insert(path.to_owned(), thing);
        }
        Some(Self(things))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let file = |executable| Thing::File {
            digest: Digest::of(b"x"),
            executable,
        };
        let target = "../b c".to_owned();
        let things = [
            ("a", Thing::Folder),
            ("a/b c", file(true)),
            ("a/d", file(false)),
            ("l", Thing::Link { target }),
        ];
        let list = Listing(things.map(|(path, thing)| (path.to_owned(), thing)).into());
        let text = format!("# somebody's mark\n{}", list.text());
        assert_eq!(Listing::parse(text.as_bytes()), Some(list));
    }

    #[test]
    fn a_list_that_names_what_lies_elsewhere_is_none() {
        for text in [
            "d ../a\n",
            "d /a\n",
            "d a/../b\n",
            "d a//b\n",
            "d .\n",
            "f 12 a\n",
            "q a\n",
            "d\n",
        ] {
            assert_eq!(Listing::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(?s).{0,200}") {
            let _ = Listing::parse(text.as_bytes());
        }
    }
}
