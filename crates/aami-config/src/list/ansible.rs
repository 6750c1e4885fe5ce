//! Ansible's inventories, INI and YAML: hosts, ranges, groups, children, variables.
//!
//! What an inventory says of reaching a host is taken: `ansible_host`, `ansible_user`, `ansible_port`,
//! `ansible_ssh_private_key_file`, and a ProxyJump among the SSH arguments. A host's group is the first that lists it;
//! other variables are Ansible's own. Whose connection is local is no node.

mod ini;
mod range;
mod yaml;

use std::collections::{BTreeMap, HashMap, HashSet};

pub(super) use ini::read as ini;
pub(super) use yaml::read as yaml;

use super::draft::Draft;
use crate::config::MOST_NODES;
use crate::problem::{Gathered, Problem};
use crate::text::shown;

/// At most this many groups.
const MOST_GROUPS: usize = 10_000;

/// Variables by name, with the line they stand in.
type Variables = BTreeMap<String, (String, usize)>;

/// A group.
#[derive(Debug, Default)]
struct Group {
    variables: Variables,
    children: Vec<String>,
}

/// A host.
#[derive(Debug)]
struct Host {
    line: usize,
    /// The groups that list it, in their order.
    groups: Vec<String>,
    variables: Variables,
}

/// How many names the patterns of one inventory may stand for: a host may be listed in several groups.
const MOST_NAMES: usize = 10 * MOST_NODES;

/// An inventory as it is written.
#[derive(Debug, Default)]
struct Inventory {
    /// How many names its patterns stood for.
    named: usize,
    groups: HashMap<String, Group>,
    hosts: HashMap<String, Host>,
    /// The hosts' names in their order.
    order: Vec<String>,
}

/// The variables that say something of reaching a host; the newer name first.
const KNOWN: [&str; 10] = [
    "ansible_host",
    "ansible_ssh_host",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_ssh_private_key_file",
    "ansible_private_key_file",
    "ansible_ssh_common_args",
    "ansible_connection",
];

impl Inventory {
    /// Keeps a variable, where it is one of those that are read.
    fn keep(variables: &mut Variables, name: &str, value: &str, line: usize) {
        if KNOWN.contains(&name) {
            variables.insert(name.to_owned(), (value.to_owned(), line));
        }
    }

    /// The hosts a pattern stands for. Fails where it is none, and where all of them stand for too many.
    fn hosts(&mut self, pattern: &str, line: usize) -> Result<Vec<String>, Problem> {
        if self.named < MOST_NAMES {
            let names = range::hosts(pattern).map_err(|why| problem(line, why))?;
            self.named += names.len();
            return Ok(names);
        }
        Err(problem(
            line,
            format!("the lines above stand for more than {MOST_NAMES} names"),
        ))
    }

