//! `aami config`: configuration of other programs, generated. One file per verb.

mod prometheus;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Configuration for other programs
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Prometheus(prometheus::Prometheus),
}

impl Config {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        let Verb::Prometheus(verb) = self.verb;
        verb.run(&mut session, &self.common.reach)
    }
}
