//! `aami agents stop`.

use aami_model::Exit;
use clap::Args;

use super::show::path;
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// End the update of groups' agents: what was updated stays, nobody else is told
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Names or ids
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

impl Stop {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.groups, |session, name| {
            session.client.delete(&path(name))?;
            Ok(Done::new(name, format!("the update of {name} is over")))
        })
    }
}
