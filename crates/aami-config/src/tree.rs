//! YAML as a tree in which every value knows its place in the text.
//!
//! [`parse`] is the one entry: bounded in bytes, depth and what aliases may grow to. Values are not judged here: a
//! scalar is its text, and whether it was quoted.

mod build;
mod text;

pub(crate) use build::parse;
pub(crate) use text::decode;

use std::borrow::Cow;
use std::ops::Range;

use crate::problem::Gathered;

/// The largest text that is read, in bytes.
pub(crate) const MOST_BYTES: usize = 32 << 20;
/// How deep values may lie within each other.
pub(crate) const MOST_DEPTH: usize = 32;
/// How many values the aliases of one text may stand for.
pub(crate) const MOST_ALIASED: usize = 100_000;

/// A text, read.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    /// The outermost value.
    pub(crate) root: Node<'a>,
    /// What is wrong although the text could be read: keys given twice.
    pub(crate) problems: Gathered,
}

/// One value.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: Value<'a>,
    /// Where it stands, in bytes from the beginning of the text. A block collection ends where its last value does.
    pub(crate) span: Range<usize>,
    /// The line it begins in, from 1.
    pub(crate) line: usize,
    /// Whether it was written somewhere else and is named here by an alias.
    pub(crate) aliased: bool,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    /// A text, or nothing.
    Scalar { text: Cow<'a, str>, plain: bool },
    /// A list.
    List { items: Vec<Node<'a>>, flow: bool },
    /// A mapping, in the order it is written. No key stands twice.
    Map { entries: Vec<Entry<'a>>, flow: bool },
}

/// One pair of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Cow<'a, str>,
    /// Where the key stands.
    pub(crate) key_span: Range<usize>,
    /// The line the key stands in, from 1.
    pub(crate) line: usize,
    pub(crate) value: Node<'a>,
}

impl<'a> Node<'a> {
    /// A value that was not read from the text: a default. `[]` and `{}` are empty collections, the rest is text.
    pub(crate) fn made(text: &'a str, line: usize) -> Self {
        let value = match text {
            "[]" => Value::List {
                items: Vec::new(),
                flow: true,
            },
            "{}" => Value::Map {
                entries: Vec::new(),
                flow: true,
            },
            text => Value::Scalar {
                text: Cow::Borrowed(text),
                plain: false,
            },
        };
        Self {
            value,
            span: 0..0,
            line,
            aliased: false,
        }
    }

    /// Whether nothing is written here: `key:`, `key: null`, `key: ~`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(&**text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it is an empty text or nothing.
    pub(crate) fn is_blank(&self) -> bool {
        self.is_null() || matches!(&self.value, Value::Scalar { text, .. } if text.is_empty())
    }

    /// Its text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The pairs of a mapping; none where it is something else.
    pub(crate) fn entries(&self) -> &[Entry<'a>] {
        match &self.value {
            Value::Map { entries, .. } => entries,
            _ => &[],
        }
    }

    /// The values of a list; none where it is something else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List { items, .. } => items,
            _ => &[],
        }
    }

    /// The pair with this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value under this key, where something is written.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key)
            .map(|entry| &entry.value)
            .filter(|value| !value.is_null())
    }

    /// What it is, for people.
    pub(crate) const fn what(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } => "a plain value",
            Value::List { .. } => "a list",
            Value::Map { .. } => "a mapping",
        }
    }
}
