//! `aami checks`: small scripts that nodes run, whose results become metrics. One file per verb.

mod apply;
mod delete;
mod list;
mod show;
mod written;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Checks: small scripts that nodes run, whose results become metrics
#[derive(Debug, Args)]
pub(crate) struct Checks {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Show(show::Show),
    Apply(apply::Apply),
    Delete(delete::Delete),
}

impl Checks {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Apply(verb) => verb.run(&mut session),
            Verb::Delete(verb) => verb.run(&mut session),
        }
    }
}
