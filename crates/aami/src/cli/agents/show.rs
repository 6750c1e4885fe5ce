//! `aami agents show`.

use aami_api::rollout::RolloutView;
use aami_model::rollout::{RolloutStatus, RolloutTrigger, next};
use aami_model::{Exit, code};
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::query::encoded;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// Show how far the update of a group's agents is; ends with 3 where it has halted
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami agents show racks
  aami agents show racks -o json | jq .versions")]
pub(crate) struct Show {
    /// The group, by name or id
    group: String,
}

impl Show {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let view: RolloutView = session.client.get(&path(&self.group))?;
        session.screen.show(&view, |_| table(&view))?;
        Ok(if view.status == RolloutStatus::Halted {
            Exit::NotHealthy
        } else {
            Exit::Ok
        })
    }
}

/// Where the rollout of a group is, by name or id.
pub(super) fn path(group: &str) -> String {
    format!("/api/v1/groups/{}/rollout", encoded(group))
}

/// Whether the rollout of a group would move by this; refused where the control plane would refuse it.
pub(super) fn moves(session: &Session, group: &str, trigger: RolloutTrigger) -> Result<bool, Failure> {
    let view: RolloutView = session.client.get(&path(group))?;
    let to = next(view.status, trigger).map_err(|why| Failure::found(code::TRANSITION_REFUSED, why))?;
    Ok(to.is_some())
}

/// How its nodes stand, in a few words.
pub(super) fn standing(view: &RolloutView) -> String {
    let nodes = &view.nodes;
    let mut words = vec![format!("{} of {} updated", nodes.updated, nodes.nodes)];
    for (count, word) in [
        (nodes.updating, "at work"),
        (nodes.failed, "went back"),
        (nodes.waiting, "to come"),
        (nodes.silent, "silent"),
        (nodes.lost, "lost"),
        (nodes.away, "away"),
    ] {
        if count > 0 {
            words.push(format!("{count} {word}"));
        }
    }
    words.join(", ")
}

pub(crate) fn table(view: &RolloutView) -> Table {
    let (mut table, plan) = (Table::of_one(), &view.plan);
    table.line("Group", format!("{} ({})", view.group_name, view.group));
    let pinned = if plan.pinned { ", pinned" } else { "" };
    table.line("Version", format!("{}{pinned}", plan.version));
    table.line(
        "Status",
        format!("{} since {}", view.status.name(), view.status_since),
    );
    table.line("Because", &view.reason);
    table.line("Nodes", standing(view));
    let versions: Vec<String> = view
        .versions
        .iter()
        .map(|(version, count)| format!("{count} with {version}"))
        .collect();
    table.line("Agents", versions.join(", "));
    table.line(
        "Careful",
        format!(
            "{} first for {} s, {} at once, stops above {} % that go back",
            plan.canaries, plan.soak_seconds, plan.at_once, plan.max_failed_percent
        ),
    );
    for failed in &view.failed {
        let code = failed.code.as_deref().unwrap_or("-");
        table.line(
            "Went back",
            format!("{}: {code}: {}", failed.hostname, failed.message),
        );
    }
    table.line("Began", format!("{} by {}", view.began_at, view.created_by));
    table
}
