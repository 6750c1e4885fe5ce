//! The YAML form: groups with `hosts`, `vars` and `children`.

use super::{Inventory, Variables, problem};
use crate::list::draft::Draft;
use crate::problem::Gathered;
use crate::text::shown;
use crate::tree::{self, Node, Value};

pub(in crate::list) fn read(bytes: &[u8], problems: &mut Gathered) -> Vec<Draft> {
    let tree = match tree::parse(bytes) {
        Ok(tree) => tree,
        Err(problem) => {
            problems.add(problem);
            return Vec::new();
        }
    };
    problems.extend(tree.problems);
    let mut inventory = Inventory::default();
    if !matches!(tree.root.value, Value::Map { .. }) {
        let sentence = "an inventory is a mapping of groups".to_owned();
        problems.add(problem(tree.root.line, sentence));
    }
    for entry in tree.root.entries() {
        group(&entry.key, &entry.value, &mut inventory, problems);
    }
    inventory.into_drafts(problems)
}

/// One group and those below it; the tree itself is bounded in depth.
fn group(name: &str, node: &Node<'_>, inventory: &mut Inventory, problems: &mut Gathered) {
    let line = node.line;
    let mut variables = Variables::new();
    let mut children = Vec::new();
    for entry in node.entries() {
        match &*entry.key {
            "hosts" => listed(name, &entry.value, inventory, problems),
            "vars" => keep(&entry.value, &mut variables),
            "children" => {
                for child in entry.value.entries() {
                    children.push(child.key.to_string());
                    group(&child.key, &child.value, inventory, problems);
                }
            }
            other => {
                let sentence = format!("`{}` is no part of a group", shown(other, 60));
                problems.add(crate::problem::Problem {
                    hint: Some("A group has hosts, vars and children.".to_owned()),
                    ..problem(entry.line, sentence)
                });
            }
        }
    }
    if !node.is_null() && !matches!(node.value, Value::Map { .. }) {
        let sentence = format!("a group is a mapping, but this is {}", node.what());
        problems.add(problem(line, sentence));
    }
    match inventory.group(name, line) {
        Ok(group) => {
            group.variables.extend(variables);
            group.children.extend(children);
        }
        Err(problem) => problems.add(problem),
    }
}

fn listed(group: &str, node: &Node<'_>, inventory: &mut Inventory, problems: &mut Gathered) {
    if !node.is_null() && !matches!(node.value, Value::Map { .. }) {
        let sentence = format!(
            "hosts are a mapping (`gpu1:` and below it variables), but this is {}",
            node.what()
        );
        problems.add(problem(node.line, sentence));
    }
    for entry in node.entries() {
        let mut variables = Variables::new();
        keep(&entry.value, &mut variables);
        match inventory.hosts(&entry.key, entry.line) {
            Ok(names) => {
                for name in names {
                    if let Err(problem) = inventory.list(name, Some(group), &variables, entry.line) {
                        problems.add(problem);
                        return;
                    }
                }
            }
            Err(problem) => problems.add(problem),
        }
    }
}

fn keep(node: &Node<'_>, variables: &mut Variables) {
    for entry in node.entries() {
        if let Some(text) = entry.value.text() {
            Inventory::keep(variables, &entry.key, text, entry.line);
        }
    }
}
