//! `aami events list`.

use std::collections::VecDeque;

use aami_model::Exit;
use aami_model::event::Event;
use clap::Args;

use super::{about, say_what_is_gone};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Events asked for at once.
const PAGE: usize = 1_000;

/// List the latest events
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami events list
  aami events list --limit 20 -o json
  aami events list --after 1200")]
pub(crate) struct List {
    /// Only events after this sequence number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// At most so many, the latest
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl List {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut latest: VecDeque<Event> = VecDeque::new();
        let (mut after, mut pruned, mut cut) = (self.after, 0, false);
        loop {
            let page = session.client.events(after, PAGE)?;
            pruned = pruned.max(page.pruned_through);
            if page.last_seq <= after {
                break;
            }
            after = page.last_seq;
            latest.extend(page.events);
            while latest.len() > self.limit {
                latest.pop_front();
                cut = true;
            }
        }
        // Of what somebody cut off themselves nothing is missing.
        if self.after > 0 || !cut {
            say_what_is_gone(session, "events", self.after, pruned);
        }
        let events = Vec::from(latest);
        session.screen.show(&events, |wide| table(&events, wide))?;
        Ok(Exit::Ok)
    }
}

pub(crate) fn table(events: &[Event], wide: bool) -> Table {
    let mut headings = vec!["SEQ", "AT", "EVENT", "ABOUT", "BY"];
    if wide {
        headings.push("DATA");
    }
    let mut table = Table::new(&headings, "no events");
    for event in events {
        let mut cells = vec![
            event.seq.to_string(),
            event.at.to_string(),
            event.kind.clone(),
            about(event),
            event.actor.clone(),
        ];
        if wide {
            cells.push(if event.data.is_null() {
                String::new()
            } else {
                event.data.to_string()
            });
        }
        table.row(cells);
    }
    table
}
