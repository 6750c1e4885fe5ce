//! `aami nodes`: managed, installed systems. One file per verb.

mod allow_reenrol;
mod command;
mod history;
mod label;
mod list;
mod maintenance;
mod restore;
mod resume;
mod retire;
mod show;
mod verify;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Nodes: managed, installed systems
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
    Label(label::Label),
    Maintenance(maintenance::Maintenance),
    Resume(resume::Resume),
    Retire(retire::Retire),
    Restore(restore::Restore),
    AllowReenrol(allow_reenrol::AllowReenrol),
    Command(command::Command),
    History(history::History),
}

impl Nodes {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Verify(verb) => verb.run(&mut session),
            Verb::Label(verb) => verb.run(&mut session),
            Verb::Maintenance(verb) => verb.run(&mut session),
            Verb::Resume(verb) => verb.run(&mut session),
            Verb::Retire(verb) => verb.run(&mut session),
            Verb::Restore(verb) => verb.run(&mut session),
            Verb::AllowReenrol(verb) => verb.run(&mut session),
            Verb::Command(verb) => verb.run(&mut session),
            Verb::History(verb) => verb.run(&mut session),
        }
    }
}
