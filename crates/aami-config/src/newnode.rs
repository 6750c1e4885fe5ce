//! A node that is to be added: what a command line or a list says of it.

use std::net::IpAddr;

use aami_model::hostname::Hostname;
use aami_model::label::Labels;

use crate::jump::ProxyJump;

/// What is written into `nodes:`. Only what is given is written; paths stay as they were given (`~/.ssh/id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Its host name.
    pub name: Hostname,
    /// Where it is.
    pub ip: IpAddr,
    /// Its group.
    pub group: Option<String>,
    /// Who to log in as.
    pub ssh_user: Option<String>,
    /// The private key.
    pub ssh_key: Option<String>,
    /// The TCP port.
    pub ssh_port: Option<u16>,
    /// The hosts to go through.
    pub proxy_jump: Option<ProxyJump>,
    /// Its labels.
    pub labels: Labels,
}

impl NewNode {
    /// A node with nothing but a name and an address.
    pub fn new(name: Hostname, ip: IpAddr) -> Self {
        Self {
            name,
            ip,
            group: None,
            ssh_user: None,
            ssh_key: None,
            ssh_port: None,
            proxy_jump: None,
            labels: Labels::default(),
        }
    }
}
