//! The ways to nodes: what `aami-ssh` needs to know, from what the configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aami_config::config::{HostKeyPolicy, SudoMode};
use aami_config::{Config, ProxyJump};
use aami_ssh::{AgentSocket, Client, Command, Host, Identities, Passphrase, Settings, Sudo, Trust};

use super::{Member, Place, monitor};
use crate::cli::ask::Terminal;
use crate::cli::failure::Failure;

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
}

impl Ways {
    /// The ways to these nodes. Fails where a secret that is needed is not set.
    pub(crate) fn to(members: &[Member], config: &Config, place: &Place) -> Result<Self, Failure> {
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
        let settings = Settings {
            connect_timeout: ssh.connect_timeout,
            command_timeout: ssh.command_timeout,
            ..Settings::default()
        };
        Ok(Self {
            client: Client::new(settings, trust, identities),
            hosts: members.iter().map(|member| host(member, config)).collect(),
            sudo: ssh.sudo.mode != SudoMode::Never,
        })
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

fn host(member: &Member, config: &Config) -> Host {
    let plain = Host {
        port: member.port,
        keys: member.key.iter().cloned().collect(),
        jumps: member
            .jump
            .as_ref()
            .map_or_else(Vec::new, |jump| jumps(jump, config)),
        ..Host::new(&member.name, &member.address.to_string(), &member.user)
    };
    signing_in(plain, config)
}

/// The hosts in between, with the same keys as every host.
fn jumps(jump: &ProxyJump, config: &Config) -> Vec<Host> {
    let hop = |hop: &aami_config::Hop| {
        let user = hop.user.as_deref().unwrap_or(&config.ssh.user);
        let plain = Host {
            port: hop.port.unwrap_or(22),
            keys: config.ssh.key.iter().cloned().collect(),
            ..Host::new(&hop.host, &hop.host, user)
        };
        signing_in(plain, config)
    };
    jump.hops().iter().map(hop).collect()
}

fn signing_in(host: Host, config: &Config) -> Host {
    Host {
        agent: if config.ssh.use_agent {
            AgentSocket::Usual
        } else {
            AgentSocket::None
        },
        // Where there is nobody to ask, the answer is that there is none.
        password: true,
        sudo: Sudo::WithPassword,
        ..host
    }
}
