//! What stories over SSH need and no machine has to have installed: OpenSSH's client programs, and login shells for
//! nodes.

use std::path::PathBuf;

use anyhow::Result;

use crate::{Release, cache};

/// Shells that Debian does not bring by itself, and the libraries they need.
const SHELLS: &[&str] = &[
    "fish",
    "fish-common",
    "libpcre2-32-0",
    "tcsh",
    "csh",
    "libbsd0",
    "libmd0",
];

/// A program of OpenSSH's client that runs on this machine: ssh-keygen, ssh-agent, ssh-add.
pub fn client(program: &str) -> Result<PathBuf> {
    Ok(cache::packages(None, &["openssh-client"])?
        .join("usr/bin")
        .join(program))
}

/// A folder with fish, tcsh and csh as they lie on a node with Debian 12.
pub fn shells() -> Result<PathBuf> {
    cache::packages(Some(Release::Bookworm), SHELLS)
}
