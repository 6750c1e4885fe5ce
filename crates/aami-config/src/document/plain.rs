//! What a text says, without how it is written: what a change is compared with.

use crate::tree::{Node, Value};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plain {
    Nothing,
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Plain {
    pub(super) fn of(node: &Node<'_>) -> Self {
        match &node.value {
            Value::Scalar { .. } if node.is_null() => Self::Nothing,
            Value::Scalar { text, .. } => Self::Text(text.clone().into_owned()),
            Value::List { items, .. } => Self::List(items.iter().map(Self::of).collect()),
            Value::Map { entries, .. } => Self::Map(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone().into_owned(), Self::of(&entry.value)))
                    .collect(),
            ),
        }
    }

    /// The value under `key`, put there where it is missing.
    pub(super) fn under(&mut self, key: &str) -> &mut Self {
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(Vec::new());
        }
        let Self::Map(pairs) = self else {
            return self;
        };
        let at = match pairs.iter().position(|(known, _)| known == key) {
            Some(at) => at,
            None => {
                pairs.push((key.to_owned(), Self::Nothing));
                pairs.len() - 1
            }
        };
        &mut pairs[at].1
    }

    /// The items of a list, put there where nothing is.
    pub(super) fn items(&mut self) -> Option<&mut Vec<Self>> {
        if !matches!(self, Self::List(_)) {
            *self = Self::List(Vec::new());
        }
        match self {
            Self::List(items) => Some(items),
            Self::Nothing | Self::Text(_) | Self::Map(_) => None,
        }
    }
}
