//! What is said of the way to a node: by the configuration, and by the operator's own files where it says nothing.

use std::path::{Path, PathBuf};

use aami_config::config::SudoMode;
use aami_config::{Config, ProxyJump, Source};
use aami_ssh::ssh_config::{SshConfig, Wanted, Whose};
use aami_ssh::{AgentSocket, Host, Sudo};

use crate::fleet::{Member, Place, Settings};

/// The system's part of what SSH is told.
const SYSTEM_CONFIG: &str = "/etc/ssh/ssh_config";

/// What the operator's own files for SSH say, and what the configuration says over it.
pub(super) struct Said<'a> {
    config: &'a Config,
    /// Fields that nobody wrote: there the operator's own files have the word.
    unwritten: Vec<String>,
    pub(super) files: SshConfig,
    whose: Whose,
}

impl<'a> Said<'a> {
    pub(super) fn of(settings: &'a Settings, place: &Place) -> Self {
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
    fn host(&self, declared: Wanted, user: &str, key: Option<&Path>) -> Result<Host, String> {
        let ssh = &self.config.ssh;
        let usual_user = self.is_unwritten("ssh.user") && user == ssh.user;
        let wanted = Wanted {
            user: Some(user.to_owned()).filter(|_| !usual_user),
            key: key.map(|key| key.display().to_string()),
            sudo: Sudo::WithPassword,
            // Where there is nobody to ask, the answer is that there is none.
            password: true,
            ..declared
        };
        let mut host = self.files.host(&wanted, &self.whose)?;
        self.written_over(&mut host);
        Ok(host)
    }

    /// What the configuration says of every host stands over the files, for those in between as well.
    fn written_over(&self, host: &mut Host) {
        let ssh = &self.config.ssh;
        host.sudo_for_root = ssh.sudo.mode == SudoMode::Always;
        if !ssh.use_agent {
            host.agent = AgentSocket::None;
        }
        if !self.is_unwritten("ssh.connect_timeout") {
            host.connect_timeout = None;
        }
        if !self.is_unwritten("ssh.host_key_policy") {
            // One who says which keys count does not mean a file where none is kept.
            host.policy = None;
            host.known_hosts = Vec::new();
        }
        if ssh.known_hosts.is_some() {
            host.known_hosts = Vec::new();
        }
        for jump in &mut host.jumps {
            self.written_over(jump);
        }
    }

    pub(super) fn member(&self, member: &Member) -> Result<Host, String> {
        let usual_port = self.is_unwritten("ssh.port") && member.port == self.config.ssh.port;
        let declared = Wanted {
            address: Some(member.address.to_string()),
            port: Some(member.port).filter(|_| !usual_port),
            has_its_way: member.jump.is_some(),
            ..Wanted::named(&member.name)
        };
        let mut host = self.host(declared, &member.user, member.key.as_deref())?;
        if let Some(jump) = &member.jump {
            host.jumps = self.jumps(jump)?;
        }
        Ok(host)
    }

    /// The hosts in between, with the same key as every host. Each may be an alias of the files; the first is reached
    /// as they say.
    fn jumps(&self, jump: &ProxyJump) -> Result<Vec<Host>, String> {
        let ssh = &self.config.ssh;
        let mut hops = Vec::new();
        for (at, hop) in jump.hops().iter().enumerate() {
            let declared = Wanted {
                port: hop.port,
                has_its_way: at > 0,
                ..Wanted::named(&hop.host)
            };
            let user = hop.user.as_deref().unwrap_or(&ssh.user);
            let mut host = self.host(declared, user, ssh.key.as_deref())?;
            hops.append(&mut host.jumps);
            hops.push(host);
        }
        Ok(hops)
    }
}
