//! Checks as a node runs them: definitions in, metrics out.
//!
//! Begin at [`Round::run`]: one round takes the [definitions](fetch) that are meant for this node and the
//! [starter set](starter) it brings along, [runs](run) each that is due as a process that can be killed, reads
//! what it [says](report), and leaves [metrics](render) for node_exporter in one move.
//!
//! Everything that comes from outside is hostile here: a definition that does not fit its hash does not run, as
//! root runs only what this node's own [rules](trust) grant, and what a check prints is bounded and checked before
//! a word of it reaches a metric. A round reports what goes wrong as the status of the check it goes wrong with.

mod error;
mod fetch;
mod memory;
pub mod orphans;
mod render;
mod report;
mod round;
mod run;
pub mod starter;
mod trust;

use std::path::{Path, PathBuf};

use aami_install::Host;

pub use error::CheckRoundError;
pub use fetch::asker;
pub use memory::{Remembered, Seen};
pub use report::Status;
pub(super) use round::LONGEST;
pub use round::{Outcome, Planned, Round};
pub use run::Identity;

/// The user that checks run as.
pub const USER: &str = "aami-check";

/// The numbers of that user on this host; `None` where there is none.
pub fn identity_of(host: &Host) -> Result<Option<Identity>, CheckRoundError> {
    let found = host
        .accounts()
        .user(USER)
        .map_err(|error| CheckRoundError::File {
            path: host.root.path().join("etc/passwd"),
            source: std::io::Error::other(error.to_string()),
        })?;
    Ok(found.map(|user| Identity {
        uid: user.uid,
        gid: user.gid,
    }))
}

/// Where a node keeps what belongs to checks.
#[derive(Debug, Clone)]
pub struct Places {
    /// What this node grants to checks, written by its operator.
    pub rules: PathBuf,
    /// Definitions and results, from one round to the next.
    pub folder: PathBuf,
    /// Scripts, while a round runs.
    pub scripts: PathBuf,
    /// The metrics.
    pub metrics: PathBuf,
    /// What this node told the control plane about itself.
    pub registration: PathBuf,
    /// The node's own credential.
    pub credential: PathBuf,
}

impl Places {
    /// Below `root`, which is `/` on a host.
    pub fn below(root: &Path) -> Self {
        Self {
            rules: root.join("etc/aami/agent.yaml"),
            folder: root.join("var/lib/aami/checks"),
            scripts: root.join("run/aami-checks"),
            metrics: root.join("var/lib/node_exporter/textfile/aami_checks.prom"),
            registration: root.join("var/lib/aami/agent/registration.json"),
            credential: root.join("var/lib/aami/agent/credential"),
        }
    }
}
