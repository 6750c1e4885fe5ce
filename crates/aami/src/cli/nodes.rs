//! `aami nodes`: managed, installed systems. One file per verb.

mod accept;
mod add;
mod allow_reenrol;
mod chosen;
mod command;
mod exec;
mod found;
mod history;
mod install;
mod label;
mod list;
mod live;
mod maintenance;
mod remove;
mod restore;
mod resume;
mod retire;
mod rotate;
mod show;
mod test;
mod together;
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
#[command(after_help = "\
Nodes are kept by a control plane or declared in /etc/aami/config.yaml and reached by SSH. A control plane is taken
where --server, --key-file or --data-dir, AAMI_SERVER or AAMI_API_KEY, `server:` in the configuration or an admin.key on
this machine names one. Which of the two a verb acts by stands at the end of its own help.")]
pub(crate) struct Nodes {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Add(Box<add::Add>),
    List(list::List),
    Remove(remove::Remove),
    Test(test::Test),
    Install(Box<install::Install>),
    Exec(exec::Exec),
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
        let mut fleet = self.common.fleet(surroundings)?;
        let fleet = fleet.as_mut();
        match self.verb {
            Verb::Add(verb) => verb.run(fleet),
            Verb::List(verb) => verb.run(fleet),
            Verb::Remove(verb) => verb.run(fleet),
            Verb::Test(verb) => verb.run(fleet),
            Verb::Install(verb) => verb.run(fleet),
            Verb::Exec(verb) => verb.run(fleet),
            Verb::Show(verb) => verb.run(fleet.plane("aami nodes show")?),
            Verb::Verify(verb) => verb.run(fleet.plane("aami nodes verify")?),
            Verb::Label(verb) => verb.run(fleet.plane("aami nodes label")?),
            Verb::Maintenance(verb) => verb.run(fleet.plane("aami nodes maintenance")?),
            Verb::Resume(verb) => verb.run(fleet.plane("aami nodes resume")?),
            Verb::Retire(verb) => verb.run(fleet.plane("aami nodes retire")?),
            Verb::Restore(verb) => verb.run(fleet.plane("aami nodes restore")?),
            Verb::Token(verb) => verb.run(fleet.plane("aami nodes token")?, surroundings),
            Verb::Rotate(verb) => verb.run(fleet.plane("aami nodes rotate")?, surroundings),
            Verb::AllowReenrol(verb) => verb.run(fleet.plane("aami nodes allow-reenrol")?),
            Verb::Command(verb) => verb.run(fleet.plane("aami nodes command")?),
            Verb::History(verb) => verb.run(fleet.plane("aami nodes history")?),
            Verb::Found(verb) => verb.run(fleet.plane("aami nodes found")?),
            Verb::Accept(verb) => verb.run(fleet.plane("aami nodes accept")?),
        }
    }
}
