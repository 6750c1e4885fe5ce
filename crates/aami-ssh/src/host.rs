//! Where to connect to, and as whom.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::HostKeyPolicy;

/// A host that is reached by SSH. Cheap to clone; holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What people call it; stands in messages.
    pub name: String,
    /// What is connected to: an address, or a name that is looked up (by the last jump host, where there is one).
    pub address: String,
    /// The port.
    pub port: u16,
    /// Who signs in.
    pub user: String,
    /// Private key files, in the order they are offered. Empty means those of [`Identities`](crate::Identities).
    pub keys: Vec<PathBuf>,
    /// Whether keys of the agent that stand in no file of `keys` stay unused.
    pub identities_only: bool,
    /// Which agent.
    pub agent: AgentSocket,
    /// Whether a password may be asked for where keys are not enough.
    pub password: bool,
    /// The hosts in between, the first one connected to directly. Their own `jumps` are not looked at.
    pub jumps: Vec<Self>,
    /// How root is reached.
    pub sudo: Sudo,
    /// Whether sudo is used for one who signs in as root as well.
    pub sudo_for_root: bool,
    /// Under which name its key is known, where that is neither `address` nor `name`.
    pub key_alias: Option<String>,
    /// What is done with its key; none means as [`Trust`](crate::Trust) says.
    pub policy: Option<HostKeyPolicy>,
    /// Files of known keys that count instead of the user's; the first is learned into.
    pub known_hosts: Vec<PathBuf>,
    /// Whether names are hashed when learned; none means as [`Trust`](crate::Trust) says.
    pub hash_known_hosts: Option<bool>,
    /// How long connecting may take; none means as [`Settings`](crate::Settings) say.
    pub connect_timeout: Option<Duration>,
}

impl Host {
    /// A host on port 22 with nothing special about it.
    pub fn new(name: &str, address: &str, user: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: address.to_owned(),
            port: 22,
            user: user.to_owned(),
            keys: Vec::new(),
            identities_only: false,
            agent: AgentSocket::Usual,
            password: false,
            jumps: Vec::new(),
            sudo: Sudo::WithoutPassword,
            sudo_for_root: false,
            key_alias: None,
            policy: None,
            known_hosts: Vec::new(),
            hash_known_hosts: None,
            connect_timeout: None,
        }
    }

    /// The address and port as people write them: `10.0.0.7:22`, `[2001:db8::7]:22`.
    pub fn endpoint(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The socket of the agent that signs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AgentSocket {
    /// The one [`Identities`](crate::Identities) names, if it names one.
    #[default]
    Usual,
    /// None, even where there is one.
    None,
    /// This one.
    At(PathBuf),
}

/// How a command that needs root gets it. Who signs in as root needs none of it, unless [`Host::sudo_for_root`] says
/// so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sudo {
    /// `sudo -n`: one that asks for a password fails.
    #[default]
    WithoutPassword,
    /// A password is given over stdin where sudo asks for it, once.
    WithPassword,
}
