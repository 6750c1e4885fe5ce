//! `aami events follow`.

use std::time::Duration;

use aami_model::Exit;
use clap::Args;

use super::{about, say_what_is_gone};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// How often to ask.
const EVERY: Duration = Duration::from_secs(1);
/// How long to wait at most while no control plane answers.
const LONGEST: Duration = Duration::from_secs(30);

/// Show events as they happen, until interrupted
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami events follow
  aami events follow --after 1200 -o json | jq -r .type")]
pub(crate) struct Follow {
    /// Begin after this sequence number [with what happens from now on]
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
}

impl Follow {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut after = match self.after {
            Some(seq) => seq,
            None => latest(session)?,
        };
        let mut wait = EVERY;
        loop {
            match session.client.events(after, 1_000) {
                Ok(page) => {
                    wait = EVERY;
                    say_what_is_gone(session, "events", after, page.pruned_through);
                    for event in &page.events {
                        let line = format!(
                            "{}  {}  {}  by {}",
                            event.at,
                            event.kind,
                            about(event),
                            event.actor
                        );
                        session.screen.show_one(event, &line)?;
                    }
                    let more = page.last_seq > after;
                    after = after.max(page.last_seq);
                    if more {
                        continue;
                    }
                }
                Err(error) if error.is_passing() => {
                    wait = (wait * 2).min(LONGEST);
                    session
                        .screen
                        .note(&format!("aami: {error}; asking again in {} s", wait.as_secs()));
                }
                Err(error) => return Err(error.into()),
            }
            std::thread::sleep(wait);
        }
    }
}

/// The number of the last event there is.
fn latest(session: &Session) -> Result<u64, Failure> {
    let mut after = 0;
    loop {
        let page = session.client.events(after, 1_000)?;
        if page.last_seq <= after {
            return Ok(after);
        }
        after = page.last_seq;
    }
}
