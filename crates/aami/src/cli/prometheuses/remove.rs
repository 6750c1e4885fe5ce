//! `aami prometheuses remove`.

use aami_model::Exit;
use clap::Args;

use super::{named, path};
use crate::cli::dry::{Change, Dry};
use crate::cli::each::{Done, each};
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Forget Prometheuses; the agent beside each takes the rules out of its folder
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami prometheuses remove mon-1
  aami prometheuses remove shard-a shard-b --dry-run")]
pub(crate) struct Remove {
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    dry: Dry,
}

impl Remove {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        each(session, &self.names, |session, name| {
            let (view, _) = named(session, name)?;
            let id = &view.prometheus.id;
            let name = &view.prometheus.name;
            let change = Change::delete(path(id.as_str()));
            if self.dry.dry_run {
                return change.would(id, format!("{name} ({id}) would be removed"));
            }
            let _: serde_json::Value = change.send(session)?;
            Ok(Done::new(id, format!("{name} ({id}) is removed")))
        })
    }
}
