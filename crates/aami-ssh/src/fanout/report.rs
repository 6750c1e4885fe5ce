//! How it all ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::event::{Outcome, Stop};
use super::kept::Text;

/// What became of every host, in the order they were named in.
#[derive(Debug)]
pub struct Report<T> {
    /// One for each host.
    pub hosts: Vec<HostReport<T>>,
    /// Why not all were begun, where so.
    pub stopped: Option<Stop>,
    /// From the beginning to the end.
    pub took: Duration,
    /// The file to resume from, while it is there: it is gone when every host went well.
    pub resume: Option<PathBuf>,
    /// Why it could not be kept up to date.
    pub resume_broken: Option<String>,
    /// Hosts that could not be told that what was cut off there has to end. Filled in by who knows the connections:
    /// see [`Client::settle`](crate::Client::settle).
    pub untold: Vec<String>,
}

/// What became of one host.
#[derive(Debug)]
pub struct HostReport<T> {
    /// Its name.
    pub name: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the work answered, where it ended well.
    pub answer: Option<T>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// From its first attempt to its end, pauses included.
    pub took: Duration,
    /// What it said on standard output.
    pub stdout: Text,
    /// What it said on standard error.
    pub stderr: Text,
    /// Whether its output was still open when the command had ended: something that was left running holds it, and
    /// what that said later is not here.
    pub cut: bool,
}

impl<T> Report<T> {
    /// How many went well.
    pub fn ok(&self) -> usize {
        self.hosts.iter().filter(|host| host.outcome.is_ok()).count()
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        let failed = |host: &&HostReport<T>| matches!(host.outcome, Outcome::Failed(_));
        self.hosts.iter().filter(failed).count()
    }

    /// How many were never begun, or cut off.
    pub fn not_done(&self) -> usize {
        self.hosts.len() - self.ok() - self.failed()
    }
}
