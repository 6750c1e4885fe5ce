//! `aami agents`: which agent the nodes of a group run, and updating it. One file per verb.

mod list;
mod pause;
mod resume;
mod show;
mod stop;
mod update;

use aami_model::Exit;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// The agents of groups of nodes: update them, a few nodes first
#[derive(Debug, Args)]
pub(crate) struct Agents {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Update(update::Update),
    List(list::List),
    Show(show::Show),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Stop(stop::Stop),
}

impl Agents {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::Update(verb) => verb.run(&mut session),
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Pause(verb) => verb.run(&mut session),
            Verb::Resume(verb) => verb.run(&mut session),
            Verb::Stop(verb) => verb.run(&mut session),
        }
    }
}
