//! How one node is logged in to: its own settings over those of `ssh:`.

use std::net::IpAddr;
use std::path::Path;

use super::{Config, Node};
use crate::jump::ProxyJump;

/// How one node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// Its name, under which known host keys may stand as well.
    pub name: &'a str,
    /// Where to connect.
    pub address: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// Who to log in as.
    pub user: &'a str,
    /// The key named for it; the agent and the usual keys are not listed here.
    pub key: Option<&'a Path>,
    /// The hosts to go through, none of them where it is said that it is reached directly; nothing where nothing is said.
    pub proxy_jump: Option<&'a ProxyJump>,
}

impl Config {
    /// How to log in to `node`. What the node says wins over `ssh:`; a node whose `proxy_jump` is `none` is reached
    /// directly, whatever else says otherwise.
    pub fn login<'a>(&'a self, node: &'a Node) -> Login<'a> {
        Login {
            name: node.name.as_str(),
            address: node.ip,
            port: node.ssh_port.unwrap_or(self.ssh.port),
            user: node.ssh_user.as_deref().unwrap_or(&self.ssh.user),
            key: node.ssh_key.as_deref().or(self.ssh.key.as_deref()),
            proxy_jump: node.proxy_jump.as_ref().or(self.ssh.proxy_jump.as_ref()),
        }
    }
}
