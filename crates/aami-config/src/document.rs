//! The text of a configuration, and how commands change it.
//!
//! A [`Document`] keeps the text. A change touches the lines it is about and nothing else: comments, order, quoting
//! and `${VAR}` stay as they are. Every change is made twice, in the text and in what the text said; where the new
//! text does not read back as what was wanted, or a comment got lost, the change is refused and the text stays.
//!
//! Whether what the text says is a sound configuration is not judged here: [`crate::read()`] does, before anything
//! is written.

mod change;
mod field;
mod items;
mod place;
mod plain;
mod render;
#[cfg(test)]
mod tests;

use aami_model::hostname::Hostname;

use crate::environment::Environment;
use crate::newnode::NewNode;
use crate::problem::Problems;
use crate::tree::{self, Node};
use crate::variable::expand;
use change::Change;
pub use field::FieldPath;

/// The text of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    text: String,
}

/// Why a change was not made. The document is then as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not YAML.
    #[error("the configuration cannot be read: {0}")]
    Text(#[from] Problems),
    /// What shall be changed is not written.
    #[error("{0} is not in the configuration")]
    NotThere(String),
    /// No field has this name.
    #[error("there is no field {field}{}", did_you_mean(nearest.as_deref()))]
    UnknownField {
        /// As it was given.
        field: String,
        /// The one that probably was meant.
        nearest: Option<String>,
    },
    /// It is written in a form that a command does not change.
    #[error("{field} (line {line}) is written in a form that is changed by hand alone")]
    ByHand {
        /// Which field.
        field: String,
        /// Where it is, from 1.
        line: usize,
    },
    /// The changed text would not say what was wanted, or would lose a comment.
    #[error("the change would not read back as it was meant, so it was not made")]
    NotReadBack,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

impl Document {
    /// Takes a text. Fails where it is no YAML.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problems> {
        tree::parse(bytes)?;
        // It was read, so it is UTF-8.
        Ok(Self {
            text: String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// The text as it is now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds nodes at the end of the list, in this order. Whether names or addresses are taken already is seen when the
    /// text is read.
    pub fn add_nodes(&mut self, nodes: &[NewNode]) -> Result<(), EditError> {
        if nodes.is_empty() {
            return Ok(());
        }
        let items: Vec<_> = nodes.iter().map(render::node).collect();
        self.change(|tree, change| items::append(tree, &["nodes"], &items, change))
    }

    /// Removes the nodes of these names, with the comments within their entries; comments above and below stay. A
    /// name written with a variable is compared as it reads. Fails where one of them is not listed.
    pub fn remove_nodes(
        &mut self,
        names: &[Hostname],
        environment: &Environment<'_>,
    ) -> Result<(), EditError> {
        if names.is_empty() {
            return Ok(());
        }
        let wanted: std::collections::HashSet<&Hostname> = names.iter().collect();
        self.change(|tree, change| {
            let mut missing = wanted.clone();
            let listed = tree.get("nodes").map_or(&[][..], Node::items);
            let mut gone = Vec::new();
            for (at, item) in listed.iter().enumerate() {
                if let Some(name) = name_of(item, environment)
                    && let Some(name) = wanted.get(&name)
                {
                    missing.remove(name);
                    gone.push(at);
                }
            }
            match missing.into_iter().min() {
                Some(name) => Err(EditError::NotThere(format!("the node {name}"))),
                None => items::remove(tree, &["nodes"], &gone, change),
            }
        })
    }

    /// Sets a field of one node, such as `labels.rack` or `ssh_user`; nothing removes it.
    pub fn change_node(
        &mut self,
        name: &Hostname,
        field: &str,
        value: Option<&str>,
        environment: &Environment<'_>,
    ) -> Result<(), EditError> {
        self.change(|tree, change| {
            let listed = tree.get("nodes").map_or(&[][..], Node::items);
            let at = listed
                .iter()
                .position(|item| name_of(item, environment).as_ref() == Some(name))
                .ok_or_else(|| EditError::NotThere(format!("the node {name}")))?;
            let path: FieldPath = format!("nodes[{at}].{field}").parse()?;
            match value {
                Some(value) => field::set(tree, &path, &render::literal(value), change),
                None => field::unset(tree, &path, change),
            }
        })
    }

    /// Adds an alert preset at the end of the list. Answers whether it was not there before.
    pub fn add_preset(&mut self, name: &str) -> Result<bool, EditError> {
        let there = self.has_preset(name)?;
        if !there {
            let item = plain::Plain::Text(name.to_owned());
            self.change(|tree, change| {
                items::append(tree, &["alerts", "presets"], std::slice::from_ref(&item), change)
            })?;
        }
        Ok(!there)
    }

    /// Removes an alert preset. Answers whether it was there.
    pub fn remove_preset(&mut self, name: &str) -> Result<bool, EditError> {
        let there = self.has_preset(name)?;
        if there {
            self.change(|tree, change| {
                let listed = presets(tree);
                let gone: Vec<usize> = (0..listed.len())
                    .filter(|at| listed[*at].text() == Some(name))
                    .collect();
                items::remove(tree, &["alerts", "presets"], &gone, change)
            })?;
        }
        Ok(there)
    }

    fn has_preset(&self, name: &str) -> Result<bool, EditError> {
        let tree = tree::parse(self.text.as_bytes()).map_err(Problems::from)?;
        Ok(presets(&tree.root).iter().any(|item| item.text() == Some(name)))
    }

    /// Sets a field, `ssh.max_parallel`, to a plain value, which may hold `${VAR}`. Sections that are missing are
    /// written. Fails for a field nobody knows, and for lists and mappings, which are changed by hand.
    pub fn set(&mut self, path: &FieldPath, value: &str) -> Result<(), EditError> {
        self.change(|tree, change| field::set(tree, path, value, change))
    }

    /// Removes a field, so that its default holds. Fails where it is not written.
    pub fn unset(&mut self, path: &FieldPath) -> Result<(), EditError> {
        self.change(|tree, change| field::unset(tree, path, change))
    }

    /// Makes one change, or none.
    fn change(
        &mut self,
        plan: impl FnOnce(&Node<'_>, &mut Change<'_>) -> Result<(), EditError>,
    ) -> Result<(), EditError> {
        self.text = changed(&self.text, plan)?;
        Ok(())
    }
}

/// The text with a change made to it.
fn changed(
    text: &str,
    plan: impl FnOnce(&Node<'_>, &mut Change<'_>) -> Result<(), EditError>,
) -> Result<String, EditError> {
    let tree = tree::parse(text.as_bytes()).map_err(Problems::from)?;
    if let Some(problems) = tree.problems.into_problems() {
        return Err(problems.into());
    }
    let mut change = Change::new(text, &tree.root);
    plan(&tree.root, &mut change)?;
    change.made()
}

fn presets<'t, 'a>(root: &'t Node<'a>) -> &'t [Node<'a>] {
    root.get("alerts")
        .and_then(|alerts| alerts.get("presets"))
        .map_or(&[][..], Node::items)
}

/// The name of a node's entry as it reads.
fn name_of(item: &Node<'_>, environment: &Environment<'_>) -> Option<Hostname> {
    let expanded = expand(item.get("name")?.text()?, environment.variables).ok()?;
    if !expanded.unset.is_empty() {
        return None;
    }
    expanded.text.parse().ok()
}
