//! The ways to nodes: what `aami-ssh` needs to know of them. What is said of each stands in [`said`].

mod said;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aami_config::Config;
use aami_config::config::{HostKeyPolicy, SudoMode};
use aami_model::code;
use aami_ssh::ssh_config::SshConfig;
use aami_ssh::{Client, Command, Host, Identities, Passphrase, Trust};

use said::Said;

use super::{Member, Place, Settings, monitor};
use crate::cli::ask::Terminal;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::table::harmless;

/// Keys of hosts that everybody on this machine believes.
const SYSTEM_KNOWN: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

/// The ways to some nodes, in the order of those nodes.
pub(crate) struct Ways {
    /// Opens connections.
    pub(crate) client: Client,
    /// Where to.
    pub(crate) hosts: Vec<Host>,
    /// Whether sudo is used where root is needed.
    sudo: bool,
    /// What an operator should not forget.
    reminders: Vec<String>,
}

/// How many lines of files that are passed over are told.
const NOTES_SHOWN: usize = 5;

impl Ways {
    /// The ways to these nodes. Fails where a secret that is needed is not set.
    pub(crate) fn to(members: &[Member], settings: &Settings, place: &Place) -> Result<Self, Failure> {
        let config = settings.config();
        let ssh = &config.ssh;
        let surroundings = &place.surroundings;
        let home = surroundings.home.as_deref();
        let password = match &ssh.sudo.password {
            Some(password) => Some(Passphrase::new(monitor::revealed(password)?)),
            None => None,
        };
        let identities = Identities::new(Arc::new(Terminal))
            .agent(surroundings.ssh_agent.clone().filter(|_| ssh.use_agent))
            .files(home.map(Identities::usual_files).unwrap_or_default())
            .sudo_password(password);
        let trust = Trust::new(
            policy(ssh.host_key_policy),
            known_hosts(config, home),
            system_known(),
        );
        let limits = aami_ssh::Settings {
            connect_timeout: ssh.connect_timeout,
            command_timeout: ssh.command_timeout,
            ..aami_ssh::Settings::default()
        };
        let said = Said::of(settings, place);
        let host = |member: &Member| {
            let broken = |why| Failure::found(code::SSH_LOCAL, format!("{}: {why}", member.name));
            said.member(member).map_err(broken)
        };
        let hosts: Vec<Host> = members.iter().map(host).collect::<Result<_, _>>()?;
        trust
            .read(&hosts)
            .map_err(|error| Failure::found(error.code(), error.to_string()))?;
        let mut reminders = unchecked(&hosts, &trust, &known_hosts(config, home));
        reminders.extend(passed_over(&said.files, &trust));
        Ok(Self {
            client: Client::new(limits, trust, identities),
            hosts,
            sudo: ssh.sudo.mode != SudoMode::Never,
            reminders,
        })
    }

    /// Says what an operator should not forget.
    pub(crate) fn remind(&self, screen: &mut Screen) {
        for reminder in &self.reminders {
            screen.note(&format!("aami: {}", harmless(reminder)));
        }
    }

    /// A command with root's rights, unless the configuration says that there is no way to them.
    pub(crate) fn as_root(&self, command: Command) -> Command {
        if self.sudo { command.as_root() } else { command }
    }

    /// Fails where root is asked for and the configuration says that there is no way to it.
    pub(crate) fn need_root(&self) -> Result<(), Failure> {
        match self.hosts.iter().find(|host| !self.sudo && host.user != "root") {
            Some(host) => Err(Failure::invalid(format!(
                "{}: --sudo, but `ssh.sudo.mode` is `never` and {} signs in there, not root",
                host.name, host.user
            ))),
            None => Ok(()),
        }
    }

    /// Whether sudo is used where root is needed.
    pub(crate) const fn uses_sudo(&self) -> bool {
        self.sudo
    }
}

const fn policy(policy: HostKeyPolicy) -> aami_ssh::HostKeyPolicy {
    match policy {
        HostKeyPolicy::Strict => aami_ssh::HostKeyPolicy::Strict,
        HostKeyPolicy::AcceptNew => aami_ssh::HostKeyPolicy::AcceptNew,
        HostKeyPolicy::Off => aami_ssh::HostKeyPolicy::Off,
    }
}

fn known_hosts(config: &Config, home: Option<&Path>) -> Vec<PathBuf> {
    match (&config.ssh.known_hosts, home) {
        (Some(named), _) => vec![named.clone()],
        (None, Some(home)) => vec![home.join(".ssh/known_hosts"), home.join(".ssh/known_hosts2")],
        (None, None) => Vec::new(),
    }
}

/// Whether somebody could stand in between unnoticed, by whatever is effective for these hosts and their jump hosts.
fn unchecked(hosts: &[Host], trust: &Trust, usual: &[PathBuf]) -> Vec<String> {
    let every = || hosts.iter().flat_map(|host| host.jumps.iter().chain([host]));
    let off = |host: &&Host| host.policy.unwrap_or_else(|| trust.policy()) == aami_ssh::HostKeyPolicy::Off;
    // Only the first is written to; what is no file remembers no key.
    let forgets = |host: &&Host| {
        let files = if host.known_hosts.is_empty() {
            usual
        } else {
            &host.known_hosts
        };
        files.first().is_some_and(|file| file.exists() && !file.is_file())
    };
    let mut reminders = Vec::new();
    if let Some(host) = every().find(off) {
        reminders.push(format!(
            "host keys are not looked at for {}{} (`ssh.host_key_policy: off` of the configuration, or \
             `StrictHostKeyChecking no` of ~/.ssh/config): whoever stands in between is not noticed",
            host.name,
            and_more(every().filter(off).count())
        ));
    }
    if let Some(host) = every().find(forgets) {
        reminders.push(format!(
            "host keys are not remembered for {}{}, since the file of known hosts is no regular file: whoever stands in \
             between is not noticed",
            host.name,
            and_more(every().filter(forgets).count())
        ));
    }
    reminders
}

fn and_more(count: usize) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// Lines of the operator's files that count for nothing, the first of them.
fn passed_over(files: &SshConfig, trust: &Trust) -> Vec<String> {
    let configs = files
        .notes()
        .iter()
        .map(|note| (note.file.clone(), note.line, note.why.clone()));
    let notes: Vec<_> = configs.chain(trust.notes()).collect();
    let mut shown: Vec<String> = notes
        .iter()
        .take(NOTES_SHOWN)
        .map(|(file, line, why)| match line {
            0 => format!("{} is passed over: {why}", file.display()),
            line => format!("{}:{line} is passed over: {why}", file.display()),
        })
        .collect();
    if notes.len() > NOTES_SHOWN {
        shown.push(format!(
            "{} more lines are passed over",
            notes.len() - NOTES_SHOWN
        ));
    }
    shown
}

fn system_known() -> Vec<PathBuf> {
    SYSTEM_KNOWN.iter().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests;
