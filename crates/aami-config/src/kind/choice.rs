//! One of a few words.

use std::marker::PhantomData;

use aami_model::finding::Severity;
use serde_json::{Value, json};

use super::{Kind, or_variables};
use crate::read::{Path, Reader};
use crate::text::nearest;
use crate::tree::Node;

/// A value that is one of a few words.
pub(crate) trait Named: Sized + Copy + 'static {
    /// Every word with what it means.
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of `T`.
pub(crate) struct Choice<T>(PhantomData<T>);

impl<T: Named> Choice<T> {
    pub(crate) const KIND: Self = Self(PhantomData);
}

impl<T: Named> Kind for Choice<T> {
    type Out = T;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<T> {
        let what = self.words();
        let given = reader.scalar(node, path, &what)?;
        match T::WORDS.iter().find(|(word, _)| *word == given.text) {
            Some((_, value)) => {
                reader.known(path, given.text, given.source);
                Some(*value)
            }
            None => {
                let meant = nearest(&given.text, T::WORDS.iter().map(|(word, _)| *word));
                reader.refuse_with(node, path, &given.text, &what, meant);
                None
            }
        }
    }

    fn schema(&self) -> Value {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        or_variables(json!({"enum": words}))
    }

    fn words(&self) -> String {
        let words: Vec<String> = T::WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
            None => String::new(),
        }
    }
}

impl Named for Severity {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("info", Self::Info),
        ("warning", Self::Warning),
        ("critical", Self::Critical),
    ];
}
