//! `aami keys`: what people and programs authenticate with. One file per verb.

mod create;
mod list;
mod revoke;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// API keys: what people and programs authenticate with
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Create),
    List(list::List),
    Revoke(revoke::Revoke),
}

impl Keys {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let verb = match self.verb {
            Verb::Create(verb) if verb.is_recovery() => {
                return verb.recover(self.common.format(), surroundings);
            }
            other => other,
        };
        let mut session = self.common.session(surroundings)?;
        match verb {
            Verb::Create(verb) => verb.run(&mut session, surroundings),
            Verb::List(verb) => verb.run(&mut session),
            Verb::Revoke(verb) => verb.run(&mut session),
        }
    }
}
