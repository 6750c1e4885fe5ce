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
use crate::cli::table::harmless;

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

    fn member(&self, member: &Member) -> Result<Host, String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::surroundings::Surroundings;

    fn hosts(config: &str, files: &str) -> Vec<Host> {
        ways(config, files).unwrap().hosts
    }

    fn ways(config: &str, files: &str) -> Result<Ways, Failure> {
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
        Ways::to(&members, &settings, &place)
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

    #[test]
    fn keys_that_nobody_looks_at_are_told_wherever_that_is_said() {
        let files = "Host gate\n  StrictHostKeyChecking no\nHost gpu-01\n  UserKnownHostsFile /dev/null\n";
        let jumping = format!("{NODES}ssh: {{proxy_jump: gate}}\n");
        let told = ways(&jumping, files).unwrap().reminders.join("\n");
        assert!(told.contains("not looked at for gate and 1 more"), "{told}");
        assert!(told.contains("not remembered for gpu-01,"), "{told}");
        // What is written in the configuration stands over it, for jump hosts as well.
        let strict = format!("{NODES}ssh: {{proxy_jump: gate, host_key_policy: strict}}\n");
        let found = ways(&strict, files).unwrap();
        assert!(
            !found.reminders.join("\n").contains("host keys"),
            "{:?}",
            found.reminders
        );
        assert!(found.hosts[0].known_hosts.is_empty());
        assert_eq!(found.hosts[0].jumps[0].policy, None);
        // So does a line that is not understood.
        let told = ways(NODES, "Porrt 22\n").unwrap().reminders.join("\n");
        assert!(told.contains("config:1 is passed over"), "{told}");
    }

    #[test]
    fn an_alias_of_the_files_is_a_jump_host_with_its_own_way() {
        let files = "Host bastion\n  HostName 192.0.2.1\n  Port 2022\n  ProxyJump outer\nHost gpu-*\n  ProxyCommand nc %h\n";
        let found = hosts(&format!("{NODES}ssh: {{proxy_jump: 'bastion,inner'}}\n"), files);
        let way: Vec<String> = found[0].jumps.iter().map(Host::endpoint).collect();
        assert_eq!(way, ["outer:22", "192.0.2.1:2022", "inner:22"]);
        // Without a way of its own it is refused, not dialled.
        let Err(refused) = ways(NODES, files) else {
            panic!("it is refused");
        };
        assert_eq!(refused.code(), Some(code::SSH_LOCAL));
    }

    #[test]
    fn a_node_that_is_reached_directly_is_so_whatever_the_files_say() {
        let files = "Host gpu-*\n  ProxyJump bastion\n";
        let nodes = "cluster: {name: x}\nnodes:\n  - {name: gpu-01, ip: 10.0.0.1, proxy_jump: none}\n  - {name: gpu-02, ip: \
                     10.0.0.2}\n";
        let found = hosts(nodes, files);
        assert_eq!((found[0].jumps.len(), found[1].jumps.len()), (0, 1));
        // For all nodes at once as well, and one of them may say otherwise.
        let nodes = "cluster: {name: x}\nssh: {proxy_jump: none}\nnodes:\n  - {name: gpu-01, ip: 10.0.0.1}\n  - {name: gpu-02, \
                     ip: 10.0.0.2, proxy_jump: gate}\n";
        let found = hosts(nodes, files);
        assert_eq!(
            (found[0].jumps.len(), found[1].jumps[0].name.as_str()),
            (0, "gate")
        );
        // A program in between is not asked for either.
        let proxied = "Host gpu-01\n  ProxyCommand nc %h %p\n";
        assert!(
            hosts(
                "cluster: {name: x}\nnodes: [{name: gpu-01, ip: 10.0.0.1, proxy_jump: none}]\n",
                proxied
            )[0]
            .jumps
            .is_empty()
        );
    }

    #[test]
    fn root_without_a_way_to_it_is_refused() {
        let never = |user: &str| format!("{NODES}ssh: {{user: {user}, sudo: {{mode: never}}}}\n");
        assert!(
            ways(&never("root"), "").unwrap().need_root().is_err(),
            "gpu-02 is ops"
        );
        assert!(ways(NODES, "").unwrap().need_root().is_ok());
        let always = hosts(&format!("{NODES}ssh: {{sudo: {{mode: always}}}}\n"), "");
        assert!(always[0].sudo_for_root);
    }
}
