//! YAML: a list of mappings, alone or under `nodes:`, with the fields of `config.yaml`.

use super::draft::{Column, Draft, column, unknown};
use crate::problem::{Gathered, Problem};
use crate::text::shown;
use crate::tree::{self, Node, Value};

pub(super) fn read(bytes: &[u8], problems: &mut Gathered) -> Vec<Draft> {
    let tree = match tree::parse(bytes) {
        Ok(tree) => tree,
        Err(problem) => {
            problems.add(problem);
            return Vec::new();
        }
    };
    problems.extend(tree.problems);
    let list = match &tree.root.value {
        Value::List { .. } => Some(&tree.root),
        _ => tree.root.get("nodes"),
    };
    let Some(list) = list.filter(|list| matches!(list.value, Value::List { .. })) else {
        problems.add(Problem {
            line: 1,
            field: "nodes".to_owned(),
            sentence: "there is no list of nodes here".to_owned(),
            hint: Some("Write a list of `name:` and `ip:`, alone or under `nodes:`.".to_owned()),
        });
        return Vec::new();
    };
    list.items()
        .iter()
        .filter_map(|item| one(item, problems))
        .collect()
}

fn one(item: &Node<'_>, problems: &mut Gathered) -> Option<Draft> {
    let mut problem = |line, field: &str, sentence: String, hint: Option<String>| {
        problems.add(Problem {
            line,
            field: shown(field, 60),
            sentence,
            hint,
        });
    };
    if !matches!(item.value, Value::Map { .. }) {
        let sentence = format!("a node is a mapping, but this is {}", item.what());
        let hint = "Write `- name: gpu1` and `ip: ...` below it.".to_owned();
        problem(item.line, "", sentence, Some(hint));
        return None;
    }
    let mut draft = Draft::at(item.line);
    for entry in item.entries() {
        if entry.value.is_null() {
            continue;
        }
        let Some(column) = column(&entry.key) else {
            let (sentence, hint) = unknown(&entry.key);
            problem(entry.line, &entry.key, sentence, Some(hint));
            continue;
        };
        if column == Column::Labels && matches!(entry.value.value, Value::Map { .. }) {
            for label in entry.value.entries() {
                match label.value.text() {
                    Some(text) => draft.labels.push((label.key.to_string(), text.to_owned())),
                    None => problem(
                        label.line,
                        &label.key,
                        format!("a label's value is a text, but this is {}", label.value.what()),
                        None,
                    ),
                }
            }
            continue;
        }
        match entry.value.text() {
            Some(text) => {
                if let Err(sentence) = draft.set(column, text) {
                    problem(entry.line, &entry.key, sentence, None);
                }
            }
            None => problem(
                entry.line,
                &entry.key,
                format!("this is a text, but here is {}", entry.value.what()),
                None,
            ),
        }
    }
    let is_named = |entry: &tree::Entry<'_>| column(&entry.key) == Some(Column::Name);
    if !item.entries().iter().any(is_named) {
        problem(item.line, "name", "there is no name".to_owned(), None);
    }
    // A name that is none was told already.
    (!draft.name.is_empty()).then_some(draft)
}
