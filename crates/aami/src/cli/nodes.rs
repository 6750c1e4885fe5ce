//! `aami nodes`: managed, installed systems. One file per verb.

mod accept;
mod add;
mod allow_reenrol;
mod command;
mod found;
mod history;
mod label;
mod list;
mod maintenance;
mod restore;
mod resume;
mod retire;
mod rotate;
mod show;
mod token;
mod verify;

use aami_model::Exit;
use clap::{Args, Subcommand};

pub(crate) use list::{status, table};

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
    Add(add::Add),
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
    Label(label::Label),
    Maintenance(maintenance::Maintenance),
    Resume(resume::Resume),
    Retire(retire::Retire),
    Restore(restore::Restore),
    Token(token::Token),
    Rotate(rotate::Rotate),
    AllowReenrol(allow_reenrol::AllowReenrol),
    Command(command::Command),
    History(history::History),
    Found(found::Found),
    Accept(accept::Accept),
}

impl Nodes {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::Add(verb) => verb.run(&mut session),
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Verify(verb) => verb.run(&mut session),
            Verb::Label(verb) => verb.run(&mut session),
            Verb::Maintenance(verb) => verb.run(&mut session),
            Verb::Resume(verb) => verb.run(&mut session),
            Verb::Retire(verb) => verb.run(&mut session),
            Verb::Restore(verb) => verb.run(&mut session),
            Verb::Token(verb) => verb.run(&mut session, surroundings),
            Verb::Rotate(verb) => verb.run(&mut session, surroundings),
            Verb::AllowReenrol(verb) => verb.run(&mut session),
            Verb::Command(verb) => verb.run(&mut session),
            Verb::History(verb) => verb.run(&mut session),
            Verb::Found(verb) => verb.run(&mut session),
            Verb::Accept(verb) => verb.run(&mut session),
        }
    }
}
