//! `aami tokens`: the secrets that let machines enrol. One file per verb.

mod create;
mod edit;
mod list;
mod revoke;
mod show;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Bootstrap tokens: the secrets that let machines enrol
#[derive(Debug, Args)]
pub(crate) struct Tokens {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Create),
    List(list::List),
    Show(show::Show),
    Edit(edit::Edit),
    Revoke(revoke::Revoke),
}

impl Tokens {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::Create(verb) => verb.run(&mut session, surroundings),
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Edit(verb) => verb.run(&mut session),
            Verb::Revoke(verb) => verb.run(&mut session),
        }
    }
}
