//! `aami runs`: installations, as they report themselves. One file per verb.

mod cancel;
mod follow;
mod list;
mod show;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Runs: installations, as they report themselves
#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Show(show::Show),
    Follow(follow::Follow),
    Cancel(cancel::Cancel),
}

impl Runs {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Follow(verb) => verb.run(&mut session),
            Verb::Cancel(verb) => verb.run(&mut session),
        }
    }
}
