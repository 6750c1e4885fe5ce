//! A host out of a name, of what is declared about it, and of what the files say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Opt, SshConfig};
use crate::trust::pattern;
use crate::{AgentSocket, Host, HostKeyPolicy, Sudo};

/// How many hosts may be in between.
const HOPS: usize = 8;
/// Connecting takes no longer than so many seconds, whatever the files say.
const LONGEST: u64 = 3_600;

/// A host as it is declared: what is said here goes before what the files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What people call it. Patterns of the files are compared with this and with the address.
    pub name: String,
    /// Where it is; none means that the files, or else its name, say it.
    pub address: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// Who signs in.
    pub user: Option<String>,
    /// Its key file, if one is named.
    pub key: Option<String>,
    /// How root is reached.
    pub sudo: Sudo,
    /// Whether a password may be asked for.
    pub password: bool,
    /// Whether the way to it is declared elsewhere: what the files say of jump hosts and proxies is not looked at.
    pub has_its_way: bool,
}

impl Wanted {
    /// A host of which nothing but its name is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
            port: None,
            user: None,
            key: None,
            sudo: Sudo::default(),
            password: false,
            has_its_way: false,
        }
    }
}

/// On whose behalf: fills in what neither declaration nor files say, and what tokens stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The user on this machine.
    pub user: String,
    /// The user's home folder.
    pub home: PathBuf,
}

/// What the files say of one host, the first of each.
#[derive(Debug, Default)]
struct Said {
    host_name: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    identity_files: Vec<String>,
    identities_only: Option<bool>,
    agent: Option<String>,
    jump: Option<String>,
    proxy: Option<String>,
    known_hosts: Option<Vec<String>>,
    policy: Option<HostKeyPolicy>,
    hash: Option<bool>,
    alias: Option<String>,
    timeout: Option<u64>,
}

impl SshConfig {
    /// Makes a host out of what is declared about it and what the files say.
    ///
    /// Fails with a sentence where the files send it in a circle of jump hosts, name one that is none, or have it
    /// reached by a program (`ProxyCommand`), which is not run: dialled directly, another host might answer.
    pub fn host(&self, wanted: &Wanted, whose: &Whose) -> Result<Host, String> {
        self.resolve(wanted, whose, 0)
    }

    fn resolve(&self, wanted: &Wanted, whose: &Whose, depth: usize) -> Result<Host, String> {
        let said = self.said(wanted);
        let address = match &wanted.address {
            Some(address) => address.clone(),
            None => match &said.host_name {
                Some(name) => expand(name, |token| match token {
                    'h' => Some(wanted.name.clone()),
                    _ => None,
                })?,
                None => wanted.name.clone(),
            },
        };
        let user = wanted
            .user
            .clone()
            .or(said.user)
            .unwrap_or_else(|| whose.user.clone());
        let port = wanted.port.or(said.port).unwrap_or(22);
        let tokens = |token: char| match token {
            'h' => Some(address.clone()),
            'n' => Some(wanted.name.clone()),
            'r' => Some(user.clone()),
            'p' => Some(port.to_string()),
            'd' => Some(whose.home.to_string_lossy().into_owned()),
            'u' => Some(whose.user.clone()),
            _ => None,
        };
        let path = |text: &str| Ok::<_, String>(in_home(&expand(text, tokens)?, &whose.home));
        let keys = match &wanted.key {
            Some(key) => vec![in_home(key, &whose.home)],
            None => said
                .identity_files
                .iter()
                .filter(|file| !file.eq_ignore_ascii_case("none"))
                .map(|file| path(file))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let agent = match said.agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => AgentSocket::Usual,
            Some("none") => AgentSocket::None,
            // Named by a variable of the environment, which is the caller's to read.
            Some(variable) if variable.starts_with('$') => AgentSocket::Usual,
            Some(socket) => AgentSocket::At(path(socket)?),
        };
        let known_hosts = said
            .known_hosts
            .unwrap_or_default()
            .iter()
            .filter(|file| !file.eq_ignore_ascii_case("none"))
            .map(|file| path(file))
            .collect::<Result<Vec<_>, _>>()?;
        let proxy = said.proxy.as_deref().filter(|_| !wanted.has_its_way);
        if proxy.is_some_and(|proxy| !proxy.eq_ignore_ascii_case("none")) {
            return Err(format!(
                "the files of ssh say ProxyCommand for {}, which is not supported: use ProxyJump, or name the way with \
                 proxy_jump",
                wanted.name
            ));
        }
        let jumps = match said.jump.as_deref().filter(|_| !wanted.has_its_way) {
            None | Some("none") => Vec::new(),
            Some(list) => self.jumps(&expand(list, tokens)?, whose, depth)?,
        };
        Ok(Host {
            port,
            keys,
            identities_only: said.identities_only.unwrap_or(false),
            agent,
            password: wanted.password,
            jumps,
            sudo: wanted.sudo,
            key_alias: said.alias,
            policy: said.policy,
            known_hosts,
            hash_known_hosts: said.hash,
            connect_timeout: said
                .timeout
                .map(|seconds| Duration::from_secs(seconds.min(LONGEST))),
            ..Host::new(&wanted.name, &address, &user)
        })
    }

