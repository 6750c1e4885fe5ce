//! `aami release`: judging a release folder. One file per verb.

mod verify;

use aami_model::Exit;
use clap::{Args, Subcommand};
pub(crate) use verify::key;

use super::failure::Failure;
use super::screen::Format;
use super::surroundings::Surroundings;

/// Releases: what is downloaded to install from
#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Verify(verify::Verify),
}

impl Release {
    pub(crate) const fn format(&self) -> Format {
        let Verb::Verify(verb) = &self.verb;
        verb.format()
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let Verb::Verify(verb) = self.verb;
        verb.run(surroundings)
    }
}
