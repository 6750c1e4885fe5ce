//! Nodes from other people's lists: plain lines, CSV, YAML, Ansible's inventories.
//!
//! [`read`] takes a list as a whole. Either every line of it is a node, or nothing is, and every line that is none is
//! named with its number and the reason. Names and addresses may be given in nodeset notation: `gpu[01-04]` beside
//! `10.0.0.[1-4]` are four nodes.

mod ansible;
mod csv;
mod draft;
mod format;
mod plain;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::HashMap;
use std::net::IpAddr;

pub use format::{Format, NotAFormat};

use crate::config::MOST_NODES;
use crate::newnode::NewNode;
use crate::problem::{Gathered, Problem, Problems};
use crate::tree::decode;

/// The largest list that is read, in bytes.
pub const MOST_BYTES: usize = 16 << 20;

/// A node of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The node.
    pub node: NewNode,
    /// The line that lists it, from 1.
    pub line: usize,
}

/// Looks up the address of a name, for lists that give names alone.
pub type Resolve<'a> = &'a dyn Fn(&str) -> Option<IpAddr>;

/// Reads a list.
///
/// In: its bytes; its format, or nothing to find it by what is written; how names are looked up. Out: the nodes in
/// their order, no name and no address twice. Fails with every line that cannot be taken.
pub fn read(bytes: &[u8], format: Option<Format>, resolve: Resolve<'_>) -> Result<Vec<Listed>, Problems> {
    let decoded = decode(bytes, MOST_BYTES)?;
    let format = format.unwrap_or_else(|| Format::guess(decoded.text));
    let mut problems = Gathered::default();
    let drafts = match format {
        Format::Plain => plain::read(decoded.text, &mut problems),
        Format::Csv => csv::read(decoded.text, &mut problems),
        Format::Yaml => yaml::read(bytes, &mut problems),
        Format::Ansible => ansible::ini(decoded.text, &mut problems),
        Format::AnsibleYaml => ansible::yaml(bytes, &mut problems),
    };
    let mut listed = Vec::new();
    let mut room = MOST_NODES;
    for draft in drafts {
        if !draft.nodes(&mut room, resolve, &mut listed, &mut problems) {
            break;
        }
    }
    twice(&listed, &mut problems);
    if listed.is_empty() && problems.is_empty() {
        problems.add(Problem {
            line: 0,
            field: String::new(),
            sentence: format!("no node is listed here, read as {}", format.name()),
            hint: Some("Name another format with --format.".to_owned()),
        });
    }
    match problems.into_problems() {
        Some(problems) => Err(problems),
        None => Ok(listed),
    }
}

/// Names the lines that list a name or an address again.
fn twice(listed: &[Listed], problems: &mut Gathered) {
    let mut names: HashMap<&str, usize> = HashMap::with_capacity(listed.len());
    let mut addresses: HashMap<IpAddr, usize> = HashMap::with_capacity(listed.len());
    for Listed { node, line } in listed {
        let mut again = |first: Option<usize>, field: &str, value: &dyn std::fmt::Display| {
            if let Some(first) = first {
                problems.add(Problem {
                    line: *line,
                    field: field.to_owned(),
                    sentence: format!("{value} is listed already in line {first}"),
                    hint: Some("Remove one of them.".to_owned()),
                });
            }
        };
        match names.get(node.name.as_str()) {
            None => {
                names.insert(node.name.as_str(), *line);
            }
            first => again(first.copied(), "name", &node.name),
        }
        match addresses.get(&node.ip) {
            None => {
                addresses.insert(node.ip, *line);
            }
            first => again(first.copied(), "ip", &node.ip),
        }
    }
}
