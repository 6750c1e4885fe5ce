//! `aami audit list`: who changed what.

use std::collections::VecDeque;

use aami_api::event::AuditEntry;
use aami_model::Exit;
use clap::{Args, Subcommand};

use super::events::say_what_is_gone;
use super::failure::Failure;
use super::session::{Common, Session};
use super::surroundings::Surroundings;
use super::table::Table;

/// Audit: who changed what
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
}

/// List the latest changes and who made them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami audit list
  aami audit list --limit 20 -o json")]
struct List {
    /// Only entries after this sequence number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// At most so many, the latest
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl Audit {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut session = self.common.session(surroundings)?;
        let Verb::List(list) = self.verb;
        list.run(&mut session)
    }
}

impl List {
    fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let mut latest: VecDeque<AuditEntry> = VecDeque::new();
        let (mut after, mut pruned, mut cut) = (self.after, 0, false);
        loop {
            let page = session.client.audit(after, 1_000)?;
            pruned = pruned.max(page.pruned_through);
            if page.last_seq <= after {
                break;
            }
            after = page.last_seq;
            latest.extend(page.entries);
            while latest.len() > self.limit {
                latest.pop_front();
                cut = true;
            }
        }
        if self.after > 0 || !cut {
            say_what_is_gone(session, "entries", self.after, pruned);
        }
        let entries = Vec::from(latest);
        session.screen.show(&entries, |wide| table(&entries, wide))?;
        Ok(Exit::Ok)
    }
}

fn table(entries: &[AuditEntry], wide: bool) -> Table {
    let mut headings = vec!["SEQ", "AT", "BY", "ACTION", "SUBJECT"];
    if wide {
        headings.push("DATA");
    }
    let mut table = Table::new(&headings, "no entries");
    for entry in entries {
        let mut cells = vec![
            entry.seq.to_string(),
            entry.at.to_string(),
            entry.actor.clone(),
            entry.action.clone(),
            entry.subject.clone(),
        ];
        if wide {
            cells.push(if entry.data.is_null() {
                String::new()
            } else {
                entry.data.to_string()
            });
        }
        table.row(cells);
    }
    table
}
