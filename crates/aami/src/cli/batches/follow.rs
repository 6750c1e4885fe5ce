//! `aami batches follow`, which is also how a bulk action waits for its end.

use std::time::Duration;

use aami_api::batch::BatchView;
use aami_model::batch::{BatchStatus, NodeOutcome, NodeResult};
use aami_model::{BatchId, Code, Exit};
use clap::Args;

use super::show::{path, results};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// How often to ask, at first and at most; and at most while no control plane answers.
const FIRST: Duration = Duration::from_millis(100);
const EVERY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Wait for the end of a batch; the exit code says how it ended
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami batches follow 0698qk3v7d8e6m2c")]
pub(crate) struct Follow {
    /// Id
    batch: BatchId,
}

impl Follow {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        follow(session, &self.batch)
    }
}

/// Tells how far a batch is until it ends, then what was refused and how it ended.
pub(crate) fn follow(session: &mut Session, id: &BatchId) -> Result<Exit, Failure> {
    let mut wait = FIRST;
    let mut told = None;
    let batch = loop {
        match session.client.get::<BatchView>(&path(id.as_str())) {
            Ok(batch) if batch.status != BatchStatus::Running => break batch,
            Ok(batch) => {
                let turns = batch.counts.all();
                // What is over at once needs no telling.
                if wait >= EVERY && told != Some(turns) {
                    let line = format!("aami: {turns} of {} nodes had their turn", batch.total);
                    session.screen.note(&line);
                    told = Some(turns);
                }
                wait = (wait * 2).min(EVERY);
            }
            Err(error) if error.is_passing() => {
                wait = (wait * 2).clamp(EVERY, LONGEST);
                let line = format!(
                    "aami: {error}; the batch {id} goes on by itself, asking again in {} s",
                    wait.as_secs()
                );
                session.screen.note(&line);
            }
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(wait);
    };
    let refused = match batch.counts.refused {
        0 => Vec::new(),
        _ => results(session, id.as_str(), Some(NodeOutcome::Refused))?,
    };
    for result in &refused {
        let name = match result.hostname.as_str() {
            "" => result.node.as_str(),
            name => name,
        };
        let why = result.detail.as_deref().unwrap_or_default();
        let code = result.code.as_deref().unwrap_or_default();
        session.screen.note(&format!("{name}: {why} ({code})"));
    }
    let counts = batch.counts;
    let line = format!(
        "{} {} is {}: {} done, {} unchanged, {} refused",
        batch.id,
        batch.action.name(),
        batch.status.name(),
        counts.done,
        counts.unchanged,
        counts.refused
    );
    session.screen.show_one(&batch, &line)?;
    Ok(exit(&batch, &refused))
}

/// As for nodes that are named: all, some or none of them could be done.
fn exit(batch: &BatchView, refused: &[NodeResult]) -> Exit {
    let counts = batch.counts;
    match refused.last() {
        _ if batch.status == BatchStatus::Cancelled => Exit::Failed,
        None => Exit::Ok,
        Some(_) if counts.done + counts.unchanged > 0 => Exit::Partial,
        Some(last) => last
            .code
            .as_deref()
            .and_then(Code::find)
            .map_or(Exit::Failed, |code| code.exit),
    }
}
