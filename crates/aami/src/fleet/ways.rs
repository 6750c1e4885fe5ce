//! The ways to nodes: what `aami-ssh` needs to know, from what the configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aami_config::config::{HostKeyPolicy, SudoMode};
use aami_config::{Config, ProxyJump, Source};
use aami_model::code;
use aami_ssh::ssh_config::{SshConfig, Wanted, Whose};
use aami_ssh::{AgentSocket, Client, Command, Host, Identities, Passphrase, Sudo, Trust};

use super::{Member, Place, Settings, monitor};
use crate::cli::ask::Terminal;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;

/// The system's part of what SSH is told.
const SYSTEM_CONFIG: &str = "/etc/ssh/ssh_config";
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
    /// Whether nobody looks at host keys.
    unchecked: bool,
}

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
        Ok(Self {
            client: Client::new(limits, trust, identities),
            hosts: members.iter().map(host).collect::<Result<_, _>>()?,
            sudo: ssh.sudo.mode != SudoMode::Never,
            unchecked: ssh.host_key_policy == HostKeyPolicy::Off,
        })
    }

    /// Says what an operator should not forget.
    pub(crate) fn remind(&self, screen: &mut Screen) {
        if self.unchecked {
            screen.note(
                "aami: host keys are not looked at (ssh.host_key_policy: off): whoever stands in between is not noticed",
            );
        }
    }

    /// A command with root's rights, unless the configuration says that there is no way to them.
    pub(crate) fn as_root(&self, command: Command) -> Command {
        if self.sudo { command.as_root() } else { command }
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

fn system_known() -> Vec<PathBuf> {
    SYSTEM_KNOWN.iter().map(PathBuf::from).collect()
}

/// What the operator's own files for SSH say, and what the configuration says over it.
struct Said<'a> {
    config: &'a Config,
    /// Fields that nobody wrote: there the operator's own files have the word.
    unwritten: Vec<String>,
    files: SshConfig,
    whose: Whose,
}

impl<'a> Said<'a> {
    fn of(settings: &'a Settings, place: &Place) -> Self {
        let config = settings.config();
        let home = place.surroundings.home.clone().unwrap_or_default();
        let files = if config.ssh.use_ssh_config {
            SshConfig::read(
                Some(home.join(".ssh/config")),
                Some(PathBuf::from(SYSTEM_CONFIG)),
                &home,
            )
        } else {
            SshConfig::default()
        };
        // It was read before, so it can be read again.
        let explained =
            place.with_environment(|environment| aami_config::explain(&settings.bytes, environment));
        let unwritten = explained.map_or_else(
            |_| Vec::new(),
            |(_, values)| {
                let default = values
                    .into_iter()
                    .filter(|setting| setting.source == Source::Default);
                default.map(|setting| setting.field).collect()
            },
        );
        Self {
            config,
            unwritten,
            files,
            whose: Whose {
                // Who logs in where neither says.
                user: config.ssh.user.clone(),
                home,
            },
        }
    }

    fn is_unwritten(&self, field: &str) -> bool {
        self.unwritten.iter().any(|unwritten| unwritten == field)
    }

    /// A host as it is declared, with what the files say beside that.
    fn host(
        &self,
        name: &str,
        address: &str,
        user: &str,
        port: u16,
        key: Option<&Path>,
    ) -> Result<Host, String> {
        let ssh = &self.config.ssh;
        let usual_user = self.is_unwritten("ssh.user") && user == ssh.user;
        let usual_port = self.is_unwritten("ssh.port") && port == ssh.port;
        let wanted = Wanted {
            address: Some(address.to_owned()),
            port: Some(port).filter(|_| !usual_port),
            user: Some(user.to_owned()).filter(|_| !usual_user),
            key: key.map(|key| key.display().to_string()),
            sudo: Sudo::WithPassword,
            // Where there is nobody to ask, the answer is that there is none.
            password: true,
            ..Wanted::named(name)
        };
        let mut host = self.files.host(&wanted, &self.whose)?;
        if !ssh.use_agent {
            host.agent = AgentSocket::None;
        }
        if !self.is_unwritten("ssh.host_key_policy") {
            host.policy = None;
        }
        if ssh.known_hosts.is_some() {
            host.known_hosts = Vec::new();
        }
        Ok(host)
    }

    fn member(&self, member: &Member) -> Result<Host, String> {
        let address = member.address.to_string();
        let mut host = self.host(
            &member.name,
            &address,
            &member.user,
            member.port,
            member.key.as_deref(),
        )?;
        if let Some(jump) = &member.jump {
            host.jumps = self.jumps(jump)?;
        }
        Ok(host)
    }

    /// The hosts in between, with the same key as every host.
    fn jumps(&self, jump: &ProxyJump) -> Result<Vec<Host>, String> {
        let ssh = &self.config.ssh;
        let hop = |hop: &aami_config::Hop| {
            let user = hop.user.as_deref().unwrap_or(&ssh.user);
            let host = self.host(
                &hop.host,
                &hop.host,
                user,
                hop.port.unwrap_or(22),
                ssh.key.as_deref(),
            )?;
            Ok(Host {
                jumps: Vec::new(),
                ..host
            })
        };
        jump.hops().iter().map(hop).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::surroundings::Surroundings;

    fn hosts(config: &str, files: &str) -> Vec<Host> {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(home.path().join(".ssh/config"), files).unwrap();
        let surroundings = Surroundings {
            home: Some(home.path().to_owned()),
            ..Surroundings::default()
        };
        let place = Place::new(None, None, &surroundings);
        let settings = place.parse(config.as_bytes().to_vec()).unwrap();
        let config = settings.config();
        let members: Vec<Member> = (config.nodes.iter())
            .map(|node| Member::of(&config.login(node), &node.labels))
            .collect();
        Ways::to(&members, &settings, &place).unwrap().hosts
    }

    const NODES: &str = "cluster: {name: x}\nnodes:\n  - {name: gpu-01, ip: 10.0.0.1}\n  - {name: gpu-02, ip: \
                         10.0.0.2, ssh_user: ops, ssh_port: 2222}\n";

    #[test]
    fn what_the_configuration_does_not_say_the_operators_own_files_do() {
        let files = "Host gpu-*\n  User ada\n  Port 2200\n  ProxyJump bastion\n";
        let found = hosts(NODES, files);
        assert_eq!((found[0].user.as_str(), found[0].port), ("ada", 2200));
        assert_eq!((found[1].user.as_str(), found[1].port), ("ops", 2222));
        assert_eq!(found[0].jumps[0].name, "bastion");
        // What is written stands over them, and they can be left out.
        let written = format!("{NODES}ssh: {{user: root, port: 22, proxy_jump: ops@gate:2022}}\n");
        let found = hosts(&written, files);
        assert_eq!((found[0].user.as_str(), found[0].port), ("root", 22));
        assert_eq!(
            (found[0].jumps[0].user.as_str(), found[0].jumps[0].port),
            ("ops", 2022)
        );
        let found = hosts(&format!("{NODES}ssh: {{use_ssh_config: false}}\n"), files);
        assert_eq!(
            (found[0].user.as_str(), found[0].port, found[0].jumps.len()),
            ("root", 22, 0)
        );
    }
}
