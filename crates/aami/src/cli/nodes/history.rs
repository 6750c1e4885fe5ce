//! `aami nodes history`.

use aami_model::Exit;
use aami_model::event::Event;
use clap::Args;
use serde::Deserialize;

use crate::cli::events::list::table;
use crate::cli::events::say_what_is_gone;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;

/// Events asked for at once.
const PAGE: usize = 500;
/// What a history begins with of which nothing is gone.
const FIRST: &str = "node.registered";

/// Show what happened to one node
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes history gpu-01
  aami nodes history gpu-01 --after 1200 -o json")]
pub(crate) struct History {
    /// Hostname or id
    node: String,
    /// Only events after this sequence number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
}

#[derive(Debug, Deserialize)]
struct Told {
    events: Vec<Event>,
    #[serde(default)]
    pruned_through: u64,
}

impl History {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let node = find::node(session, &self.node)?;
        let id = &node.id;
        let (mut after, mut pruned) = (self.after, 0);
        let mut events: Vec<Event> = Vec::new();
        loop {
            let path = format!("/api/v1/nodes/{id}/history?after={after}&limit={PAGE}");
            let page: Told = session.client.get(&path)?;
            pruned = pruned.max(page.pruned_through);
            let last = page.events.last().map(|event| event.seq);
            let full = page.events.len() >= PAGE;
            events.extend(page.events);
            match last {
                Some(last) if full => after = last,
                _ => break,
            }
        }
        // One that was retired and taken back was registered twice; and what is missing may be missing in the middle.
        let is_whole = events
            .first()
            .is_some_and(|first| first.kind == FIRST && first.at <= node.created_at && first.seq > pruned);
        if self.after > 0 || !is_whole {
            say_what_is_gone(session, "events", self.after, pruned);
        }
        session.screen.show(&events, |wide| table(&events, wide))?;
        Ok(Exit::Ok)
    }
}
