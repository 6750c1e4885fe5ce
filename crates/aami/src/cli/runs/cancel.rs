//! `aami runs cancel`.

use aami_api::run::RunView;
use aami_model::run::{Outcome, RunTrigger, next};
use aami_model::{Exit, code};
use clap::Args;
use http::Method;

use super::show::path;
use crate::cli::dry::{Change, Dry};
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Call a run off: its credential ends, and it reports no more
///
/// What is at work on the machine is not reached from here: it goes on there, unheard, until somebody stops it (Ctrl-C, or
/// `aami-agent run cancel`). For a run whose machine is gone this is all there is to do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami runs cancel 0698qk3v7d8e6m2c
  aami runs cancel 0698qk3v7d8e6m2c --dry-run")]
pub(crate) struct Cancel {
    /// Id
    run: String,
    #[command(flatten)]
    dry: Dry,
}

impl Cancel {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let change = Change::bare(Method::POST, format!("{}/cancel", path(&self.run)));
        if self.dry.dry_run {
            let run: RunView = session.client.get(&path(&self.run))?;
            let id = &run.id;
            return match next(run.status, RunTrigger::CalledOff) {
                Ok(Outcome::Moved(_)) => change.tell(session, id, format!("{id} would be called off")),
                Ok(Outcome::Stays) => {
                    Done::would(id, format!("{id} is called off already")).tell(&mut session.screen)
                }
                Err(_) => Err(Failure::found(
                    code::TRANSITION_REFUSED,
                    format!("a run that is {} cannot be called off", run.status.name()),
                )),
            };
        }
        let run: RunView = change.send(session)?;
        let line = format!("{} is {}", run.id, run.status.name());
        session.screen.show_one(&run, &line)?;
        Ok(Exit::Ok)
    }
}
