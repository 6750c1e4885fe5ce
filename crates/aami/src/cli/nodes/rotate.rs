//! `aami nodes rotate`.

use aami_model::Exit;
use clap::Args;

use super::token::{Terms, issue};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;

/// Take a node's key and credential away at once, and make the script that gives it new ones
#[derive(Debug, Args)]
#[command(after_help = "\
For a credential that may be in other hands. It is refused from now on and its connection is closed; tokens made for
the node end as well. The node is back when the new script was run on it; its exporters go on meanwhile.

Examples:
  aami nodes rotate gpu-01 --save-to gpu-01.sh
  aami nodes rotate gpu-01 --dry-run")]
pub(crate) struct Rotate {
    /// Hostname or id
    node: String,
    #[command(flatten)]
    terms: Terms,
}

impl Rotate {
    pub(super) fn run(self, session: &mut Session, surroundings: &Surroundings) -> Result<Exit, Failure> {
        issue(session, surroundings, &self.node, &self.terms, true)
    }
}
