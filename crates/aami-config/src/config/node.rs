//! One entry of `nodes:`.

use std::net::IpAddr;
use std::path::PathBuf;

use aami_model::hostname::Hostname;
use aami_model::label::Labels;

use crate::jump::ProxyJump;
use crate::section::section;

section! {
    /// One node.
    pub struct Node {
        /// Its host name, in lower case; no two nodes share one.
        name: Hostname, required, HostText;
        /// Its IPv4 or IPv6 address: where SSH connects and Prometheus scrapes; no two nodes share one.
        ip: IpAddr, required, Address;
        /// The group it belongs to.
        group: Option<String>, optional, Text::name();
        /// Who to log in as, instead of `ssh.user`.
        ssh_user: Option<String>, optional, Text::user();
        /// The private key to log in with, instead of `ssh.key`.
        ssh_key: Option<PathBuf>, optional, FilePath::existing();
        /// The TCP port of its SSH server, instead of `ssh.port`.
        ssh_port: Option<u16>, optional, Port;
        /// The hosts to go through, instead of `ssh.proxy_jump`; `none` for a direct connection.
        proxy_jump: Option<ProxyJump>, optional, Jump;
        /// How many GPUs it has: with it, one that is lost is noticed also where nobody counts them there.
        gpus: Option<u32>, optional, Number::between(0, 1_024);
        /// Labels on everything that is measured on it.
        labels: Labels, default "{}", LabelMap;
    }
}
