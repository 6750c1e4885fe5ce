//! `aami batches`: bulk actions over many nodes. They are begun by the actions themselves, such as `aami nodes
//! maintenance --group racks`.

mod cancel;
pub(crate) mod follow;
mod list;
mod show;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Batches: bulk actions over many nodes, and what came of each
#[derive(Debug, Args)]
pub(crate) struct Batches {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    #[command(alias = "get")]
    Show(show::Show),
    Follow(follow::Follow),
    Cancel(cancel::Cancel),
}

impl Batches {
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
