//! Mappings whose keys the operator chooses: labels, annotations, headers.

use std::collections::BTreeMap;

use aami_model::label::{Labels, MOST_LABELS, check_name};
use serde_json::{Value, json};

use super::{Kind, or_variables, scalar};
use crate::read::{Path, Reader};
use crate::text::shown;
use crate::tree::Node;

/// Labels, by the rules of `aami-model`.
pub(crate) struct LabelMap;

const LABEL_VALUE: &str = "a text of at most 1024 bytes without control characters";

impl Kind for LabelMap {
    type Out = Labels;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<Labels> {
        let read = texts(node, path, reader, LABEL_VALUE, |key| {
            check_name(key).err().map(|why| why.to_string())
        })?;
        if read.len() > MOST_LABELS {
            let sentence = format!(
                "there are {} labels; a node has at most {MOST_LABELS}",
                read.len()
            );
            reader.problem(node.line, path, sentence, None);
            return None;
        }
        Some(Labels(read))
    }

    fn schema(&self) -> Value {
        let value = json!({"type": ["string", "number", "boolean"], "maxLength": 1_024});
        json!({
            "type": "object",
            "additionalProperties": or_variables(value),
            "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
            "maxProperties": MOST_LABELS,
        })
    }

    fn words(&self) -> String {
        "labels: `name: value`, names of letters, digits and `_`".to_owned()
    }

    fn blank_is_nothing(&self) -> bool {
        false
    }
}

/// Texts by name.
pub(crate) struct TextMap;

impl Kind for TextMap {
    type Out = BTreeMap<String, String>;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<Self::Out> {
        let read = texts(node, path, reader, LABEL_VALUE, |key| {
            let fits = (1..=128).contains(&key.len())
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
            (!fits).then(|| "a name has letters, digits, `_` and `-`, at most 128".to_owned())
        })?;
        if read.len() > MOST_LABELS {
            reader.problem(
                node.line,
                path,
                format!("there are more than {MOST_LABELS}"),
                None,
            );
            return None;
        }
        Some(read)
    }

    fn schema(&self) -> Value {
        json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
    }

    fn words(&self) -> String {
        "texts by name: `name: value`".to_owned()
    }

    fn blank_is_nothing(&self) -> bool {
        false
    }
}

fn texts(
    node: &Node<'_>,
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    what: &str,
    wrong_name: impl Fn(&str) -> Option<String>,
) -> Option<BTreeMap<String, String>> {
    reader.mapping(node, path)?;
    let mut read = BTreeMap::new();
    let mut complete = true;
    for entry in node.entries() {
        let key = shown(&entry.key, 60);
        let path = path.key(&key);
        if let Some(why) = wrong_name(&entry.key) {
            reader.problem(entry.line, &path, why, None);
            complete = false;
            continue;
        }
        let value = if entry.value.is_null() {
            reader.known(&path, String::new(), reader.source_of(&entry.value));
            Some(String::new())
        } else {
            scalar(&entry.value, &path, reader, what, |text| {
                (text.len() <= 1_024 && !text.chars().any(char::is_control)).then(|| text.to_owned())
            })
        };
        match value {
            Some(value) => {
                read.insert(entry.key.clone().into_owned(), value);
            }
            None => complete = false,
        }
    }
    complete.then_some(read)
}
