//! `aami checks delete`.

use aami_model::Exit;
use clap::Args;

use super::show::path;
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Delete checks; nodes stop running them within a minute
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// Names or ids
    #[arg(required = true, value_name = "CHECK")]
    checks: Vec<String>,
}

impl Delete {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.checks, |session, name| {
            session.client.delete(&path(name))?;
            Ok(Done::new(name, format!("check {name} is deleted")))
        })
    }
}