    /// A host is listed in a group. Fails where there are too many.
    fn list(
        &mut self,
        name: String,
        group: Option<&str>,
        variables: &Variables,
        line: usize,
    ) -> Result<(), Problem> {
        if self.hosts.len() >= MOST_NODES && !self.hosts.contains_key(&name) {
            return Err(problem(
                line,
                format!("with this line there are more than {MOST_NODES} hosts"),
            ));
        }
        let order = &mut self.order;
        let host = self.hosts.entry(name).or_insert_with_key(|name| {
            order.push(name.clone());
            Host {
                line,
                groups: Vec::new(),
                variables: Variables::new(),
            }
        });
        host.variables.extend(
            variables
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        if let Some(group) = group
            && !host.groups.iter().any(|known| known == group)
        {
            host.groups.push(group.to_owned());
        }
        Ok(())
    }

    /// The group of this name, made where it is new. Fails where there are too many.
    fn group(&mut self, name: &str, line: usize) -> Result<&mut Group, Problem> {
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(name) {
            return Err(problem(line, format!("there are more than {MOST_GROUPS} groups")));
        }
        Ok(self.groups.entry(name.to_owned()).or_default())
    }

    /// The nodes it lists.
    fn into_drafts(self, problems: &mut Gathered) -> Vec<Draft> {
        let mut parents: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, group) in &self.groups {
            for child in &group.children {
                parents.entry(child.as_str()).or_default().push(name.as_str());
            }
        }
        for above in parents.values_mut() {
            above.sort_unstable();
        }
        let mut drafts = Vec::with_capacity(self.order.len());
        // Groups are shared by many hosts: what one says, with those above it, is put together once.
        let mut of_group: HashMap<&str, Variables> = HashMap::new();
        for name in &self.order {
            let Some(host) = self.hosts.get(name) else {
                continue;
            };
            let mut variables = self.variables_of_all();
            for group in &host.groups {
                let known = of_group
                    .entry(group)
                    .or_insert_with(|| self.inherited(group, &parents, &mut HashSet::new()));
                variables.extend(known.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            variables.extend(host.variables.clone());
            drafts.extend(draft(name, host, &variables, problems));
        }
        drafts
    }

    fn variables_of_all(&self) -> Variables {
        self.groups
            .get("all")
            .map(|group| group.variables.clone())
            .unwrap_or_default()
    }

    /// What a group says, over what the groups above it say.
    fn inherited<'i>(
        &'i self,
        name: &'i str,
        parents: &HashMap<&'i str, Vec<&'i str>>,
        seen: &mut HashSet<&'i str>,
    ) -> Variables {
        let mut variables = Variables::new();
        // A group within itself says nothing new; depth is bounded as what is nested is.
        if !seen.insert(name) || seen.len() > 64 {
            return variables;
        }
        for above in parents.get(name).into_iter().flatten() {
            variables.extend(self.inherited(above, parents, seen));
        }
        if let Some(group) = self.groups.get(name).filter(|_| name != "all") {
            variables.extend(group.variables.clone());
        }
        variables
    }
}

/// A host as a node; nothing where it is this machine itself.
fn draft(name: &str, host: &Host, variables: &Variables, problems: &mut Gathered) -> Option<Draft> {
    let mut draft = Draft {
        line: host.line,
        name: name.to_owned(),
        ..Draft::default()
    };
    let mut read = |names: &[&str]| -> String {
        let Some((value, line)) = names.iter().find_map(|name| variables.get(*name)) else {
            return String::new();
        };
        if value.contains("{{") {
            let sentence = format!(
                "`{}` is a template, which Ansible alone can fill in",
                shown(value, 60)
            );
            problems.add(problem(*line, sentence));
            return String::new();
        }
        value.trim().to_owned()
    };
    if read(&["ansible_connection"]) == "local" {
        return None;
    }
    draft.ip = read(&["ansible_host", "ansible_ssh_host"]);
    draft.user = read(&["ansible_user", "ansible_ssh_user"]);
    draft.port = read(&["ansible_port", "ansible_ssh_port"]);
    draft.key = read(&["ansible_ssh_private_key_file", "ansible_private_key_file"]);
    draft.jump = jump(&read(&["ansible_ssh_common_args"])).to_owned();
    draft.group = host
        .groups
        .iter()
        .find(|group| !matches!(group.as_str(), "all" | "ungrouped"))
        .cloned()
        .unwrap_or_default();
    if draft.ip.is_empty() && draft.name.parse::<std::net::IpAddr>().is_ok() {
        let sentence = format!("`{}` is an address, and the host has no name", shown(name, 60));
        problems.add(Problem {
            hint: Some("Write `name ansible_host=address`.".to_owned()),
            ..problem(host.line, sentence)
        });
        return None;
    }
    Some(draft)
}

/// The way among SSH's arguments: `-J HOST` or `-o ProxyJump=HOST`.
fn jump(arguments: &str) -> &str {
    let mut words = arguments
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']));
    while let Some(word) = words.next() {
        let option = word.strip_prefix("-o").unwrap_or(word);
        if let Some(value) = option.strip_prefix("ProxyJump=") {
            return value;
        }
        if word == "-J" {
            return words.next().unwrap_or_default();
        }
        if let Some(value) = word.strip_prefix("-J") {
            return value;
        }
    }
    ""
}

fn problem(line: usize, sentence: String) -> Problem {
    Problem {
        line,
        field: String::new(),
        sentence,
        hint: None,
    }
}
