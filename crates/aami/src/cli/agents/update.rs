//! `aami agents update`.

use aami_api::rollout::RolloutView;
use aami_model::Exit;
use aami_model::rollout::RolloutPlan;
use clap::Args;
use http::Method;

use super::show::{self, path};
use crate::cli::dry::{Change, Dry, there};
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::query::encoded;
use crate::cli::session::Session;

/// Update the agents of a group to a release, a few nodes first; it stops by itself when too many go back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami agents update racks --version 1.4.0
  aami agents update racks --version 1.4.0 --canaries 3 --soak 30m --at-once 20 --max-failed 5
  aami agents update racks --version 1.3.2 --pinned
  aami agents update racks --version 1.4.0 --dry-run

The release lies as DIST/VERSION/ on the control plane; nodes take it only with the signature they know.")]
pub(crate) struct Update {
    /// The group, by name or id
    group: String,
    /// The version its agents are to be
    #[arg(long, value_name = "V")]
    version: String,
    /// Exactly this version: newer agents go back to it
    #[arg(long)]
    pinned: bool,
    /// How many nodes go first [default: 1]
    #[arg(long, value_name = "N")]
    canaries: Option<u32>,
    /// How long those have to stand before the others follow [default: 5m]
    #[arg(long, value_name = "DURATION", conflicts_with = "no_soak")]
    soak: Option<Seconds>,
    /// The others follow as soon as those are there
    #[arg(long)]
    no_soak: bool,
    /// How many nodes at the same time [default: 10]
    #[arg(long, value_name = "N")]
    at_once: Option<u32>,
    /// Stop when more than this share of those that tried went back, in percent [default: 10]
    #[arg(long, value_name = "PERCENT")]
    max_failed: Option<u32>,
    #[command(flatten)]
    dry: Dry,
}

impl Update {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let usual = RolloutPlan::to(self.version);
        let soak = self
            .soak
            .map(|Seconds(seconds)| u32::try_from(seconds).unwrap_or(u32::MAX));
        let plan = RolloutPlan {
            pinned: self.pinned,
            canaries: self.canaries.unwrap_or(usual.canaries),
            soak_seconds: if self.no_soak {
                0
            } else {
                soak.unwrap_or(usual.soak_seconds)
            },
            at_once: self.at_once.unwrap_or(usual.at_once),
            max_failed_percent: self.max_failed.unwrap_or(usual.max_failed_percent),
            ..usual
        };
        let change = Change::new(Method::PUT, path(&self.group), &plan);
        if self.dry.dry_run {
            plan.check()
                .map_err(|error| Failure::invalid(format!("rollout: {error}")))?;
            there(session, &format!("/api/v1/groups/{}", encoded(&self.group)))?;
            let line = format!(
                "the agents of {} would be updated to {}",
                self.group, plan.version
            );
            return change.tell(session, &self.group, line);
        }
        let view: RolloutView = change.send(session)?;
        session.screen.show(&view, |_| show::table(&view))?;
        Ok(Exit::Ok)
    }
}
