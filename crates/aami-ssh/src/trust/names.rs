//! The names under which a host's key may stand in a file.

use std::net::IpAddr;

use crate::Host;

/// The names a host may be known under.
#[derive(Debug)]
pub(super) struct Names {
    /// In the order in which they decide: each group only where none of those before it is known.
    pub(super) groups: Vec<Vec<String>>,
    /// All of them.
    pub(super) all: Vec<String>,
    /// What may stand in a certificate: without ports.
    pub(super) principals: Vec<String>,
}

impl Names {
    pub(super) fn of(host: &Host) -> Self {
        let with_port = |name: &str| {
            let name = name.to_ascii_lowercase();
            if host.port == 22 {
                name
            } else {
                format!("[{name}]:{}", host.port)
            }
        };
        let principals: Vec<String> = match &host.key_alias {
            Some(alias) => vec![alias.to_ascii_lowercase()],
            None => {
                // An address of IPv6 may be written in many ways, and is the same host in each: the usual one comes
                // first, as in OpenSSH's own files.
                let usual = host.address.parse::<IpAddr>().map(|address| address.to_string());
                let mut names: Vec<String> = usual.into_iter().collect();
                for name in [&host.address, &host.name] {
                    let name = name.to_ascii_lowercase();
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                names
            }
        };
        let groups: Vec<Vec<String>> = match &host.key_alias {
            // An alias stands for one host wherever it is reached; its port is not part of it.
            Some(_) => vec![principals.clone()],
            None => principals.iter().map(|name| vec![with_port(name)]).collect(),
        };
        let mut all: Vec<String> = groups.iter().flatten().cloned().collect();
        for name in &principals {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        Self {
            groups,
            all,
            principals,
        }
    }

    /// The one it is learned under.
    pub(super) fn first(&self) -> &str {
        self.groups
            .first()
            .and_then(|group| group.first())
            .map_or("", String::as_str)
    }

    pub(super) fn shown(&self) -> String {
        self.first().to_owned()
    }
}
