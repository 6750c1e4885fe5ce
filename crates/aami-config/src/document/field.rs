//! One field: set, written for the first time, removed.

use std::fmt;
use std::str::FromStr;

use super::change::Change;
use super::place::{self, column, line_break, line_end, line_start, next_line};
use super::plain::Plain;
use super::{EditError, render};
use crate::config::Config;
use crate::section::{Field, Fields as _};
use crate::text::nearest;
use crate::tree::{Entry, Node, Value};

/// A field of the schema: `ssh.max_parallel`, `nodes[0].labels.rack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    steps: Vec<Step>,
    is_secret: bool,
}

impl FieldPath {
    /// Whether what stands there is a secret.
    pub const fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// A path of which nobody asks more than where it leads.
    const fn to(steps: Vec<Step>) -> Self {
        Self {
            steps,
            is_secret: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) => write!(f, "{}{key}", if at > 0 { "." } else { "" })?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl FromStr for FieldPath {
    type Err = EditError;

    /// Reads a path and checks that the schema has it.
    fn from_str(text: &str) -> Result<Self, EditError> {
        let unknown = |nearest: Option<String>| EditError::UnknownField {
            field: crate::text::shown(text, 100),
            nearest,
        };
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (key, mut rest) = match part.find('[') {
                Some(at) => part.split_at(at),
                None => (part, ""),
            };
            if key.is_empty() || steps.len() > crate::tree::MOST_DEPTH {
                return Err(unknown(None));
            }
            steps.push(Step::Key(key.to_owned()));
            while let Some(inner) = rest.strip_prefix('[') {
                let (index, after) = inner.split_once(']').ok_or_else(|| unknown(None))?;
                steps.push(Step::Index(index.parse().map_err(|_| unknown(None))?));
                rest = after;
            }
            if !rest.is_empty() {
                return Err(unknown(None));
            }
        }
        let is_secret = known(&steps).map_err(unknown)?;
        Ok(Self { steps, is_secret })
    }
}

/// Whether it is a secret. Fails where the schema does not have it, with what probably was meant.
fn known(steps: &[Step]) -> Result<bool, Option<String>> {
    let mut is_secret = false;
    let mut fields: Option<Vec<Field>> = Some(Config::fields());
    let mut before = String::new();
    let mut free = false;
    for step in steps {
        match step {
            // Below labels and the like stands any name, and nothing below that.
            _ if free => {
                free = false;
                fields = None;
            }
            Step::Index(_) => {}
            Step::Key(key) => {
                let here = fields.take().ok_or(None)?;
                let Some(field) = here.iter().find(|field| field.key == key) else {
                    let meant = nearest(key, here.iter().map(|field| field.key));
                    return Err(meant.map(|meant| format!("{before}{meant}")));
                };
                before = format!("{before}{key}.");
                is_secret = field.schema["writeOnly"] == true;
                free = field.below.is_none() && field.schema["type"] == "object";
                fields = field.below.clone().map(|(_, below)| below);
            }
        }
    }
    Ok(is_secret)
}

/// Sets a field to a plain value.
pub(super) fn set(
    root: &Node<'_>,
    path: &FieldPath,
    value: &str,
    change: &mut Change<'_>,
) -> Result<(), EditError> {
    let Some((node, missing)) = walk(root, path)? else {
        return Err(EditError::NotThere(path.to_string()));
    };
    *wanted(&mut change.wanted, path)? = Plain::Text(value.to_owned());
    if !missing.is_empty() {
        return put(node, &missing, &Plain::Text(value.to_owned()), change);
    }
    let by_hand = || EditError::ByHand {
        field: path.to_string(),
        line: node.line,
    };
    if !matches!(node.value, Value::Scalar { .. }) || node.span.is_empty() {
        return Err(by_hand());
    }
    let (text, written) = (change.text, render::setting(value));
    let (start, end) = (node.span.start, place::end(text, node));
    match entry_of(root, path)? {
        // A text below its key begins with a sign (`|`) that is no part of it.
        Some(entry) if line_start(text, entry.key_span.end) != line_start(text, start) => {
            let colon = place::colon(text, entry).ok_or_else(by_hand)?;
            change.replace(colon + 1..end, format!(" {written}"));
        }
        _ => change.replace(start..end, written),
    }
    Ok(())
}

/// The pair whose value stands at a path; nothing where it is an item of a list.
fn entry_of<'t, 'a>(root: &'t Node<'a>, path: &FieldPath) -> Result<Option<&'t Entry<'a>>, EditError> {
    let Some((Step::Key(key), above)) = path.steps.split_last() else {
        return Ok(None);
    };
    Ok(match walk(root, &FieldPath::to(above.to_vec()))? {
        Some((map, missing)) if missing.is_empty() => map.entry(key),
        _ => None,
    })
}

/// Removes a field with its line.
pub(super) fn unset(root: &Node<'_>, path: &FieldPath, change: &mut Change<'_>) -> Result<(), EditError> {
    let not_there = || EditError::NotThere(path.to_string());
    let Some((Step::Key(key), above)) = path.steps.split_last() else {
        return Err(EditError::ByHand {
            field: path.to_string(),
            line: root.line,
        });
    };
    let above_path = FieldPath::to(above.to_vec());
    let (map, missing) = walk(root, &above_path)?.ok_or_else(not_there)?;
    if !missing.is_empty() {
        return Err(not_there());
    }
    let at = map
        .entries()
        .iter()
        .position(|entry| entry.key == *key)
        .ok_or_else(not_there)?;
    let entry = &map.entries()[at];
    let by_hand = || EditError::ByHand {
        field: path.to_string(),
        line: entry.line,
    };
    if let Plain::Map(pairs) = wanted(&mut change.wanted, &above_path)? {
        pairs.remove(at);
        if pairs.is_empty() && !place::is_flow(map) && !above.is_empty() {
            *wanted(&mut change.wanted, &above_path)? = Plain::Nothing;
        }
    }
    let text = change.text;
    let end = place::entry_end(text, entry);
    if place::is_flow(map) {
        let next = map.entries().get(at + 1);
        match (at.checked_sub(1), next) {
            (Some(before), _) => {
                let from = place::entry_end(text, &map.entries()[before]);
                change.replace(from..end, "");
            }
            (None, Some(next)) => change.replace(entry.key_span.start..next.key_span.start, ""),
            (None, None) => change.replace(entry.key_span.start..end, ""),
        }
        return Ok(());
    }
    let start = line_start(text, entry.key_span.start);
    if !text[start..entry.key_span.start].trim().is_empty() {
        // It shares its line with the dash of its list.
        let next = map.entries().get(at + 1).ok_or_else(by_hand)?;
        change.replace(entry.key_span.start..next.key_span.start, "");
        return Ok(());
    }
    change.forget(start..next_line(text, end));
    Ok(())
}

/// Writes a value that is not written yet, at the keys of `path`, with the sections above it; or in the place of
/// `[]` or nothing.
pub(super) fn write(
    root: &Node<'_>,
    path: &[&str],
    value: &Plain,
    change: &mut Change<'_>,
) -> Result<(), EditError> {
    let steps = path.iter().map(|key| Step::Key((*key).to_owned())).collect();
    let path = FieldPath::to(steps);
    match walk(root, &path)? {
        Some((node, missing)) if !missing.is_empty() => put(node, &missing, value, change),
        // It is there, and empty: it gives way to lines below its key.
        Some((node, _)) => {
            let entry = entry_of(root, &path)?.ok_or_else(|| EditError::ByHand {
                field: path.to_string(),
                line: node.line,
            })?;
            below_key(entry, value, change)
        }
        None => Err(EditError::NotThere(path.to_string())),
    }
}

/// What was found on the way along a path: the last value there is, and the keys that are missing below it. Nothing
/// where the path leads through an item that is not there.
fn walk<'t, 'a>(
    root: &'t Node<'a>,
    path: &FieldPath,
) -> Result<Option<(&'t Node<'a>, Vec<String>)>, EditError> {
    let mut node = root;
    for (at, step) in path.steps.iter().enumerate() {
        if node.aliased {
            return Err(EditError::ByHand {
                field: path.to_string(),
                line: node.line,
            });
        }
        let next = match step {
            Step::Key(key) => node.entry(key).map(|entry| &entry.value),
            Step::Index(index) => match node.items().get(*index) {
                Some(item) => Some(item),
                None => return Ok(None),
            },
        };
        // A key without a value is as good as missing, but its line is there.
        match next {
            Some(next) if !next.is_null() => node = next,
            _ => {
                let missing = path.steps[at..]
                    .iter()
                    .map(|step| match step {
                        Step::Key(key) => Some(key.clone()),
                        Step::Index(_) => None,
                    })
                    .collect::<Option<Vec<String>>>();
                return Ok(missing.map(|missing| (node, missing)));
            }
        }
    }
    Ok(Some((node, Vec::new())))
}

/// The place of a field in what the text shall say.
fn wanted<'w>(root: &'w mut Plain, path: &FieldPath) -> Result<&'w mut Plain, EditError> {
    let mut at = root;
    for step in &path.steps {
        at = match step {
            Step::Key(key) => at.under(key),
            Step::Index(index) => at
                .items()
                .and_then(|items| items.get_mut(*index))
                .ok_or_else(|| EditError::NotThere(path.to_string()))?,
        };
    }
    Ok(at)
}

