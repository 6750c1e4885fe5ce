//! Many nodes in a few characters: `gpu[001-128]`, `rack[1-4]-n[01-16]`, `gpu[1-99/2]!gpu7`.
//!
//! The notation is the one operators know from ClusterShell and Slurm. [`NodeSet`] is a text of it that was read:
//! a bounded set of names in natural order (`gpu2` before `gpu10`). [`fold`] goes the other way, for whoever
//! tells about many nodes in one line.
//!
//! What can be written:
//!
//! | text | means |
//! |---|---|
//! | `gpu[001-128]` | 128 names, zeros kept |
//! | `gpu[1-4,7]-ib[0-1]` | every combination |
//! | `gpu[1-99/2]` | every second one |
//! | `a,b` or `a b` | both |
//! | `a!b`, `a&b`, `a^b` | those of a that are not in b; those in both; those in exactly one. From left to right |
//!
//! Nothing here knows whether such nodes exist.

mod fold;
mod natural;
mod parse;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use fold::{fold, folded};
pub use natural::natural;
pub use parse::NodeSetError;

/// How many names a text may stand for.
pub const LIMIT: usize = 200_000;

/// The longest name, as for host names.
pub(crate) const LONGEST: usize = 253;

/// Names of nodes, each once, in natural order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NodeSet {
    names: BTreeSet<Name>,
}

impl NodeSet {
    /// Reads the notation. In: a text, and how many names it may stand for, all its parts counted. Out: the set.
    /// Fails: where it is no such text, naming the character; where it would stand for more.
    pub fn parse(text: &str, limit: usize) -> Result<Self, NodeSetError> {
        parse::parse(text, limit).map(|names| Self { names })
    }

    /// The set of these names, as they are: nothing in them is expanded. Fails: for a text that cannot be a name.
    pub fn from_names<I>(names: I) -> Result<Self, NodeSetError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let names = names.into_iter().map(|name| {
            let name = name.as_ref();
            parse::check_name(name)?;
            Ok(Name(name.into()))
        });
        Ok(Self {
            names: names.collect::<Result<_, NodeSetError>>()?,
        })
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none, as in `gpu1!gpu1`.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether this name is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(&Name(name.into()))
    }

    /// The names in natural order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &*name.0)
    }
}

impl FromStr for NodeSet {
    type Err = NodeSetError;

    fn from_str(text: &str) -> Result<Self, NodeSetError> {
        Self::parse(text, LIMIT)
    }
}

/// Folded: `gpu[01-97,99]`.
impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fold(self.iter()))
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name that is ordered as people do.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) Box<str>);

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        natural(&self.0, &other.0)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
