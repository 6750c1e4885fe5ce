//! `aami nodes remove`.

use aami_model::Exit;
use clap::Args;

use super::chosen;
use crate::cli::ask;
use crate::cli::dry::Dry;
use crate::cli::each::{Done, told};
use crate::cli::failure::Failure;
use crate::fleet::{Fleet, Which};

/// Take nodes out of the configuration and out of Prometheus' lists; what is installed on them stays
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes remove gpu-07
  aami nodes remove 'gpu[001-008]' --yes

What was installed on a node is taken off before, while it is still declared:
  aami nodes exec gpu-07 --sudo -- /var/lib/aami/push/aami-agent uninstall")]
pub(crate) struct Remove {
    /// Nodes, e.g. gpu-01 or gpu[001-128]
    #[arg(required = true, value_name = "NODES")]
    nodes: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    dry: Dry,
}

impl Remove {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let which = Which {
            names: chosen::names(&self.nodes)?,
            ..Which::all()
        };
        let file = fleet.file(
            "aami nodes remove",
            "`aami nodes retire NODE` takes a node out for good, and `aami nodes restore NODE` takes it back.",
        )?;
        let names = file.judge_removal(&which)?;
        if self.dry.dry_run {
            let attempts = names
                .iter()
                .map(|name| Ok(Done::would(name, format!("{name} would be removed"))));
            let attempts = attempts.collect();
            return told(fleet.screen(), attempts);
        }
        let what = match names.len() {
            1 => format!("{names} is removed from {}", file.name()),
            count => format!("{count} nodes are removed from {}: {names}", file.name()),
        };
        ask::agreed(&what, self.yes)?;
        let attempts = file.remove(&names)?;
        told(fleet.screen(), attempts)
    }
}