/// Writes `missing` keys with a value below `node`.
fn put(node: &Node<'_>, missing: &[String], value: &Plain, change: &mut Change<'_>) -> Result<(), EditError> {
    let by_hand = || EditError::ByHand {
        field: missing.join("."),
        line: node.line,
    };
    let (first, rest) = missing.split_first().ok_or(EditError::NotReadBack)?;
    let value = rest
        .iter()
        .rev()
        .fold(value.clone(), |value, key| Plain::Map(vec![(key.clone(), value)]));
    let Value::Map { entries, flow } = &node.value else {
        return Err(by_hand());
    };
    if let Some(entry) = node.entry(first) {
        return match &value {
            Plain::Text(text) => {
                let colon = place::colon(change.text, entry).ok_or_else(by_hand)?;
                let written = render::setting(text);
                if entry.value.span.is_empty() {
                    change.insert(colon + 1, format!(" {written}"));
                } else {
                    change.replace(entry.value.span.clone(), written);
                }
                Ok(())
            }
            _ if *flow => Err(by_hand()),
            value => below_key(entry, value, change),
        };
    }
    let text = change.text;
    let pair = Plain::Map(vec![(first.clone(), value)]);
    match (flow, entries.last()) {
        (true, Some(last)) => {
            let written = render::flow(&pair);
            let inner = written
                .strip_prefix('{')
                .and_then(|inner| inner.strip_suffix('}'));
            let inner = inner.ok_or_else(by_hand)?;
            change.insert(place::entry_end(text, last), format!(", {inner}"));
        }
        (true, None) if node.span.is_empty() => {
            // Nothing but comments is written at all.
            let broken = line_break(text);
            let before = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                broken
            };
            let written = render::block(&pair, 0, broken);
            change.insert(text.len(), format!("{before}{written}{broken}"));
        }
        (true, None) => {
            let written = render::flow(&pair);
            change.replace(node.span.start..place::end(text, node), written);
        }
        (false, last) => {
            let last = last.ok_or_else(by_hand)?;
            let first = entries.first().map_or(last, |first| first);
            let indent = column(text, first.key_span.start);
            let broken = line_break(text);
            let written = render::block(&pair, indent, broken);
            let at = line_end(text, place::entry_end(text, last));
            change.insert(at, format!("{broken}{}{written}", " ".repeat(indent)));
        }
    }
    Ok(())
}

/// Writes a collection below its key, in the place of `[]`, `{}` or nothing.
fn below_key(entry: &Entry<'_>, value: &Plain, change: &mut Change<'_>) -> Result<(), EditError> {
    let text = change.text;
    let by_hand = || EditError::ByHand {
        field: entry.key.to_string(),
        line: entry.line,
    };
    let colon = place::colon(text, entry).ok_or_else(by_hand)?;
    let end = place::entry_end(text, entry);
    if line_end(text, colon) < end {
        return Err(by_hand());
    }
    change.replace(colon + 1..end.max(colon + 1), "");
    let indent = column(text, entry.key_span.start) + 2;
    let broken = line_break(text);
    let written = render::block(value, indent, broken);
    change.insert(
        line_end(text, end),
        format!("{broken}{}{written}", " ".repeat(indent)),
    );
    Ok(())
}
