//! What a value may be: one type a kind, which reads it, describes it and says what is wrong with it.
//!
//! Everything is read from text: YAML's own guess at types (`on`, `0o17`, `1e3`) decides nothing here. A kind that
//! returns nothing has told the [`Reader`] why.

mod choice;
mod collection;
mod host;
mod map;
mod number;
mod path;
mod secret;
mod text;
mod url;

pub(crate) use choice::{Choice, Named};
pub(crate) use collection::{List, OrScalar, Section};
pub(crate) use host::{Address, HostText, Jump, address};
pub(crate) use map::{LabelMap, TextMap};
pub(crate) use number::{Bool, Number, Port, Prom, Seconds};
pub(crate) use path::FilePath;
pub(crate) use secret::Secret;
pub(crate) use text::Text;
pub(crate) use url::Url;

use serde_json::{Value, json};

use crate::read::{Path, Reader};
use crate::section::Field;
use crate::setting::Source;
use crate::tree::Node;

/// What a value may be.
pub(crate) trait Kind {
    /// What it becomes.
    type Out;

    /// Reads it. In: the value, never null; its path; where problems go. Out: nothing where there were some.
    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<Self::Out>;

    /// Its JSON schema.
    fn schema(&self) -> Value;

    /// What it may be, in a few words for a table.
    fn words(&self) -> String;

    /// The fields below it, where it has some, and what stands between its name and theirs.
    fn below(&self) -> Option<(&'static str, Vec<Field>)> {
        None
    }

    /// Whether an empty text says the same as nothing.
    fn blank_is_nothing(&self) -> bool {
        true
    }
}

/// A scalar with its variables put in.
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// Reads a scalar by a rule. `what` completes the sentence "it must be ...".
pub(crate) fn scalar<T>(
    node: &Node<'_>,
    path: &Path<'_>,
    reader: &mut Reader<'_>,
    what: &str,
    rule: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let given = reader.scalar(node, path, what)?;
    match rule(&given.text) {
        Some(value) => {
            reader.known(path, given.text, given.source);
            Some(value)
        }
        None => {
            reader.refuse(node, path, &given.text, what);
            None
        }
    }
}

/// The schema of a value that may also be written with variables.
pub(crate) fn or_variables(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}"}]})
}
