//! `aami webhooks`: where events are delivered. One file per verb.

mod create;
mod delete;
mod deliveries;
mod list;
mod replay;
mod show;
mod test;
mod update;

use std::io::Read as _;
use std::path::Path;

use aami_api::delivery::{Delivery, DeliveryResult};
use aami_model::{Exit, code};
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::session::Common;
use super::surroundings::Surroundings;

/// Where events are delivered: webhooks, Slack channels, mailboxes
#[derive(Debug, Args)]
pub(crate) struct Webhooks {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Box<create::Create>),
    List(list::List),
    Show(show::Show),
    Update(Box<update::Update>),
    Delete(delete::Delete),
    Test(test::Test),
    Deliveries(deliveries::Deliveries),
    Replay(replay::Replay),
}

impl Webhooks {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        match self.verb {
            Verb::Create(verb) => verb.run(&mut session, surroundings),
            Verb::List(verb) => verb.run(&mut session),
            Verb::Show(verb) => verb.run(&mut session),
            Verb::Update(verb) => verb.run(&mut session, surroundings),
            Verb::Delete(verb) => verb.run(&mut session),
            Verb::Test(verb) => verb.run(&mut session),
            Verb::Deliveries(verb) => verb.run(&mut session),
            Verb::Replay(verb) => verb.run(&mut session),
        }
    }
}

/// The longest secret that is read.
const LONGEST: u64 = 64 * 1024;

/// What a file holds, `-` being standard input; without the line break at its end.
fn read(path: &Path) -> Result<String, Failure> {
    let failed = |source| Failure::File {
        path: path.to_owned(),
        doing: "read",
        source,
    };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .take(LONGEST)
            .read_to_string(&mut text)
            .map_err(failed)?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(failed)?;
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether an attempt was taken; the failure says what came of it otherwise.
fn taken(delivery: &Delivery) -> Result<Exit, Failure> {
    if delivery.result == DeliveryResult::Delivered {
        return Ok(Exit::Ok);
    }
    let error = delivery.error.as_deref().unwrap_or("it was not taken");
    let answer = match delivery.answer.as_str() {
        "" => String::new(),
        answer => format!(" ({answer})"),
    };
    Err(Failure::found(
        code::DELIVERY_FAILED,
        format!("{}: {error}{answer}", delivery.name),
    ))
}
