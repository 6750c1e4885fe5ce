//! Lists and sections.

use std::marker::PhantomData;

use serde_json::{Value, json};

use super::Kind;
use crate::read::{Path, Reader};
use crate::section::{Field, Fields, Pairs};
use crate::tree::{Node, Value as Tree};

/// A list of values of one kind.
pub(crate) struct List<K> {
    of: K,
    most: usize,
}

impl<K: Kind> List<K> {
    pub(crate) const fn of(of: K) -> Self {
        Self { of, most: usize::MAX }
    }

    pub(crate) const fn up_to(mut self, most: usize) -> Self {
        self.most = most;
        self
    }
}

impl<K: Kind> Kind for List<K> {
    type Out = Vec<K::Out>;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        if !matches!(node.value, Tree::List { .. }) {
            let sentence = format!("this must be a list, but it is {}", node.what());
            reader.problem(
                node.line,
                path,
                sentence,
                Some("Begin each entry with `- `.".to_owned()),
            );
            return None;
        }
        let items = node.items();
        if items.len() > self.most {
            let sentence = format!(
                "there are {} entries; at most {} are read",
                items.len(),
                self.most
            );
            reader.problem(node.line, path, sentence, None);
            return None;
        }
        if items.is_empty() {
            reader.known(path, "[]".to_owned(), reader.source_of(node));
        }
        let mut read = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let path = path.index(at);
            if item.is_null() {
                reader.problem(
                    item.line,
                    &path,
                    "this entry is empty".to_owned(),
                    Some("Fill it, or remove the line.".to_owned()),
                );
            } else {
                read.extend(self.of.read(item, &path, reader));
            }
        }
        (read.len() == items.len()).then_some(read)
    }

    fn schema(&self) -> Value {
        json!({"type": ["array", "null"], "items": self.of.schema(), "maxItems": self.most})
    }

    fn words(&self) -> String {
        match self.of.below() {
            Some(_) => "a list".to_owned(),
            None => format!("a list, each {}", self.of.words()),
        }
    }

    fn below(&self) -> Option<(&'static str, Vec<Field>)> {
        self.of.below().map(|(_, fields)| ("[].", fields))
    }

    fn blank_is_nothing(&self) -> bool {
        false
    }
}

/// A mapping with the fields of `T`.
pub(crate) struct Section<T>(PhantomData<T>);

impl<T: Fields> Section<T> {
    pub(crate) const KIND: Self = Self(PhantomData);
}

impl<T: Fields> Kind for Section<T> {
    type Out = T;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<T> {
        reader.mapping(node, path)?;
        reader.unknown_keys(node, path, T::KEYS);
        T::read(&mut Pairs { node, path, reader })
    }

    fn schema(&self) -> Value {
        crate::section::object::<T>()
    }

    fn words(&self) -> String {
        "a mapping".to_owned()
    }

    fn below(&self) -> Option<(&'static str, Vec<Field>)> {
        Some((".", T::fields()))
    }

    fn blank_is_nothing(&self) -> bool {
        false
    }
}

/// A section, or the value of its one important field alone.
pub(crate) struct OrScalar<T> {
    key: &'static str,
    of: PhantomData<T>,
}

impl<T: Fields> OrScalar<T> {
    pub(crate) const fn key(key: &'static str) -> Self {
        Self { key, of: PhantomData }
    }
}

impl<T: Fields> Kind for OrScalar<T> {
    type Out = T;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<T> {
        if !matches!(node.value, Tree::Scalar { .. }) {
            return Section::<T>::KIND.read(node, path, reader);
        }
        // The value alone means the mapping with that one field.
        let alone = Node {
            value: Tree::Map {
                entries: vec![crate::tree::Entry {
                    key: self.key.into(),
                    key_span: node.span.clone(),
                    line: node.line,
                    value: node.clone(),
                }],
                flow: true,
            },
            ..node.clone()
        };
        Section::<T>::KIND.read(&alone, path, reader)
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [{"type": ["string", "null"]}, Section::<T>::KIND.schema()]})
    }

    fn words(&self) -> String {
        format!("a mapping, or its `{}` alone", self.key)
    }

    fn below(&self) -> Option<(&'static str, Vec<Field>)> {
        Section::<T>::KIND.below()
    }
}
