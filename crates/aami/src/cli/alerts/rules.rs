//! `aami alerts rules`: which alerts there are for everybody, and for the nodes of a group. One file per verb.

mod delete;
mod list;
mod set;
mod show;
mod written;

use aami_model::Exit;
use clap::{Args, Subcommand};

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// The rule sets of a control plane: one for every node, and one for each group that has its own
#[derive(Debug, Args)]
pub(crate) struct Rules {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Show(show::Show),
    Set(set::Set),
    Delete(delete::Delete),
}

impl Rules {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        match self.verb {
            Verb::List(verb) => verb.run(session),
            Verb::Show(verb) => verb.run(session),
            Verb::Set(verb) => verb.run(session),
            Verb::Delete(verb) => verb.run(session),
        }
    }
}
