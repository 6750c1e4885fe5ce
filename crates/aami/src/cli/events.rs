//! `aami events`: what happened. One file per verb.

mod follow;
pub(super) mod list;

use aami_model::Exit;
use aami_model::event::Event;
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::{Common, Session};
use super::surroundings::Surroundings;

/// Events: what happened
#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Follow(follow::Follow),
}

impl Events {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::List(verb) => verb.run(&mut session),
            Verb::Follow(verb) => verb.run(&mut session),
        }
    }
}

/// Says on standard error that what was told after a number is not all kept any longer.
pub(super) fn say_what_is_gone(session: &mut Session, what: &str, after: u64, pruned_through: u64) {
    if after < pruned_through {
        session.screen.note(&format!(
            "aami: {what} after {after} and up to {pruned_through} are kept no longer, or not all of them; this is what is left"
        ));
    }
}

/// What an event is about, by name where it tells one.
fn about(event: &Event) -> String {
    match event.data.get("hostname").and_then(serde_json::Value::as_str) {
        Some(hostname) => format!("{hostname} ({})", event.subject),
        None => event.subject.clone(),
    }
}
