//! A node as a list says it: texts, before anything was checked.

use std::net::IpAddr;

use aami_model::hostname::Hostname;
use aami_model::label::{Labels, check_name};
use aami_model::nodeset::{NodeSet, NodeSetError};

use super::{Find, Listed, NoAddress};
use crate::config::MOST_NODES;
use crate::kind::address;
use crate::newnode::NewNode;
use crate::problem::{Gathered, Problem};
use crate::text::{is_name, is_user, nearest, shown};

/// What a column or key is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Ip,
    Group,
    User,
    Key,
    Port,
    Jump,
    /// `a=b;c=d`.
    Labels,
}

/// Every name a column may have.
const COLUMNS: [(&str, Column); 24] = [
    ("name", Column::Name),
    ("hostname", Column::Name),
    ("node", Column::Name),
    ("host", Column::Name),
    ("ip", Column::Ip),
    ("address", Column::Ip),
    ("ip_address", Column::Ip),
    ("ipv4", Column::Ip),
    ("group", Column::Group),
    ("ssh_user", Column::User),
    ("user", Column::User),
    ("username", Column::User),
    ("login", Column::User),
    ("ssh_key", Column::Key),
    ("key", Column::Key),
    ("identity_file", Column::Key),
    ("key_file", Column::Key),
    ("ssh_port", Column::Port),
    ("port", Column::Port),
    ("proxy_jump", Column::Jump),
    ("jump_host", Column::Jump),
    ("bastion", Column::Jump),
    ("labels", Column::Labels),
    ("tags", Column::Labels),
];

/// The column of this name, however it is spelled.
pub(super) fn column(name: &str) -> Option<Column> {
    let name: String = name
        .trim()
        .chars()
        .map(|c| {
            if matches!(c, ' ' | '-') {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    COLUMNS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, column)| *column)
}

/// What to say of a column nobody knows.
pub(super) fn unknown(name: &str) -> (String, String) {
    let meant = nearest(name, COLUMNS.iter().map(|(known, _)| *known));
    let hint = match meant {
        Some(meant) => format!(
            "Did you mean `{meant}`? A label is written `label.{}`.",
            shown(name, 40)
        ),
        None => format!(
            "There are name, ip, group, ssh_user, ssh_key, ssh_port, proxy_jump, labels; a label is written `label.{}`.",
            shown(name, 40)
        ),
    };
    (format!("`{}` is no column of nodes", shown(name, 60)), hint)
}

/// A node, or several in nodeset notation, as a list says it.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) line: usize,
    pub(super) name: String,
    /// Empty where the name has to do.
    pub(super) ip: String,
    pub(super) group: String,
    pub(super) user: String,
    pub(super) key: String,
    pub(super) port: String,
    pub(super) jump: String,
    pub(super) labels: Vec<(String, String)>,
    /// Whether brackets in name and address are nodeset notation; Ansible has its own.
    pub(super) folded: bool,
}

impl Draft {
    pub(super) fn at(line: usize) -> Self {
        Self {
            line,
            folded: true,
            ..Self::default()
        }
    }

    /// Whether a name of it may have to be looked up: said quickly, and rather too often.
    pub(super) fn may_need_look_up(&self) -> bool {
        self.ip.is_empty() || self.ip.bytes().any(|b| b.is_ascii_alphabetic())
    }

    /// Takes a value of a column. Fails with what is wrong with it.
    pub(super) fn set(&mut self, column: Column, value: &str) -> Result<(), String> {
        let value = value.trim();
        let place = match column {
            Column::Name => &mut self.name,
            Column::Ip => &mut self.ip,
            Column::Group => &mut self.group,
            Column::User => &mut self.user,
            Column::Key => &mut self.key,
            Column::Port => &mut self.port,
            Column::Jump => &mut self.jump,
            Column::Labels => {
                for pair in value
                    .split([';', ','])
                    .map(str::trim)
                    .filter(|pair| !pair.is_empty())
                {
                    let (name, value) = pair
                        .split_once('=')
                        .ok_or_else(|| format!("`{}` is not `label=value`", shown(pair, 60)))?;
                    self.labels
                        .push((name.trim().to_owned(), value.trim().to_owned()));
                }
                return Ok(());
            }
        };
        value.clone_into(place);
        Ok(())
    }

