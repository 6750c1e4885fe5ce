//! `aami groups`: named sets of nodes with labels. One file per verb.

mod create;
mod delete;
mod edit;
mod list;
mod show;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Groups: named sets of nodes with labels
#[derive(Debug, Args)]
pub(crate) struct Groups {
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
    Delete(delete::Delete),
}

impl Groups {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::Create(verb) => verb.run(&mut session),
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Edit(verb) => verb.run(&mut session),
            Verb::Delete(verb) => verb.run(&mut session),
        }
    }
}
