//! `aami prometheuses remove`.

use aami_model::Exit;
use clap::Args;

use super::find;
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Forget Prometheuses; the agent beside each takes the rules out of its folder
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Remove {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.names, |session, name| {
            let (view, _) = find(session, name)?;
            let id = &view.prometheus.id;
            session.client.delete(&format!("/api/v1/prometheuses/{id}"))?;
            Ok(Done::new(
                id,
                format!("{} ({id}) is removed", view.prometheus.name),
            ))
        })
    }
}