    /// Checks everything and adds the nodes it stands for. `room` is how many names the rest of the list may stand
    /// for, good or bad, so that a few lines cannot keep a machine busy. Answers whether to go on.
    pub(super) fn nodes(
        self,
        room: &mut usize,
        find: Find<'_>,
        listed: &mut Vec<Listed>,
        problems: &mut Gathered,
    ) -> bool {
        let line = self.line;
        let mut wrong = |field: &str, sentence: String, hint: Option<&str>| {
            problems.add(Problem {
                line,
                field: field.to_owned(),
                sentence,
                hint: hint.map(str::to_owned),
            });
        };
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let quoted = |text: &str| format!("`{}`", shown(text, 60));

        let mut sound = true;
        let port = match self.port.as_str() {
            "" => None,
            text => match text.parse::<u16>().ok().filter(|port| *port > 0) {
                Some(port) => Some(port),
                None => {
                    wrong(
                        "ssh_port",
                        format!("{} is not a port, 1 to 65535", quoted(text)),
                        None,
                    );
                    sound = false;
                    None
                }
            },
        };
        let jump = match self.jump.as_str() {
            "" => None,
            text => match text.parse() {
                Ok(jump) => Some(jump),
                Err(why) => {
                    wrong("proxy_jump", format!("{}: {why}", quoted(text)), None);
                    sound = false;
                    None
                }
            },
        };
        if !self.user.is_empty() && !is_user(&self.user) {
            wrong(
                "ssh_user",
                format!("{} is not a login name", quoted(&self.user)),
                None,
            );
            sound = false;
        }
        if !self.group.is_empty() && !is_name(&self.group) {
            let hint = "Letters, digits, `.`, `_` and `-`, at most 63 characters.";
            wrong(
                "group",
                format!("{} is not a group's name", quoted(&self.group)),
                Some(hint),
            );
            sound = false;
        }
        let absolute = self.key.starts_with('/') || self.key.starts_with("~/");
        if !self.key.is_empty() && (!absolute || self.key.chars().any(char::is_control)) {
            let sentence = format!("{} is not a path from `/` or `~/`", quoted(&self.key));
            wrong("ssh_key", sentence, None);
            sound = false;
        }
        for (name, _) in &self.labels {
            if let Err(why) = check_name(name) {
                wrong("labels", why.to_string(), None);
                sound = false;
            }
        }
        let labels: Labels = self.labels.iter().cloned().collect();
        if sound && let Err(why) = labels.check() {
            wrong("labels", why.to_string(), None);
            sound = false;
        }

        let names = match unfolded(&self.name, self.folded, *room) {
            Ok(names) => names,
            Err(None) => {
                wrong(
                    "",
                    format!("with this line there are more than {MOST_NODES} nodes"),
                    None,
                );
                return false;
            }
            Err(Some(why)) => {
                wrong("name", why, Some("A list line is `name address`."));
                return true;
            }
        };
        *room -= names.len();
        let addresses = match unfolded(&self.ip, self.folded, MOST_NODES.min(names.len() + 1)) {
            _ if self.ip.is_empty() => Vec::new(),
            Ok(addresses) => addresses,
            Err(why) => {
                let why = why.unwrap_or_else(|| {
                    format!(
                        "{} stands for more addresses than there are names",
                        quoted(&self.ip)
                    )
                });
                wrong("ip", why, None);
                return true;
            }
        };
        if !addresses.is_empty() && addresses.len() != names.len() {
            let sentence = format!(
                "{} stands for {} names and {} for {} addresses",
                quoted(&self.name),
                names.len(),
                quoted(&self.ip),
                addresses.len()
            );
            wrong("ip", sentence, Some("Each name needs an address of its own."));
            return true;
        }
        for (at, name) in names.iter().enumerate() {
            let Ok(hostname) = name.parse::<Hostname>() else {
                let sentence = format!("{} is not a host name", quoted(name));
                wrong("name", sentence, Some("Letters, digits, `-` and dots."));
                continue;
            };
            let found = match addresses.get(at) {
                Some(text) => address_or_name(text, find),
                None => find(hostname.as_str())
                    .map_err(|why| match why {
                        NoAddress::Unknown => {
                            format!("no address is given, and {hostname} is not found by its name")
                        }
                        NoAddress::Late => {
                            format!("no address is given, and {hostname} could not be looked up in time")
                        }
                    })
                    .and_then(|ip| address(&ip.to_string()).map_err(|why| format!("{ip}: {why}"))),
            };
            match found {
                Ok(ip) if sound => listed.push(Listed {
                    node: NewNode {
                        name: hostname,
                        ip,
                        group: given(&self.group),
                        ssh_user: given(&self.user),
                        ssh_key: given(&self.key),
                        ssh_port: port,
                        proxy_jump: jump.clone(),
                        labels: labels.clone(),
                    },
                    line,
                }),
                Ok(_) => {}
                Err(why) => wrong("ip", why, Some("Write an IPv4 or IPv6 address.")),
            }
        }
        true
    }
}

/// An address, or a name that has one.
fn address_or_name(text: &str, find: Find<'_>) -> Result<IpAddr, String> {
    match address(text) {
        Ok(ip) => Ok(ip),
        Err(why) => {
            let looks_like_a_name = text.bytes().any(|b| b.is_ascii_alphabetic()) && !text.contains(':');
            if looks_like_a_name && let Ok(name) = text.parse::<Hostname>() {
                let ip = find(name.as_str()).map_err(|why| match why {
                    NoAddress::Unknown => {
                        format!("`{}` is no address, and no name that is found", shown(text, 60))
                    }
                    NoAddress::Late => {
                        format!("the name `{}` could not be looked up in time", shown(text, 60))
                    }
                })?;
                return address(&ip.to_string()).map_err(|why| format!("{ip}: {why}"));
            }
            Err(format!("`{}`: {why}", shown(text, 60)))
        }
    }
}

/// What a text in nodeset notation stands for; the text itself where nothing is folded in it. Fails without a reason
/// where it would stand for more than `most`.
fn unfolded(text: &str, folded: bool, most: usize) -> Result<Vec<String>, Option<String>> {
    if most == 0 {
        return Err(None);
    }
    // An address in brackets is no range.
    if !folded || !text.contains('[') || text.starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    match NodeSet::parse(text, most) {
        Ok(set) => Ok(set.iter().map(str::to_owned).collect()),
        Err(NodeSetError::TooMany { .. }) => Err(None),
        Err(why) => Err(Some(format!("`{}`: {why}", shown(text, 60)))),
    }
}