    /// The hosts of a `ProxyJump`, each with what the files say of it.
    fn jumps(&self, list: &str, whose: &Whose, depth: usize) -> Result<Vec<Host>, String> {
        if depth >= HOPS {
            return Err(format!(
                "ProxyJump {list} leads over more than {HOPS} hosts, or in a circle"
            ));
        }
        let mut hops: Vec<Host> = Vec::new();
        for (at, hop) in list.split(',').enumerate() {
            let wanted = Wanted {
                // Only the first is reached by its own way; the others by those before them.
                has_its_way: at > 0,
                ..jump(hop.trim())?
            };
            let mut host = self.resolve(&wanted, whose, depth + 1)?;
            hops.append(&mut host.jumps);
            hops.push(host);
        }
        if hops.len() > HOPS {
            return Err(format!("ProxyJump {list} leads over more than {HOPS} hosts"));
        }
        Ok(hops)
    }

    fn said(&self, wanted: &Wanted) -> Said {
        let mut names = vec![wanted.name.as_str()];
        names.extend(wanted.address.as_deref());
        let mut said = Said::default();
        for section in &self.sections {
            let holds = section
                .hosts
                .iter()
                .all(|patterns| pattern::list_matches(patterns.iter().map(String::as_str), &names));
            if holds {
                section.options.iter().for_each(|option| said.take(option));
            }
        }
        said
    }
}

impl Said {
    fn take(&mut self, option: &Opt) {
        fn first<T: Clone>(slot: &mut Option<T>, value: &T) {
            slot.get_or_insert_with(|| value.clone());
        }
        match option {
            Opt::HostName(value) => first(&mut self.host_name, value),
            Opt::User(value) => first(&mut self.user, value),
            Opt::Port(value) => first(&mut self.port, value),
            // The one option that adds up.
            Opt::IdentityFile(value) => self.identity_files.push(value.clone()),
            Opt::IdentitiesOnly(value) => first(&mut self.identities_only, value),
            Opt::IdentityAgent(value) => first(&mut self.agent, value),
            // The two are one choice: the first of either wins.
            Opt::ProxyJump(value) if self.proxy.is_none() => first(&mut self.jump, value),
            Opt::ProxyCommand(value) if self.jump.is_none() => first(&mut self.proxy, value),
            Opt::ProxyJump(_) | Opt::ProxyCommand(_) => {}
            Opt::UserKnownHostsFile(value) => first(&mut self.known_hosts, value),
            Opt::StrictHostKeyChecking(value) => first(&mut self.policy, value),
            Opt::HashKnownHosts(value) => first(&mut self.hash, value),
            Opt::HostKeyAlias(value) => first(&mut self.alias, value),
            Opt::ConnectTimeout(value) => first(&mut self.timeout, value),
        }
    }
}

/// Reads `[user@]host[:port]` or `ssh://[user@]host[:port]`.
fn jump(text: &str) -> Result<Wanted, String> {
    let broken = || format!("{text:?} is no jump host: it is [USER@]HOST[:PORT]");
    let rest = text.strip_prefix("ssh://").unwrap_or(text);
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (host, port) = if let Some(inside) = rest.strip_prefix('[') {
        let (host, behind) = inside.split_once(']').ok_or_else(broken)?;
        (host, behind.strip_prefix(':'))
    } else {
        match rest.split_once(':') {
            // More than one colon is an IPv6 address.
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (rest, None),
        }
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(broken)?),
        None => None,
    };
    if host.is_empty() || host.contains(char::is_whitespace) || user.as_deref() == Some("") {
        return Err(broken());
    }
    Ok(Wanted {
        user,
        port,
        ..Wanted::named(host)
    })
}

/// Puts values for `%h` and the like.
fn expand(text: &str, value: impl Fn(char) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => expanded.push('%'),
            Some(token) => expanded.push_str(
                &value(token).ok_or_else(|| format!("{text:?}: %{token} stands for nothing here"))?,
            ),
            None => return Err(format!("{text:?} ends with %")),
        }
    }
    Ok(expanded)
}

fn in_home(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if path == "~" => home.to_owned(),
        None => PathBuf::from(path),
    }
}
