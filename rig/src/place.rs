//! Where a program of the rig runs.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{Host, keeper, tool};

/// This machine's loopback, or a host of a [`Net`](crate::Net).
#[derive(Debug, Clone, Copy)]
pub enum Place<'net> {
    /// This machine's loopback: no root needed, ports are shared with everybody.
    Loopback,
    /// A host with an address and ports of its own.
    On(&'net Host),
}

impl<'net> From<&'net Host> for Place<'net> {
    fn from(host: &'net Host) -> Self {
        Self::On(host)
    }
}

impl Place<'_> {
    /// The address servers here listen on and clients reach them at.
    pub fn address(&self) -> Ipv4Addr {
        match self {
            Self::Loopback => Ipv4Addr::LOCALHOST,
            Self::On(host) => host.address(),
        }
    }

    /// A command that runs `program` here and dies with the test.
    pub fn command(&self, program: &str) -> Command {
        match self {
            Self::Loopback => keeper::mortal(program),
            Self::On(host) => host.command(program),
        }
    }

    /// A port nobody listens on: `wanted` on a host, any free one on loopback.
    pub fn port(&self, wanted: u16) -> Result<u16> {
        match self {
            Self::On(_) => Ok(wanted),
            Self::Loopback => {
                let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                    .context("no free port on loopback")?;
                Ok(listener.local_addr()?.port())
            }
        }
    }

    /// Fetches a URL from here with curl and gives the body; any status but 2xx is an error. `options` are curl's.
    pub fn get(&self, url: &str, options: &[&str]) -> Result<String> {
        let mut command = self.command("curl");
        command.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "10"]);
        tool::run(command.args(options).arg(url))
    }
}
