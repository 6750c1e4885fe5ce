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

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

pub use format::{Format, NotAFormat};

use crate::config::MOST_NODES;
use crate::newnode::NewNode;
use crate::problem::{Gathered, Problem, Problems};
use crate::tree::decode;
use draft::Draft;

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

/// Looks up the addresses of names, all of a list at once, for lists that give names alone. A name that is left out has
/// none.
pub type Resolve<'a> = &'a dyn Fn(&BTreeSet<String>) -> Addresses;

/// What was found for names.
pub type Addresses = HashMap<String, Result<IpAddr, NoAddress>>;

/// Why there is no address for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAddress {
    /// Nobody knows the name.
    Unknown,
    /// It could not be asked for in time.
    Late,
}

/// Looks up one name among those that were looked up.
type Find<'a> = &'a dyn Fn(&str) -> Result<IpAddr, NoAddress>;

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
    let names = to_look_up(&drafts);
    let found = match names.is_empty() {
        true => Addresses::new(),
        false => resolve(&names),
    };
    let find = |name: &str| found.get(name).copied().unwrap_or(Err(NoAddress::Unknown));
    let mut listed = Vec::new();
    let mut room = MOST_NODES;
    for draft in drafts {
        if !draft.nodes(&mut room, &find, &mut listed, &mut problems) {
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

/// The names of a list that stand where an address is wanted: known before any of them is looked up, so that twenty
/// thousand are not asked for one after the other.
fn to_look_up(drafts: &[Draft]) -> BTreeSet<String> {
    let names = RefCell::new(BTreeSet::new());
    let note = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        Err(NoAddress::Unknown)
    };
    // What is wrong with the list is told when it is read with what was found.
    let (mut room, mut listed, mut problems) = (MOST_NODES, Vec::new(), Gathered::default());
    for draft in drafts.iter().filter(|draft| draft.may_need_look_up()) {
        if !draft.clone().nodes(&mut room, &note, &mut listed, &mut problems) {
            break;
        }
    }
    names.into_inner()
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
